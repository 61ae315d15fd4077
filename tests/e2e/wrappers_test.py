"""Unchanged programs behind a wrapper that speaks SOCKS for them: Dante's socksify, Tor's torsocks."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dante_client import behind
from datagrams import DatagramEcho
from ftp_site import start_vsftpd
from name_server import A, NameServer
from networks import Namespace
from processes import ENVIRONMENT, free_port, run
from server import Server
from web import WebServer

FETCH = ("curl", "-sS", "--noproxy", "*")


@pytest.fixture
def site() -> Iterator[WebServer]:
    with closing(WebServer()) as server:
        yield server


@pytest.mark.parametrize("version", [4, 5])
def test_dante_connects(serve, site: WebServer, tmp_path: Path, version: int) -> None:
    server = serve()
    result = run("socksify", *FETCH, site.url, environment=behind(server, tmp_path, version))
    assert result.returncode == 0 and "second.js" in result.stdout
    server.wait_for_record(event="session.end", protocol=f"socks{version}", target=f"127.0.0.1:{site.port}")


def test_dante_leaves_names_to_the_proxy(serve, site: WebServer, tmp_path: Path) -> None:
    """Its library hands the program a made-up address and asks the proxy for the name."""
    server = serve()
    url = f"http://nobody.invalid:{site.port}/"
    result = run("socksify", *FETCH, "-4", url, environment=behind(server, tmp_path))
    assert result.returncode != 0
    assert server.wait_for_record(event="error", command="connect", reply=4)["target"] == f"nobody.invalid:{site.port}"


def test_dante_sends_datagrams(serve, tmp_path: Path) -> None:
    """netcat, which connects its socket and knows nothing of the header on each datagram."""
    server = serve()
    with closing(DatagramEcho()) as far:
        command = ["socksify", "nc", "-u", far.host, str(far.port)]
        environment = ENVIRONMENT | behind(server, tmp_path)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as client:
            assert client.stdin and client.stdout
            client.stdin.write(b"a question\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"a question\n"
            client.terminate()
    end = server.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"]) == (1, 1)


def test_dante_asks_dns(serve, tmp_path: Path) -> None:
    """A DNS client of its own, by datagrams: drill, since dig sends by a call that Dante's library does not wrap."""
    server, port = serve(), free_port()
    with closing(NameServer("127.0.0.1", {"far.example": ["192.0.2.10"]}, port)) as names:
        command = ("drill", "-u", "-p", port, "far.example", "@127.0.0.1", "A")
        result = run("socksify", *command, environment=behind(server, tmp_path))
        assert result.returncode == 0 and "192.0.2.10" in result.stdout, result.stdout + result.stderr
        assert ("far.example", A) in names.asked
    end = server.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"]) == (1, 1)


def test_ftp_in_active_mode(serve, daemon, tmp_path: Path) -> None:
    """The FTP server connects back: each data connection is a BIND, announced by the first reply, begun by the second."""
    server, (port, root) = serve(), start_vsftpd(daemon, tmp_path, passive=False)
    commands = f"binary\nget large {tmp_path}/got\ncd incoming\nput {tmp_path}/got sent\nquit\n"
    client = ("socksify", "tnftp", "-a", "-A", "-v", "127.0.0.1", port)
    assert run(*client, input=commands, environment=behind(server, tmp_path)).returncode == 0
    assert (tmp_path / "got").read_bytes() == (root / "large").read_bytes()
    assert (root / "incoming" / "sent").read_bytes() == (root / "large").read_bytes()
    server.wait_for_record(event="session.end", command="connect", target=f"127.0.0.1:{port}")
    down = server.wait_for_record(event="session.end", command="bind", bytes_down=5_000_000)
    up = server.wait_for_record(event="session.end", command="bind", bytes_up=5_000_000)
    assert down["session"] != up["session"]


@pytest.mark.parametrize("host", ["192.0.2.10", "far.example"])
def test_torsocks(serve, lone_host: Namespace, host: str) -> None:
    """It asks for a name by RESOLVE, then for the address by CONNECT, and lets nothing go past the proxy."""
    lone_host.run("ip", "address", "add", "192.0.2.10", "dev", "lo")
    lone_host.file("hosts", "127.0.0.1 localhost\n192.0.2.10 far.example\n")
    with lone_host.inside():
        server = serve(namespace=lone_host)
        with closing(WebServer("192.0.2.10")) as site:
            wrapper = (*lone_host.prefix(), "torsocks", "-a", server.proxy[0], "-P", server.proxy[1])
            result = run(*wrapper, *FETCH, f"http://{host}:{site.port}/")
    assert result.returncode == 0 and "second.js" in result.stdout
    server.wait_for_record(event="session.end", command="connect", target=f"192.0.2.10:{site.port}")
    if host == "far.example":
        assert str(server.wait_for_record(event="session.end", command="resolve")["target"]).startswith("far.example:")
