"""Listening programs under `stile run`: FTP in its active mode, servers that fork; by BIND, with true addresses at both ends."""

import re
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from delay import Delay
from fenced import FAR, FAR_SIX, NOBODY, PORT, PROXY, RULES, Fenced, fence
from ftp_site import start_vsftpd
from networks import Lab
from processes import BINARY, Daemon, run, stile, wait_until
from server import Server

PYTHON = "/usr/bin/python3"
OUTSIDE, OUTSIDE_SIX = "203.0.113.1", "2001:db8:60::1"  # the proxy's, where FTP servers see it
GRANTED = RULES.replace("to tcp udp 203", "to tcp udp bind 203")
WITH_PORTS = GRANTED.replace("[policy]", '[bind]\nports = "41000-41009"\n[policy]')

if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without private networks", allow_module_level=True)


def fenced_by(lab: Lab, serve: Callable[..., Server], folder: Path, rules: str) -> Iterator[Fenced]:
    folder.chmod(0o755)
    with ExitStack() as stack:
        made = fence(lab, serve, stack, folder, rules)
        # Whoever is told the proxy's inside address finds it as well.
        made.far.run("ip", "route", "add", "10.60.0.0/24", "via", OUTSIDE)
        yield made


@pytest.fixture
def willing(lab: Lab, serve, tmp_path: Path) -> Iterator[Fenced]:
    """The proxy listens for its clients, at any port."""
    yield from fenced_by(lab, serve, tmp_path, GRANTED)


@pytest.fixture
def narrow(lab: Lab, serve, tmp_path: Path) -> Iterator[Fenced]:
    """It listens at ports of its own choice."""
    yield from fenced_by(lab, serve, tmp_path, WITH_PORTS)


# --- FTP ---

LIBRARY = """
import ftplib, io, sys
with ftplib.FTP() as ftp:
    ftp.connect(sys.argv[1], 21)
    ftp.login()
    ftp.set_pasv(sys.argv[2] == "passive")
    for turn in range(int(sys.argv[3])):
        kept = io.BytesIO()
        ftp.retrbinary("RETR large", kept.write)
        print(len(kept.getvalue()))
    print(ftp.storbinary(f"STOR incoming/from-{sys.argv[2]}", io.BytesIO(b"put")))
    print(ftp.sock.getsockname()[0])
"""


def client(name: str, host: str, mode: str) -> tuple[list[object], str]:
    """A program that gets `large`, and what it shows of it."""
    if name == "curl":
        flags = ["--ftp-port", "-"] if mode == "active" else []
        return ["curl", "--silent", "--show-error", *flags, "--write-out", "%{size_download}", "--output", "/dev/null",
                f"ftp://{host}/large"], ""  # fmt: skip
    if name == "ftplib":
        return [PYTHON, "-c", LIBRARY, host, mode, 2], ""
    return ["tnftp", "-a", "-A" if mode == "active" else "-p", "-v", host], "get large /dev/null\nbye\n"


@pytest.mark.parametrize("proxy", ["willing", "narrow"])
@pytest.mark.parametrize("mode", ["active", "passive"])
@pytest.mark.parametrize("name", ["curl", "ftplib", "tnftp"])
def test_ftp(request, daemon: Callable[..., Daemon], tmp_path: Path, name: str, mode: str, proxy: str) -> None:
    """The server connects to the address and port that its client has read of its own sockets."""
    fenced: Fenced = request.getfixturevalue(proxy)
    start_vsftpd(daemon, tmp_path, mode == "passive", (fenced.far, FAR, 21))
    command, words = client(name, "web.far.test", mode)
    done = fenced.run(*command, input=words, timeout=60, flags=("-v",))
    assert done.returncode == 0, done.stderr
    assert "5000000" in done.stdout
    if mode == "active":
        record = fenced.server.wait_for_record(command="bind", event="session.end")
        assert record["target"] == "web.far.test:21"
        assert record["address"].startswith(f"{FAR}:")
        assert record["bytes_down"] == 5_000_000
        assert "command=bind" in done.stderr
    assert fenced.leaked() == 0


def test_its_control_connection_knows_where_it_leaves(willing: Fenced, daemon, tmp_path: Path) -> None:
    start_vsftpd(daemon, tmp_path, False, (willing.far, FAR, 21))
    done = willing.run(PYTHON, "-c", LIBRARY, "web.far.test", "active", 1, flags=("-v",))
    assert done.stdout.splitlines()[-1] == OUTSIDE
    assert (tmp_path / "ftp/incoming/from-active").read_bytes() == b"put"


def test_over_ipv6(willing: Fenced, daemon, tmp_path: Path) -> None:
    """EPRT, from the proxy's IPv6 address."""
    start_vsftpd(daemon, tmp_path, False, (willing.far, FAR_SIX, 21))
    done = willing.run(PYTHON, "-c", LIBRARY, FAR_SIX, "active", 1, flags=("-v",))
    assert done.stdout.splitlines()[0] == "5000000"
    assert done.stdout.splitlines()[-1] == OUTSIDE_SIX
    assert willing.leaked() == 0


def test_through_two_proxies(willing: Fenced, lab: Lab, serve, daemon, tmp_path: Path) -> None:
    """The last one listens."""
    beyond = lab.host("beyond")
    lab.cable(willing.far, ["192.0.2.1/24"], beyond, ["192.0.2.2/24"])
    rules = "[policy]\nrules = 'allow anyone from 203.0.113.1 to tcp bind 192.0.2.0/24:1-65535'\n"
    second = serve(config=f'[[listen]]\naddress = "{FAR}:1081"\n{rules}', host=FAR, port=1081, namespace=willing.far)
    start_vsftpd(daemon, tmp_path, False, (beyond, "192.0.2.2", 21))
    done = willing.run(PYTHON, "-c", LIBRARY, "192.0.2.2", "active", 1, flags=("--via", f"socks5h://{FAR}:1081"))
    assert done.stdout.splitlines()[0] == "5000000"
    assert done.stdout.splitlines()[-1] == "192.0.2.1"
    assert second.wait_for_record(command="bind", event="session.end")["target"] == "192.0.2.2:21"
    assert {record["command"] for record in willing.server.records()} == {"connect"}


# --- servers ---

SERVER = """
import os, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=8, dualstack_ipv6=sys.argv[1] == "::")
print(server.getsockname()[1], flush=True)
for turn in range(int(sys.argv[3])):
    peer, address = server.accept()
    if os.fork() == 0:
        server.close()
        print(address[0].removeprefix("::ffff:"), address[1], peer.getsockname()[0].removeprefix("::ffff:"), flush=True)
        peer.sendall(peer.recv(100).upper())
        os._exit(0)
    peer.close()
"""
FORKING = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char** words) {
  int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (inet_pton(AF_INET, words[1], &own.sin_addr) != 1) return 2;
  if (own.sin_port && bind(server, (struct sockaddr*)&own, sizeof own) != 0) return 3;
  if (listen(server, 8) != 0) return 4;
  socklen_t size = sizeof own;
  getsockname(server, (struct sockaddr*)&own, &size);
  printf("%d\n", ntohs(own.sin_port));
  fflush(stdout);
  for (int turn = 0; turn < atoi(words[3]); ++turn) {
    struct sockaddr_in from, here;
    socklen_t length = sizeof from;
    int peer = accept(server, (struct sockaddr*)&from, &length);
    if (fork() == 0) {
      char room[100], there[64];
      length = sizeof here;
      getsockname(peer, (struct sockaddr*)&here, &length);
      inet_ntop(AF_INET, &from.sin_addr, there, sizeof there);
      printf("%s %d %s\n", there, ntohs(from.sin_port), inet_ntoa(here.sin_addr));
      fflush(stdout);
      ssize_t got = read(peer, room, sizeof room);
      for (ssize_t i = 0; i < got; ++i) room[i] -= room[i] >= 'a' ? 32 : 0;
      if (write(peer, room, got) != got) return 5;
      return 0;
    }
    close(peer);
  }
  while (wait(NULL) > 0) {}
  return 0;
}
"""


class Running:
    """A command that goes on, and what it says line by line."""

    def __init__(self, fenced: Fenced, *command: object, flags: tuple[str, ...] = (), user: str = "nobody") -> None:
        words = [*fenced.words("-v", *flags, user=user), *map(str, command)]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.told = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.told += line

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        code = self.process.wait(60)
        self.reader.join(10)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        print(self.told)


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        yield lambda *words, **options: stack.enter_context(closing(Running(*words, **options)))


def call(fenced: Fenced, host: str, port: int, text: bytes = b"text") -> tuple[str, int]:
    """A peer that comes from far; its own endpoint, after it was answered."""
    peers: list[socket.socket] = []

    def connected() -> bool:
        """Between two peers there is a moment in which the proxy does not listen."""
        try:
            peers.append(socket.create_connection((host, port), timeout=20))
        except ConnectionRefusedError:
            return False
        return True

    with fenced.far.inside():
        wait_until(f"somebody listens at {host}:{port}", connected)
    with peers[0] as peer:
        own = peer.getsockname()[:2]
        peer.sendall(text)
        assert peer.recv(100) == text.upper()
        return own


def kinds(place: Path, kind: str) -> list[object]:
    if kind == "python":
        return [PYTHON, "-c", SERVER]
    (place / "forking.c").write_text(FORKING)
    flags = ["-static"] if kind == "static" else []
    subprocess.run(["gcc", *flags, "-o", place / "forking", place / "forking.c"], check=True)
    (place / "forking").chmod(0o755)
    return [place / "forking"]


@pytest.mark.parametrize("wanted", [0, 4711])
@pytest.mark.parametrize("kind", ["python", "static", "dynamic"])
def test_a_forking_server(willing: Fenced, running, place: Path, kind: str, wanted: int) -> None:
    """Three peers, one after the other; each is seen as who it is, and what the program knows of itself is true."""
    server = running(willing, *kinds(place, kind), "0.0.0.0", wanted, 3)
    port = int(server.line())
    assert port == wanted or wanted == 0
    for _ in range(3):
        host, own_port = call(willing, PROXY, port)
        assert server.line() == f"{host} {own_port} {PROXY}"
    assert server.end() == 0

    def ended() -> list[dict]:
        return [record for record in willing.server.records() if record["event"] == "session.end"]

    wait_until("three sessions have ended", lambda: len(ended()) == 3)
    sessions = ended()
    assert [(record["command"], record["bytes_up"], record["bytes_down"]) for record in sessions] == [("bind", 4, 4)] * 3
    assert f"is reached at {PROXY}:{port}" in server.told
    assert server.told.count("session.end") == 3
    assert willing.leaked() == 0


def test_a_server_of_both_families(willing: Fenced, running) -> None:
    server = running(willing, PYTHON, "-c", SERVER, "::", 0, 1)
    host, own_port = call(willing, PROXY, int(server.line()))
    assert server.line() == f"{host} {own_port} {PROXY}"
    assert server.end() == 0


def test_another_port_than_the_wanted_one(narrow: Fenced, running) -> None:
    """It is told by `-v`; a program that left the choice to others has the one that the proxy gave."""
    server = running(narrow, PYTHON, "-c", SERVER, "0.0.0.0", 4711, 1)
    assert server.line() == "4711"
    wait_until("it is told", lambda: "is reached at" in server.told)
    place = re.search(r"0\.0\.0\.0:4711 is reached at 10\.60\.0\.1:(410\d\d)", server.told)
    assert place
    call(narrow, PROXY, int(place[1]))
    assert server.end() == 0
    free = running(narrow, PYTHON, "-c", SERVER, "0.0.0.0", 0, 1)
    assert 41000 <= int(free.line()) <= 41009


def test_the_proxys_port_is_given_back_with_the_socket(willing: Fenced, running) -> None:
    script = """
import socket
server = socket.create_server(("0.0.0.0", 0))
print(server.getsockname()[1], flush=True)
input()
server.close()
print("closed", flush=True)
input()
"""
    words = [*willing.words("-v"), PYTHON, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin and process.stdout
        port = int(process.stdout.readline())

        def open_there() -> bool:
            with willing.far.inside(), socket.socket() as probe:
                return probe.connect_ex((PROXY, port)) == 0

        # Nobody has called yet.
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"
        willing.server.wait_for_record(command="bind", event="error")
        assert not open_there()
        process.stdin.write("\n")
        process.stdin.flush()


def test_a_socket_that_is_bound_and_connects(willing: Fenced) -> None:
    """As some clients do: nothing waits for a peer of it."""
    script = """
import socket
one = socket.socket()
one.bind(("0.0.0.0", 0))
one.connect(("203.0.113.2", 80))
one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(one.recv(100)[:4])
"""
    assert willing.run(PYTHON, "-c", script).stdout == "b'HTTP'\n"
    willing.server.wait_for_record(command="bind", event="error")
    assert willing.server.wait_for_record(command="connect")["target"] == f"{FAR}:80"


def test_threads_and_signals(willing: Fenced, running) -> None:
    """A call that waits for the proxy is interrupted, and made again."""
    script = """
import signal, socket, threading, time
hits = 0
def caught(*_):
    global hits
    hits += 1
signal.signal(signal.SIGALRM, caught)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
sockets = []
def listen():
    for _ in range(10):
        one = socket.create_server(("0.0.0.0", 0))
        assert one.getsockname()[1] != 0
        sockets.append(one)
threads = [threading.Thread(target=listen) for _ in range(4)]
for thread in threads: thread.start()
listen()
for thread in threads: thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(sockets), len({one.getsockname()[1] for one in sockets}))
"""
    assert willing.run(PYTHON, "-c", script, timeout=60).stdout == "50 50\n"


def test_loopback_listens_inside(willing: Fenced) -> None:
    script = """
import socket
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.create_server((host, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2])
    server.accept()[0].sendall(b"inside")
    print(client.recv(6).decode())
"""
    assert willing.run(PYTHON, "-c", script).stdout == "inside\ninside\n"
    assert willing.server.records() == []


def test_programs_inside_reach_each_other(willing: Fenced) -> None:
    """A server that listens everywhere is still one of this network."""
    script = """
import socket
server = socket.create_server(("0.0.0.0", 0))
client = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
server.accept()[0].sendall(b"inside")
print(client.recv(6).decode())
"""
    assert willing.run(PYTHON, "-c", script).stdout == "inside\n"


def test_a_proxy_that_lets_nobody_come(fenced: Fenced) -> None:
    """It is asked once. Programs go on as if they were not heard."""
    script = """
import socket
for turn in range(5):
    server = socket.create_server(("0.0.0.0", 0))
    client = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
    server.accept()[0].sendall(b"inside")
    print(client.recv(6).decode())
"""
    done = fenced.run(PYTHON, "-c", script, flags=("-v",))
    assert done.stdout == "inside\n" * 5
    fenced.server.wait_for_record(command="bind", event="denied")
    assert [record["command"] for record in fenced.server.records()] == ["bind"]
    assert "programs listen inside only: the proxy does not listen for them (upstream.denied)" in done.stderr


def test_a_proxy_that_has_no_bind(fenced: Fenced) -> None:
    words = [word.replace("socks5h", "http") for word in fenced.words("-v")]
    done = run(*words, PYTHON, "-c", "import socket; print(socket.create_server(('', 0)).getsockname()[0])")
    assert done.stdout == "0.0.0.0\n"
    assert "programs listen inside only: the proxy does not listen for them (upstream.command)" in done.stderr


def test_one_within_another_listens_inside(willing: Fenced) -> None:
    """Calls are heard by the outer one alone, as the system has it."""
    inner = [str(BINARY), "run", "-v", "--via", "socks5h://192.0.2.1:1", "--"]
    done = willing.run(*inner, PYTHON, "-c", "import socket; print(socket.create_server(('127.0.0.1', 0)).fileno() > 0)", user="root")
    assert done.stdout == "True\n"
    assert "their calls be heard" in done.stderr


def test_who_has_come_and_is_not_taken_is_let_go(willing: Fenced, running) -> None:
    script = "import signal, socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); signal.pause()"
    server = running(willing, PYTHON, "-c", script)
    port = int(server.line())
    with willing.far.inside(), socket.create_connection((PROXY, port), timeout=20) as peer:
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 128 + signal.SIGTERM
        try:
            assert peer.recv(1) == b""
        except ConnectionResetError:
            pass


def test_a_proxy_that_comes_back(willing: Fenced, running, serve) -> None:
    """Who listens is reached again."""
    server = running(willing, PYTHON, "-c", SERVER, "0.0.0.0", 4711, 2)
    assert server.line() == "4711"
    call(willing, PROXY, 4711)

    def ended() -> bool:
        """At once, the second time: the first one lets it wait for a peer."""
        willing.server.process.send_signal(signal.SIGTERM)
        return willing.server.process.poll() is not None

    wait_until("the proxy has ended", ended)
    wait_until("its end was noticed", lambda: "upstream.failed" in server.told)
    serve(config=GRANTED, host=PROXY, port=PORT, namespace=willing.proxy)
    call(willing, PROXY, 4711)
    assert server.end() == 0


def test_what_a_listening_program_sent_last_is_delivered_by_a_slow_proxy(willing: Fenced, place: Path) -> None:
    """It ends before the proxy has granted its connection, while the proxy still listens for it."""
    script = """
import socket
listening = socket.create_server(("0.0.0.0", 0))
socket.create_connection(("web.far.test", 80)).sendall(b"GET / HTTP/1.0\\r\\nHost: last.test\\r\\n\\r\\n")
"""
    with willing.client.inside(), closing(Delay((PROXY, PORT), 0.2)) as road:
        words = [BINARY, "run", "--via", f"socks5h://127.0.0.1:{road.place[1]}", "--", PYTHON, "-c", script]
        assert run(*willing.client.prefix(), *NOBODY, *words).returncode == 0
    willing.server.wait_for_record(event="session.end", target="web.far.test:80", bytes_up=35)
