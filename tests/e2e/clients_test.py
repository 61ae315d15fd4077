"""Programs that people use, unchanged, through the proxy to real servers on this machine."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from browser import load_page
from ftp_site import start_vsftpd
from processes import free_port, run, wait_until
from server import Server
from ssh_site import start_sshd
from web import WebServer


@pytest.fixture
def web(serve) -> Iterator[Callable[..., WebServer]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(WebServer(*arguments)))


def went_through(server: Server, target: str, protocol: str = "socks5") -> None:
    """The proxy's own word that it carried the conversation."""
    start = server.wait_for_record(event="session.start", target=target)
    assert start["protocol"] == protocol, start
    server.wait_for_record(event="session.end", session=start["session"])


# --- Web ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "host", "asked"),
    [
        ("socks5", "127.0.0.1", "127.0.0.1"),
        ("socks5h", "127.0.0.1", "127.0.0.1"),
        ("socks5", "::1", "[::1]"),
        ("socks5h", "::1", "[::1]"),
        ("socks5h", "localhost", "localhost"),
        ("socks4", "127.0.0.1", "127.0.0.1"),
        ("socks4a", "localhost", "localhost"),
    ],
)
def test_curl(serve, web, scheme: str, host: str, asked: str) -> None:
    server, site = serve(), web("::1" if ":" in host else "127.0.0.1")
    url = f"http://{asked}:{site.port}/"
    result = run("curl", "-sS", "--noproxy", "", "-x", "{}://{}:{}".format(scheme, *server.proxy), url)
    assert result.returncode == 0 and "second.js" in result.stdout
    went_through(server, f"{asked}:{site.port}", scheme[:6])


def test_curl_shows_why_it_was_refused(serve) -> None:
    server = serve()
    result = run("curl", "-sS", "--noproxy", "", "-x", "socks5h://{}:{}".format(*server.proxy), f"http://127.0.0.1:{free_port()}/")
    assert result.returncode == 97 and "(5)" in result.stderr  # curl's word for REP 05


def test_git_clones_over_http(serve, web, tmp_path: Path) -> None:
    made, bare = tmp_path / "made", tmp_path / "repositories" / "project.git"
    made.mkdir()
    (made / "large").write_bytes(os.urandom(4_000_000))
    identity = ("-c", "user.name=Stile", "-c", "user.email=stile@example.com")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one file"]):
        assert run("git", "-C", made, *words).returncode == 0
    assert run("git", "clone", "-q", "--bare", made, bare).returncode == 0
    server, site = serve(), web("127.0.0.1", bare.parent)
    proxy = "http.proxy=socks5h://{}:{}".format(*server.proxy)
    clone = run("git", "-c", proxy, "clone", "-q", f"{site.url}/git/project.git", tmp_path / "clone")
    assert clone.returncode == 0
    assert (tmp_path / "clone" / "large").read_bytes() == (made / "large").read_bytes()
    went_through(server, f"127.0.0.1:{site.port}")


def test_chromium_loads_a_page(serve, web, tmp_path: Path) -> None:
    server, site = serve(), web()
    load_page(site, "socks5://{}:{}".format(*server.proxy), tmp_path)
    went_through(server, f"127.0.0.1:{site.port}")
    assert len(set(site.peers)) <= len(server.records()), "a request went past the proxy"


# --- Shells and files ---------------------------------------------------------------------------------------------


@pytest.fixture
def ssh_server(serve, daemon, tmp_path: Path) -> tuple[int, list[str]]:
    return start_sshd(daemon, tmp_path / "ssh")


@pytest.mark.parametrize("bridge", ["ncat --proxy {0}:{1} --proxy-type socks5 %h %p", "nc -X 5 -x {0}:{1} %h %p"])
def test_ssh(serve, ssh_server: tuple[int, list[str]], bridge: str) -> None:
    server, (port, options) = serve(), ssh_server
    command = ["ssh", *options, "-o", f"ProxyCommand={bridge.format(*server.proxy)}", "-p", port, "127.0.0.1"]
    assert run(*command, "echo from the other side").stdout == "from the other side\n"
    # A pipe through the remote cat: interactive traffic both ways, then the end of input as the end of the session.
    text = "".join(f"line {number}\n" for number in range(50_000))
    assert run(*command, "cat", input=text).stdout == text
    went_through(server, f"127.0.0.1:{port}")


def test_ftp_in_passive_mode(serve, daemon, tmp_path: Path) -> None:
    """Control and data connection both go through the proxy, down and up."""
    server, (port, root) = serve(), start_vsftpd(daemon, tmp_path, passive=True)
    proxy = ("--noproxy", "", "-x", "socks5h://{}:{}".format(*server.proxy))
    url = f"ftp://127.0.0.1:{port}"
    assert run("curl", "-sS", *proxy, "-o", tmp_path / "got", f"{url}/large").returncode == 0
    assert (tmp_path / "got").read_bytes() == (root / "large").read_bytes()
    assert run("curl", "-sS", *proxy, "-T", tmp_path / "got", f"{url}/incoming/sent").returncode == 0
    assert (root / "incoming" / "sent").read_bytes() == (root / "large").read_bytes()
    wait_until("four sessions end", lambda: [record["event"] for record in server.records()].count("session.end") == 4)
    targets = {record["target"] for record in server.records()}
    assert f"127.0.0.1:{port}" in targets and len(targets) == 3, "one control port and two data ports"


def test_telnet(serve, origin, tmp_path: Path) -> None:
    """An unchanged telnet: proxychains gives it SOCKS5 by wrapping its connect, as people do who have a proxy."""
    shell = tmp_path / "shell"
    # It ends with the client's input: telnetd drops what a program has just written when it ends.
    shell.write_text("#!/bin/sh\necho welcome\nread line\necho you said $line\nread end\n")
    shell.chmod(0o755)

    def telnetd(connection: socket.socket) -> None:
        subprocess.run(["/usr/sbin/telnetd", "-E", shell], stdin=connection, stdout=connection, stderr=subprocess.DEVNULL)

    server, far = serve(), origin(telnetd)
    (tmp_path / "proxychains.conf").write_text("strict_chain\n[ProxyList]\nsocks5 {} {}\n".format(*server.proxy))
    command = ["proxychains4", "-q", "-f", str(tmp_path / "proxychains.conf"), "telnet", "127.0.0.1", str(far.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdin and client.stdout

        def read_to(words: bytes) -> None:
            line = b"-"
            while words not in line and line:
                line = client.stdout.readline()
            assert words in line

        read_to(b"welcome")
        client.stdin.write(b"over the stile\n")
        client.stdin.flush()
        read_to(b"you said over the stile")
        client.stdin.close()
        client.wait(20)
    went_through(server, f"127.0.0.1:{far.port}")
