"""Stile as a service: the units that are shipped, judged by systemd-analyze; what it tells the service manager, whom the
test plays; and sockets that are passed to it, by systemd-socket-activate."""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import raw_socks
from origins import echo
from processes import BINARY, ENVIRONMENT, ROOT, accepts, free_port, run, wait_until
from sandbox_test import statuses
from server import Server

UNITS = ROOT / "packaging" / "systemd"
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

needs_activation = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not installed"
)


class Manager:
    """The end of a service manager at which its service speaks."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))

    def hear(self, timeout: float = 20) -> dict[str, str]:
        self.socket.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def words(self, *more: str) -> list[str]:
        """Before a command that is to speak with it."""
        return ["env", f"NOTIFY_SOCKET={self.path}", *more]

    def hear_nothing(self) -> bool:
        """For long enough that whoever turns would have spoken several times."""
        try:
            while True:
                self.hear(2)
        except TimeoutError:
            return True


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.socket.close()


# --- The units ---


def test_the_unit_is_as_closed_as_it_says() -> None:
    """Security reference, 6.3: at most 1.5."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the unit's exposure is not judged")
    judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", UNITS / "stile.service")
    assert judged.returncode == 0 and "Overall exposure level" in judged.stdout, judged.stdout[-200:]


@pytest.mark.parametrize(("asked", "most"), [(False, 5), (True, 16)])
def test_the_unit_of_the_helper_is_as_closed_as_it_says(tmp_path: Path, asked: bool, most: int) -> None:
    """Security reference, 6.4: 1.3 for PAM alone. It is 0.5 at most, and 1.6 with all that the example of its drop-in gives: root
    and the network."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the unit's exposure is not judged")
    shutil.copy(UNITS / "stile-helper.service", tmp_path)
    if asked:
        example = (UNITS / "stile-helper.service.d" / "judges.conf.example").read_text()
        settings = [line.removeprefix("# ") for line in example.splitlines() if re.match(r"# \w+=", line)]
        assert len(settings) == 6
        with (tmp_path / "stile-helper.service").open("a") as unit:
            unit.write("\n".join(["[Service]", *settings, ""]))
    judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", tmp_path / "stile-helper.service")
    assert judged.returncode == 0 and "Overall exposure level" in judged.stdout, judged.stdout[-200:]


def test_the_units_hold_no_mistake(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the units are not judged")
    units = ["stile.service", "stile.socket", "stile-helper.service", "stile-helper.socket"]
    for unit in units:
        text = (UNITS / unit).read_text().replace("ExecStart=/usr/bin/stile", f"ExecStart={BINARY}")
        (tmp_path / unit).write_text(text)
    judged = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *(tmp_path / unit for unit in units))
    ours = [line for line in judged.stderr.splitlines() if "/stile.s" in line or line.startswith("stile.s")]
    assert not ours, ours


# --- What it says ---


def test_the_manager_hears_of_each_state(manager: Manager, tmp_path: Path) -> None:
    server = Server(tmp_path / "server", config='[[listen]]\naddress = "127.0.0.1:PORT"\n', under=manager.words())
    ready = manager.hear()
    assert ready["READY"] == "1" and ready["STATUS"].startswith("serving 1 listener")
    server.process.send_signal(signal.SIGHUP)
    reloading = manager.hear()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert manager.hear()["READY"] == "1"
    server.config_file.write_text("nonsense")
    server.process.send_signal(signal.SIGHUP)
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear()["READY"] == "1", "it serves on with the configuration that it had"
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes()
    assert b"NOTIFY_SOCKET" in environment, "the kernel shows that of the start"
    server.finish()
    assert manager.hear()["STOPPING"] == "1"


def test_the_manager_hears_of_the_helper_unit(manager: Manager, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as passed_one:
        passed_one.bind(str(tmp_path / "helper.sock"))
        passed_one.listen()
        shell = ["bash", "-c", f'exec 3<&{passed_one.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "bash"]
        command = manager.words(*shell, str(BINARY), "helper")
        helper = subprocess.Popen(command, pass_fds=[passed_one.fileno()], env=ENVIRONMENT)
        try:
            assert manager.hear() == {"READY": "1", "STATUS": "waiting for servers"}
            helper.send_signal(signal.SIGTERM)
            assert manager.hear()["STOPPING"] == "1"
            assert helper.wait(30) == 0
        finally:
            helper.kill()
            helper.wait()


def test_a_server_that_cannot_start_is_not_ready(manager: Manager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failed = run(*manager.words(), BINARY, "serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert failed.returncode == 1
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="stopping one thread of a server needs root")
def test_one_worker_that_hangs_silences_the_watchdog(manager: Manager, tmp_path: Path) -> None:
    server = Server(tmp_path / "server", "--workers", 3, under=manager.words("WATCHDOG_USEC=400000"))
    assert manager.hear()["READY"] == "1"
    for _ in range(5):
        assert manager.hear() == {"WATCHDOG": "1"}
    worker = [thread for thread, status in statuses(server.process.pid).items() if status["Seccomp_filters"] == "2"][1]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        assert libc.ptrace(request, worker, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(worker, WALL)
    assert manager.hear_nothing(), "two of three still turn"
    assert libc.ptrace(PTRACE_DETACH, worker, None, None) == 0
    assert manager.hear() == {"WATCHDOG": "1"}, "and all of them again"
    server.finish()


# --- Sockets that were passed ---


@needs_activation
def test_sockets_of_the_manager_are_served(serve, origin, tmp_path: Path) -> None:
    port, path, far = free_port(), tmp_path / "passed.sock", origin(echo)
    listeners = f'[[listen]]\naddress = "127.0.0.1:PORT"\n[[listen]]\naddress = "unix:{path}"\n[[listen]]\naddress = "127.0.0.1:{free_port()}"\n'
    under = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", f"--listen={path}"]
    server = serve("--workers", 2, config=listeners, port=port, under=under)
    before = os.stat(path).st_ino
    for _ in range(20):  # whichever worker takes it
        tunnel = raw_socks.tunnel(server.proxy, far.host, far.port)
        tunnel.sendall(b"passed")
        assert raw_socks.receive(tunnel, 6) == b"passed"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(raw_socks.GREETING)
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    server.process.send_signal(signal.SIGHUP)
    wait_until("it has reloaded", lambda: "reloaded (generation 1)" in server.errors())
    raw_socks.tunnel(server.proxy, far.host, far.port)
    raw_socks.close_all()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert os.stat(path).st_ino == before, "the file belongs to the manager"
    assert not accepts(*server.proxy)


def passed(descriptor: int, *words: object) -> subprocess.CompletedProcess[str]:
    """One run of a server that has this descriptor for its first passed one."""
    shell = ["bash", "-c", f'exec 3<&{descriptor}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "bash", str(BINARY), "serve"]
    return subprocess.run([*shell, *map(str, words)], pass_fds=[descriptor], capture_output=True, text=True, timeout=30, env=ENVIRONMENT)


def test_a_socket_that_no_listener_names_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stray:
        port = stray.getsockname()[1]
        refused = passed(stray.fileno(), "--listen", "127.0.0.1:0")
    assert refused.returncode == 1
    assert f"cannot serve 127.0.0.1:{port}, which the service manager has opened: no listener has that address" in refused.stderr


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        assert "is no listening stream socket" in passed(datagrams.fileno(), "--listen", "127.0.0.1:0").stderr
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        address = f"[::]:{both.getsockname()[1]}"
        policy = '[policy]\nrules = "allow anyone from fd00::/8 to public"\n'
        (tmp_path / "stile.toml").write_text(f'[[listen]]\naddress = "{address}"\n{policy}')
        refused = passed(both.fileno(), "--config", tmp_path / "stile.toml")
    assert refused.returncode == 1
    assert f"cannot listen on {address}: the service manager's socket takes IPv4 as well" in refused.stderr
