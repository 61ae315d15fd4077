"""`stile connect`: ssh through it, streams both ways through every kind of proxy, and how each end is told."""

import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import raw_socks
import traffic
from certificates import Authority
from origins import echo
from processes import BINARY, ENVIRONMENT, free_port, stile
from server import Server
from ssh_site import start_sshd

PLAIN = ["socks5", "socks5h", "socks4", "socks4a", "http"]
INSIDE_TLS = ["socks5+tls", "socks5h+tls", "socks4+tls", "socks4a+tls", "https"]
CONFIG = """
[[listen]]
address = "127.0.0.1:PORT"
tls = {{ certificate = "{own[0]}", key = "{own[1]}", optional = true }}
[policy]
rules = '''
no:  deny  anyone to 127.0.0.9
yes: allow anyone from loopback to loopback
'''
"""
MIB = 1 << 20


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture
def server(serve: Callable[..., Server], ca: Authority) -> Server:
    """Plain and TLS on one port."""
    return serve(config=CONFIG.format(own=ca.issue("server", "DNS:localhost")))


def words(server: Server, scheme: str, ca: Authority) -> list[str]:
    """The command up to HOST and PORT."""
    trust = ["--ca", str(ca.certificate)] if scheme in INSIDE_TLS else []
    return [str(BINARY), "connect", "--via", f"{scheme}://localhost:{server.proxy[1]}", *trust]


class Connect:
    """One run with pipes for its standard streams."""

    def __init__(self, command: list[str], host: str, port: int) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*command, host, str(port)], stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, bufsize=0
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.input, self.output, self.errors = self.process.stdin, self.process.stdout, self.process.stderr

    def finish(self) -> tuple[int, str]:
        code = self.process.wait(30)
        return code, self.errors.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.input, self.output, self.errors):
            stream.close()


@pytest.fixture
def connect(server: Server, ca: Authority):
    running: list[Connect] = []

    def start(port: int, scheme: str = "socks5h", host: str = "127.0.0.1") -> Connect:
        running.append(Connect(words(server, scheme, ca), host, port))
        return running[-1]

    yield start
    for one in running:
        one.close()


# --- What it carries ---


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http", "socks5h+tls", "https"])
def test_ssh_through_it(server, daemon, tmp_path: Path, ca, scheme: str) -> None:
    port, options = start_sshd(daemon, tmp_path / "ssh")
    bridge = " ".join(words(server, scheme, ca)) + " %h %p"
    command = ["ssh", *options, "-o", f"ProxyCommand={bridge}", "-p", str(port), "127.0.0.1"]

    def ssh(remote: str, text: str = "") -> str:
        return subprocess.run([*command, remote], input=text, capture_output=True, text=True, timeout=60, env=ENVIRONMENT).stdout

    assert ssh("echo from the other side") == "from the other side\n"
    text = "".join(f"line {number}\n" for number in range(50_000))
    assert ssh("cat", text) == text
    assert server.wait_for_record(event="session.end")["target"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("scheme", PLAIN + INSIDE_TLS)
def test_large_streams_both_ways_and_the_clients_end_first(server, origin, tmp_path: Path, ca, scheme: str) -> None:
    up, down = os.urandom(9 * MIB + 1), os.urandom(9 * MIB + 3)
    (tmp_path / "up").write_bytes(up)

    def far_end(connection: socket.socket) -> None:
        digest = hashlib.sha256()
        while piece := connection.recv(1 << 16):
            digest.update(piece)
        connection.sendall(digest.digest() + down)  # behind the client's end: half-closed

    far = origin(far_end)
    with (tmp_path / "up").open("rb") as source, (tmp_path / "down").open("wb") as sink:
        command = [*words(server, scheme, ca), "127.0.0.1", str(far.port)]
        result = subprocess.run(command, stdin=source, stdout=sink, stderr=subprocess.PIPE, timeout=60, env=ENVIRONMENT)
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "down").read_bytes() == hashlib.sha256(up).digest() + down
    end = server.wait_for_record(event="session.end")
    assert (end["bytes_up"], end["bytes_down"], end["reason"]) == (len(up), 32 + len(down), "fin.client")


@pytest.mark.parametrize("scheme", ["socks5h", "https"])
def test_both_ways_at_once(connect, origin, scheme: str) -> None:
    far = origin(echo)
    client = connect(far.port, scheme)
    sent = traffic.in_thread(lambda: [client.input.write(bytes(block)) for block in traffic.blocks(3, 16 * MIB)] and client.input.close())
    digest = hashlib.sha256()
    while piece := client.output.read(1 << 16):
        digest.update(piece)
    sent.result(30)
    assert digest.hexdigest() == traffic.digest_of(3, 16 * MIB)
    assert client.finish() == (0, "")


def test_names_go_to_the_proxy(connect, origin) -> None:
    far = origin(echo)
    for scheme in ("socks5h", "socks4a", "http"):
        client = connect(far.port, scheme, "localhost")
        client.input.write(b"by name")
        assert client.output.read(100) == b"by name"
        client.input.close()
        assert client.finish() == (0, "")


# --- How it ends ---


@pytest.mark.parametrize("scheme", ["socks5h", "https"])
def test_the_targets_end_first(connect, origin, scheme: str) -> None:
    far = origin()
    client = connect(far.port, scheme)
    at_target = far.accept()
    at_target.sendall(b"all of it")
    at_target.shutdown(socket.SHUT_WR)
    assert client.output.read(100) + client.output.read(100) == b"all of it", "whoever reads it sees the end"
    client.input.write(b"still")
    assert raw_socks.receive(at_target, 5) == b"still"
    client.input.close()
    traffic.expect_end(at_target)
    assert client.finish() == (0, "")


@pytest.mark.parametrize("scheme", ["socks5h", "https"])
def test_a_reset_is_a_failure(connect, origin, scheme: str) -> None:
    far = origin()
    client = connect(far.port, scheme)
    at_target = far.accept()
    client.input.write(b"something")
    assert raw_socks.receive(at_target, 9) == b"something"
    traffic.reset(at_target)
    assert client.output.read(100) == b""
    code, errors = client.finish()
    assert code == 1
    assert errors.startswith("stile: cannot go on with 127.0.0.1:") and "the connection was reset (" in errors


def test_a_reader_that_has_gone(connect, origin) -> None:
    far = origin()
    client = connect(far.port)
    at_target = far.accept()
    at_target.sendall(b"first")
    assert client.output.read(5) == b"first"
    client.output.close()
    at_target.sendall(b"more")
    code, errors = client.finish()
    assert code == 1 and errors.endswith(": standard output cannot be written\n")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            at_target.sendall(b"x" * MIB)


def test_an_input_that_cannot_be_read(server, origin, ca, tmp_path: Path) -> None:
    far, folder = origin(echo), os.open(tmp_path, os.O_RDONLY)
    command = [*words(server, "socks5h", ca), "127.0.0.1", str(far.port)]
    result = subprocess.run(command, stdin=folder, capture_output=True, text=True, timeout=30, env=ENVIRONMENT)
    os.close(folder)
    assert result.returncode == 1 and result.stderr.endswith(": standard input cannot be read\n")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once(connect, origin, how: signal.Signals) -> None:
    far = origin()
    client = connect(far.port)
    at_target = far.accept()
    at_target.sendall(b"in the middle")
    assert client.output.read(100) == b"in the middle"
    client.process.send_signal(how)
    code, errors = client.finish()
    assert code == 1 and errors.endswith(": it was interrupted\n")
    try:
        assert at_target.recv(1) == b""
    except ConnectionResetError:
        pass


def test_an_interrupt_before_the_proxy_answers(origin) -> None:
    silent = origin()
    client = Connect([str(BINARY), "connect", "--via", f"socks5h://127.0.0.1:{silent.port}"], "127.0.0.1", 1)
    assert raw_socks.receive(silent.accept(), 3) == raw_socks.GREETING
    client.process.send_signal(signal.SIGINT)
    assert client.finish() == (1, f"stile: cannot connect to 127.0.0.1:1 through socks5h://127.0.0.1:{silent.port}: it was interrupted\n")
    client.close()


# --- What is refused ---


@pytest.mark.parametrize("scheme", PLAIN + INSIDE_TLS)
def test_a_target_that_refuses_or_is_denied(server, ca, scheme: str) -> None:
    for host, port in (("127.0.0.1", free_port()), ("127.0.0.9", 80)):
        read, write = os.pipe()
        os.write(write, b"for whoever comes next")
        os.close(write)
        command = [*words(server, scheme, ca), host, str(port)]
        result = subprocess.run(command, stdin=read, capture_output=True, text=True, timeout=30, env=ENVIRONMENT)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"stile: cannot connect to {host}:{port} through {scheme}://localhost:")
        assert os.read(read, 100) == b"for whoever comes next", "nothing of it was read"
        os.close(read)
    server.wait_for_record(event="denied", rule="no")


def test_mistakes_are_usage(server) -> None:
    via = ("--via", "socks5h://127.0.0.1:1")
    for arguments, message in (
        (("host.example",), "'connect' needs PORT behind HOST: 1 to 65535"),
        ((), "'connect' needs HOST"),
        (("host.example", "0"), "cannot use PORT"),
        (("host.example", "ssh"), "cannot use PORT"),
        (("host.example", "22", "23"), "one word too many"),
        (("bad host", "22"), "cannot use HOST"),
    ):
        result = stile("connect", *via, *arguments)
        assert result.returncode == 2 and message in result.stderr, result.stderr
    assert stile("connect", "host.example", "22").stderr.startswith("stile: cannot connect: no proxy is named (add --via")


def test_what_no_proxy_names_is_reached_without_one(origin) -> None:
    """Where the environment names the proxy; --via is obeyed."""
    far, nobody = origin(echo), free_port()
    variables = {"ALL_PROXY": f"socks5h://127.0.0.1:{nobody}", "NO_PROXY": "127.0.0.0/8,localhost"}
    for host in ("127.0.0.1", "localhost"):
        result = stile("connect", host, far.port, environment=variables, input="hello")
        assert (result.returncode, result.stdout) == (0, "hello"), result.stderr
    refused = stile("connect", "127.0.0.1", nobody, environment=variables)
    assert refused.returncode == 1 and "without a proxy: nobody listens there (no proxy was asked" in refused.stderr
    told = stile("connect", "--via", variables["ALL_PROXY"], "127.0.0.1", far.port, environment=variables)
    assert told.returncode == 1 and f"through {variables['ALL_PROXY']}: nobody listens there" in told.stderr


def test_verbose_says_which_way_is_taken_and_by_whose_word(origin, server) -> None:
    far, url = origin(echo), f"socks5h://127.0.0.1:{server.proxy[1]}"

    def told(*words: object, **variables: str) -> list[str]:
        result = stile("connect", "-v", *words, "127.0.0.1", far.port, environment=variables, input="hello")
        assert (result.returncode, result.stdout) == (0, "hello"), result.stderr
        return result.stderr.splitlines()

    target = f"stile: 127.0.0.1:{far.port}"
    assert told("--via", url) == [f"{target} through {url} (--via)"]
    assert told(ALL_PROXY=url) == [f"{target} through {url} (ALL_PROXY)"]
    assert told(all_proxy=url, NO_PROXY="10.0.0.0/8, example.org") == [
        f"{target} through {url} (all_proxy): NO_PROXY does not name it"
    ]
    assert told(ALL_PROXY=url, no_proxy="example.org, 127.0.0.0/8") == [
        f"{target} without {url} (ALL_PROXY): no_proxy names it by '127.0.0.0/8'"
    ]
