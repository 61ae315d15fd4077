"""The helper as a service of its own (security reference, 6.4): `stile helper` at a socket that was passed to it, and a server
that finds it there, loses it, and finds it again."""

import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from command_test import SECRETS, example
from helpers import HelperUnit, helper_of, named, needs_activation
from logins import GRANTED, REFUSED, log_in
from processes import BINARY, ENVIRONMENT, run, stile, wait_until
from sandbox_test import open_folder  # noqa: F401
from server import Server

pytestmark = needs_activation
CONFIG = """
[[listen]]
address = "127.0.0.1:PORT"
auth = "command"
[command]
cache = "0s"
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def program(words: list[str]) -> str:
    return "[command]\nprogram = [{}]\n".format(", ".join(f"'{word}'" for word in words))


class Passed:
    """`stile helper` that is passed a socket of the test's own."""

    def __init__(self, listening: socket.socket, file: Path) -> None:
        shell = f'exec 3<&{listening.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        command = ["bash", "-c", shell, "bash", str(BINARY), "helper", "--config", str(file)]
        self.process = subprocess.Popen(command, pass_fds=[listening.fileno()], env=ENVIRONMENT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def is_granted(server: Server, user: str = "alice", password: str = SECRETS[0]) -> bool:
    return log_in(server.proxy, user, password)[1] == GRANTED


def test_it_judges_for_servers_and_outlives_them(helper_unit, serve, tmp_path: Path) -> None:
    unit = helper_unit(program(example(tmp_path)))
    for _ in range(2):
        server = serve(config=CONFIG + unit.key())
        assert is_granted(server)
        assert not is_granted(server, "alice", "wrong")
        assert not named(server.process.pid, "stile-warden"), "the server starts none of its own"
        server.wait_for_record(event="auth.failed", reason="auth.failed", method="command")
    assert len(named(unit.process.pid, "stile-helper")) == 2
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    wait_until("what judged for it ends", lambda: len(named(unit.process.pid, "stile-helper")) == 1)


def test_logins_fail_while_it_is_gone_and_no_longer(helper_unit, serve, tmp_path: Path) -> None:
    unit = helper_unit(program(example(tmp_path)))
    server = serve(config=CONFIG + unit.key())
    assert is_granted(server)
    judge = helper_of(unit.process.pid)
    unit.kill()
    wait_until("what it forked ends with it", lambda: not Path(f"/proc/{judge}/fd").exists())
    for _ in range(2):
        assert log_in(server.proxy, "alice", SECRETS[0])[1] == REFUSED
    server.wait_for_record(event="auth.failed", reason="auth.unavailable")
    wait_until("it is told", lambda: f"cannot reach the authentication helper at unix:{unit.path}" in server.errors())
    unit.begin()
    wait_until("logins are judged again", lambda: is_granted(server))
    wait_until("that is told", lambda: "logins by command are judged again" in server.errors())
    assert server.errors().count("cannot reach the authentication helper") == 1


def test_logins_wait_while_it_restarts_and_its_socket_stays(serve, tmp_path: Path) -> None:
    """As under systemd, which holds the socket: whoever connects meanwhile waits in its queue."""
    file, path, granted = tmp_path / "helper.toml", tmp_path / "helper.sock", []
    file.write_text(program(example(tmp_path)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()
        with closing(Passed(listening, file)) as first:
            server = serve(config=CONFIG + f'[helper]\nsocket = "unix:{path}"\n')
            assert is_granted(server)
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(30) == 0
        wait_until("the server has connected again", lambda: bool(select.select([listening], [], [], 0)[0]))
        login = threading.Thread(target=lambda: granted.append(is_granted(server)))
        login.start()
        with closing(Passed(listening, file)):
            login.join(30)
            assert granted == [True]


def test_a_server_starts_without_it(helper_unit, serve, tmp_path: Path) -> None:
    server = serve(config=CONFIG + f'[helper]\nsocket = "unix:{tmp_path}/helper.sock"\n')
    server.sockets_at_rest += 1  # the one that comes
    assert log_in(server.proxy, "alice", SECRETS[0])[1] == REFUSED
    server.wait_for_record(event="auth.failed", reason="auth.unavailable")
    helper_unit(program(example(tmp_path)))
    wait_until("logins are judged", lambda: is_granted(server))


@needs_root
def test_it_judges_for_the_user_of_the_server_from_inside_its_sandbox(open_folder: Path) -> None:  # noqa: F811
    nobody = pwd.getpwnam("nobody").pw_uid
    unit = HelperUnit(open_folder, 'user = "nobody"\n' + program(example(open_folder)))
    os.chown(unit.path, nobody, -1)
    server = Server(open_folder / "server", config=f'user = "nobody"\nsandbox = "required"\n{CONFIG}{unit.key()}')
    try:
        assert is_granted(server)
        unit.kill()
        assert not is_granted(server)
        unit.begin()
        os.chown(unit.path, nobody, -1)
        wait_until("logins are judged again", lambda: is_granted(server))
    finally:
        server.finish()
        unit.finish()


@needs_root
def test_others_are_turned_away(open_folder: Path) -> None:  # noqa: F811
    unit = HelperUnit(open_folder, program(example(open_folder)))
    unit.path.chmod(0o666)
    connect = f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('{unit.path}'); print(s.recv(1))"
    for user in (65534, 65534, 7654):
        heard = subprocess.run([sys.executable, "-c", connect], user=user, capture_output=True, text=True, timeout=30)
        assert heard.stdout == "b''\n" or "ConnectionResetError" in heard.stderr, heard
    try:
        assert unit.errors().count("the user with the number 65534 is turned away: only root and 'stile' may ask") == 1
        assert "the user with the number 7654 is turned away" in unit.errors()
        assert not named(unit.process.pid, "stile-helper")
    finally:
        unit.finish()


def test_without_a_socket_it_says_how_to_start_it(tmp_path: Path) -> None:
    refused = stile("helper")
    assert refused.returncode == 1
    assert "cannot start: no socket was passed to it (start stile-helper.socket, or try systemd-socket-activate" in refused.stderr
    (tmp_path / "stile.toml").write_text("[command]\nprogram = 7\n")
    assert stile("helper", "--config", tmp_path / "stile.toml").returncode == 78
    assert "systemd-socket-activate --seqpacket" in stile("helper", "--help").stdout


def test_a_socket_of_another_kind_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.bind(str(tmp_path / "stream"))
        stream.listen()
        shell = ["bash", "-c", f'exec 3<&{stream.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "bash"]
        refused = run(*shell, BINARY, "helper", pass_fds=[stream.fileno()])
    assert refused.returncode == 1
    assert "is no listening Unix-domain seqpacket socket" in refused.stderr


def test_files_that_the_configuration_names_are_not_its_business(helper_unit, serve, tmp_path: Path) -> None:
    """The server's own file will do for it, though it could read none of these."""
    named_files = f"[users]\nfile = '{tmp_path}/none'\n[policy]\nlists = {{ some = 'none' }}\nrules = 'deny anyone to list:some'\n"
    unit = helper_unit(program(example(tmp_path)) + named_files)
    assert is_granted(serve(config=CONFIG + unit.key()))
