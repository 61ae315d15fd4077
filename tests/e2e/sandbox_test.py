"""The sandbox of a running server (security reference, section 6): who it is, what its threads have given up, and that
everything that it does later still works inside. What fails inside, src/server/enclosure_test.cc tries."""

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import raw_socks
from helpers import helper_of, named
from logins import GRANTED, log_in
from origins import echo
from processes import stile, wait_until
from server import Server

LISTENER = '[[listen]]\naddress = "127.0.0.1:PORT"\n'
NONE = "0" * 16

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def statuses(process: int) -> dict[int, dict[str, str]]:
    """What /proc says of each thread."""
    found = {}
    for thread in Path(f"/proc/{process}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        found[int(thread.name)] = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return found


def assert_enclosed(thread: dict[str, str], user: int) -> None:
    assert thread["Seccomp"] == "2" and thread["NoNewPrivs"] == "1", thread
    assert [thread[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NONE] * 4, thread
    assert thread["Uid"].split() == [str(user)] * 4, thread


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="stile-sandbox-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_every_thread_is_enclosed_and_workers_more(serve, tmp_path: Path) -> None:
    accounting = f'[accounting]\nfile = "{tmp_path}/accounts.db"\n[admin]\nsocket = "unix:{tmp_path}/control"\n'
    server = serve("--workers", 3, config=LISTENER + accounting)
    wait_until("the workers are enclosed", lambda: [s["Seccomp_filters"] for s in statuses(server.process.pid).values()].count("2") == 3)
    for thread in statuses(server.process.pid).values():
        assert_enclosed(thread, os.geteuid())
        assert os.geteuid() != 0 or thread["CapBnd"] == NONE
    wait_until("it says so", lambda: "files confined, system calls filtered" in server.errors())
    keepers = named(server.process.pid, "stile-files")
    assert len(keepers) == 1, "the process that opens the resolver's files"
    assert_enclosed(statuses(keepers[0])[keepers[0]], os.geteuid())
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    wait_until("it ends with its server", lambda: not Path(f"/proc/{keepers[0]}/fd").exists())
    server.process.returncode = 0  # as finish() expects of a server that was not killed


@needs_root
def test_it_becomes_the_user_and_everything_still_works(open_folder: Path, origin) -> None:
    nobody, state, run = pwd.getpwnam("nobody"), open_folder / "state", open_folder / "run"
    for folder in (state, run):
        folder.mkdir()
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    text = f'user = "nobody"\n{LISTENER}[accounting]\nfile = "{state}/accounts.db"\n[admin]\nsocket = "unix:{run}/control"\n'
    server, far = Server(open_folder / "server", config=text), origin(echo)
    wait_until("it serves", lambda: "sandbox: user nobody" in server.errors())
    assert (run / "control").stat().st_uid == nobody.pw_uid
    for thread in statuses(server.process.pid).values():
        assert_enclosed(thread, nobody.pw_uid)
        assert thread["Gid"].split() == [str(nobody.pw_gid)] * 4
    tunnel = raw_socks.tunnel(server.proxy, far.host, far.port)
    tunnel.sendall(b"hello")
    assert raw_socks.receive(tunnel, 5) == b"hello"
    assert (state / "accounts.db").stat().st_uid == nobody.pw_uid, "written by the user, so that it is read again"
    server.config_file.write_text(server.config_file.read_text() + '[policy]\nrules = "deny anyone to any"\n')
    assert stile("reload", "--config", server.config_file).returncode == 0
    with pytest.raises(ConnectionResetError):  # the new policy ended it
        raw_socks.receive(tunnel, 1)
    raw_socks.close_all()
    server.finish()
    assert not (run / "control").exists(), "its folder is the user's"


@needs_root
def test_helpers_with_more_rights_end_with_it(open_folder: Path) -> None:
    program = open_folder / "ask"
    program.write_text('#!/bin/sh\nwhile read -r line; do id=$(echo "$line" | sed \'s/.*"id":\\([0-9]*\\).*/\\1/\'); echo "{\\"id\\":$id,\\"ok\\":true}"; done\n')
    program.chmod(0o755)
    text = f'user = "nobody"\n{LISTENER}auth = "command"\n[command]\nprogram = ["{program}"]\n'
    server = Server(open_folder / "server", config=text)
    wait_until("the helper runs", lambda: helper_of(server.process.pid) is not None)
    helper = helper_of(server.process.pid)
    assert log_in(server.proxy, "alice", "secret")[1] == GRANTED
    raw_socks.close_all()
    server.finish()
    wait_until("the helper ends", lambda: not Path(f"/proc/{helper}/fd").exists())


def test_a_user_who_is_not_there_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")
    (tmp_path / "stile.toml").write_text('user = "nobody-is-called-so"\n[[listen]]\naddress = "127.0.0.1:0"\n')
    run = stile("serve", "--config", tmp_path / "stile.toml")
    assert run.returncode == 1
    assert "cannot become the user 'nobody-is-called-so': /etc/passwd has no such name" in run.stderr


def test_switched_off_and_required(serve) -> None:
    off = serve(config=f'sandbox = "off"\nuser = "root"\n{LISTENER}')
    assert {thread["Seccomp"] for thread in statuses(off.process.pid).values()} == {"0"}
    assert not named(off.process.pid, "stile-files") and "sandbox:" not in off.errors()
    required = serve(config=f'sandbox = "required"\n{LISTENER}')
    wait_until("it serves", lambda: "sandbox: " in required.errors())
    assert {thread["Seccomp"] for thread in statuses(required.process.pid).values()} == {"2"}


def test_a_reload_reads_what_lies_beside_and_nothing_else(serve, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = serve(config=LISTENER + f'[admin]\nsocket = "unix:{tmp_path}/control"\n')
    lists = '[policy]\nlists = {{ some = "{}" }}\nrules = "deny anyone to list:some"\n'
    text = server.config_file.read_text()
    for folder in (server.config_file.parent, elsewhere):
        (folder / "list").write_text("a.example\n")
    server.config_file.write_text(text + lists.format("list"))
    assert stile("reload", "--config", server.config_file).returncode == 0
    server.config_file.write_text(text + lists.format(elsewhere / "list"))
    refused = stile("reload", "--config", server.config_file)
    assert refused.returncode == 78 and f"{elsewhere}/list" in refused.stderr and "Permission denied" in refused.stderr


@needs_root
def test_resolver_files_that_are_replaced_are_found_again(serve, origin, tmp_path: Path) -> None:
    """As an editor or a network manager replaces them: another file under the same name."""
    folder = tmp_path / "etc"
    folder.mkdir()
    for name in ("passwd", "group", "localtime", "resolv.conf"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), folder / name)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    under = ["unshare", "--mount", "sh", "-c", f'mount --bind {folder} /etc && exec "$@"', "sh"]
    server, far = serve(under=under), origin(echo)

    def found() -> bool:
        return raw_socks.ask(server.proxy, raw_socks.request("replaced.example", far.port))[1].code == 0

    assert not found()
    (folder / "hosts.new").write_text("127.0.0.1 localhost\n127.0.0.1 replaced.example\n")
    (folder / "hosts.new").rename(folder / "hosts")
    wait_until("the name is known", found)
