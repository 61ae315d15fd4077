"""Programs that people use, unchanged, through the HTTP side of the proxy."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import http_origins
import pytest
import raw_socks
from browser import load_page
from http_origins import HttpOrigin, Nginx, Reader, ask, receive_response
from networks import Namespace
from origins import echo
from processes import Daemon, free_port, run, wait_until
from server import Server
from web import WebServer


@pytest.fixture
def web(serve) -> Iterator[Callable[..., WebServer]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(WebServer(*arguments)))


@pytest.fixture
def site(serve) -> Iterator[Callable[..., HttpOrigin]]:
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(closing(HttpOrigin(*arguments, **options)))


@pytest.fixture
def nginx(serve, daemon, tmp_path: Path) -> Nginx:
    if not Path("/usr/sbin/nginx").exists():
        pytest.skip("nginx is not installed")
    server = Nginx(tmp_path / "nginx", free_port(), free_port())
    for folder in list((tmp_path / "nginx").parents)[:-2]:
        folder.chmod(folder.stat().st_mode | 0o005)  # its workers are somebody else
    daemon(*server.command()).wait_for_port("127.0.0.1", server.port)
    return server


def curl(server: Server, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run("curl", "-sS", "--noproxy", "", "-x", "http://{}:{}".format(*server.proxy), *arguments)


def outcomes(server: Server, **expected: object) -> list[dict]:
    return [record for record in server.records() if {"event": "session.end", **expected}.items() <= record.items()]


# --- curl ---------------------------------------------------------------------------------------------------------


def test_curl_reuses_its_connection(serve, site) -> None:
    server, far = serve(), site()
    urls = [f"{far.url}/{path}" for path in ("length/3", "chunked/5", "length/1")]
    result = curl(server, "-v", *urls, *("-o", "/dev/null") * 3)
    assert result.returncode == 0 and result.stderr.count("Re-using existing connection") == 2
    assert len(far.peers) == 1
    wait_until("three sessions end", lambda: len(outcomes(server, command="forward")) == 3)


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_curl_downloads(serve, site, tmp_path: Path, version: str, framing: str) -> None:
    server, far = serve(), site()
    assert curl(server, version, f"{far.url}/{framing}/5000000", "-o", tmp_path / "got").returncode == 0
    assert (tmp_path / "got").read_bytes() == http_origins.octets(5_000_000)


@pytest.mark.parametrize("fields", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["-H", "Expect:"]])
def test_curl_uploads(serve, site, tmp_path: Path, fields: list[str]) -> None:
    server, far = serve(), site()
    (tmp_path / "sent").write_bytes(os.urandom(3_000_000))
    digest = hashlib.sha256((tmp_path / "sent").read_bytes()).hexdigest()
    result = curl(server, "-T", tmp_path / "sent", *fields, f"{far.url}/sum")
    assert result.returncode == 0 and result.stdout == digest


def test_curl_through_connect_to_tls(serve, nginx: Nginx, tmp_path: Path) -> None:
    server = serve()
    (nginx.folder / "www" / "large").write_bytes(os.urandom(8_000_000))
    url = f"https://localhost:{nginx.tls_port}/large"
    result = curl(server, "--cacert", nginx.folder / "certificate.pem", url, "-o", tmp_path / "got")
    assert result.returncode == 0
    assert (tmp_path / "got").read_bytes() == (nginx.folder / "www" / "large").read_bytes()
    server.wait_for_record(event="session.end", command="connect", protocol="http", target=f"localhost:{nginx.tls_port}")


def test_curl_with_nginx(serve, nginx: Nginx, tmp_path: Path) -> None:
    server = serve()
    (nginx.folder / "www" / "large").write_bytes(os.urandom(8_000_000))
    urls = [f"http://127.0.0.1:{nginx.port}/large", f"http://127.0.0.1:{nginx.port}/none", f"http://127.0.0.1:{nginx.port}/large"]
    result = curl(server, "-w", "%{http_code} ", *urls, "-o", tmp_path / "a", "-o", tmp_path / "b", "-o", tmp_path / "c")
    assert result.stdout.split() == ["200", "404", "200"]
    for name in ("a", "c"):
        assert (tmp_path / name).read_bytes() == (nginx.folder / "www" / "large").read_bytes()
    part = curl(server, "-r", "100-199", urls[0], "-o", tmp_path / "part")
    assert part.returncode == 0
    assert (tmp_path / "part").read_bytes() == (nginx.folder / "www" / "large").read_bytes()[100:200]
    head = curl(server, "-I", urls[0], urls[0])
    assert head.stdout.count("Content-Length: 8000000") == 2


def test_curl_shows_why_it_was_refused(serve) -> None:
    server = serve()
    tunnel = curl(server, "-p", f"http://127.0.0.1:{free_port()}/")
    assert tunnel.returncode == 56 and "502" in tunnel.stderr
    forward = curl(server, "-w", "%{http_code}", f"http://127.0.0.1:{free_port()}/")
    assert forward.stdout.endswith("502")
    denied = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[policy]\nrules = "deny anyone to any"\n')
    assert curl(denied, "-w", "%{http_code}", "http://127.0.0.1:1/").stdout.endswith("403")


# --- Others -------------------------------------------------------------------------------------------------------


def test_git_clones(serve, web, tmp_path: Path) -> None:
    """With the requests that git posts, through a forwarding proxy."""
    made, bare = tmp_path / "made", tmp_path / "repositories" / "project.git"
    made.mkdir()
    (made / "large").write_bytes(os.urandom(4_000_000))
    identity = ("-c", "user.name=Stile", "-c", "user.email=stile@example.com")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one file"]):
        assert run("git", "-C", made, *words).returncode == 0
    assert run("git", "clone", "-q", "--bare", made, bare).returncode == 0
    server, site = serve(), web("127.0.0.1", bare.parent)
    proxy = "http.proxy=http://{}:{}".format(*server.proxy)
    assert run("git", "-c", proxy, "clone", "-q", f"{site.url}/git/project.git", tmp_path / "clone").returncode == 0
    assert (tmp_path / "clone" / "large").read_bytes() == (made / "large").read_bytes()
    wait_until("its requests are recorded", lambda: len(outcomes(server, command="forward")) >= 2)


def test_chromium_loads_a_page(serve, web, tmp_path: Path) -> None:
    server, site = serve(), web()
    load_page(site, "http://{}:{}".format(*server.proxy), tmp_path)
    assert outcomes(server, target=f"127.0.0.1:{site.port}", command="forward")


def test_urllib(serve, site) -> None:
    server, far = serve(), site()
    proxies = urllib.request.ProxyHandler({"http": "http://{}:{}".format(*server.proxy)})
    opener = urllib.request.build_opener(proxies)
    for framing in ("length", "chunked", "close"):
        with opener.open(f"{far.url}/{framing}/100000", timeout=30) as answer:
            assert answer.read() == http_origins.octets(100000)
    with opener.open(f"{far.url}/sum", data=b"a form", timeout=30) as answer:
        assert answer.read().decode() == hashlib.sha256(b"a form").hexdigest()


def test_python_http_server(serve, daemon, tmp_path: Path) -> None:
    """An origin of HTTP/1.0: each answer ends its connection, and the client's stays."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file").write_bytes(os.urandom(1_000_000))
    port = free_port()
    far: Daemon = daemon("/usr/bin/python3", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", tmp_path / "www")
    far.wait_for_port("127.0.0.1", port)
    server = serve()
    url = f"http://127.0.0.1:{port}/file"
    assert curl(server, "-v", url, url, "-o", tmp_path / "a", "-o", tmp_path / "b").stderr.count("Re-using") == 1
    for name in ("a", "b"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "www" / "file").read_bytes()


def test_ncat(serve, origin) -> None:
    server, far = serve(), origin(echo)
    proxy = "{}:{}".format(*server.proxy)
    result = run("ncat", "--proxy", proxy, "--proxy-type", "http", "127.0.0.1", far.port, input="over the stile\n")
    assert result.stdout == "over the stile\n"
    server.wait_for_record(event="session.end", command="connect", protocol="http")


def test_pysocks(serve, origin) -> None:
    socks = pytest.importorskip("socks", reason="PySocks (python3-socks) is not installed")
    server, far = serve(), origin(echo)
    with socks.socksocket() as client:
        client.set_proxy(socks.HTTP, *server.proxy)
        client.settimeout(20)
        client.connect(("localhost", far.port))
        client.sendall(b"through PySocks")
        assert raw_socks.receive(client, 15) == b"through PySocks"


# --- The judge ----------------------------------------------------------------------------------------------------


def test_tshark_finds_nothing_malformed(serve, lone_host: Namespace, daemon, tmp_path: Path) -> None:
    """Both sides of the proxy, as an independent dissector reads them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    capture = tmp_path / "http.pcapng"
    with lone_host.inside():
        server = serve(port=8080, namespace=lone_host)
        with closing(HttpOrigin(port=80)) as far:
            sniffer: Daemon = daemon("dumpcap", "-q", "-i", "lo", "-f", "tcp port 8080 or tcp port 80", "-w", capture)
            wait_until("dumpcap captures", lambda: "Capturing on" in sniffer.log.read_text() and capture.exists())
            url = "http://127.0.0.1"
            paths = ["length/1000", "chunked/70000", "length/5", "close/3000"]
            client = ask(server.proxy, "".join(f"GET {url}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" for path in paths))
            reader = Reader(client)
            for path in paths:
                assert receive_response(reader).body == http_origins.octets(int(path.split("/")[1]))
            refused = ask(server.proxy, "GET http://127.0.0.1:9/last-of-all HTTP/1.1\r\nHost: x\r\n\r\n")
            assert receive_response(Reader(refused)).status == 502
            wait_until("all of it is captured", lambda: b"502 Bad Gateway\n" in capture.read_bytes())
            assert len(far.requests) == 4
            sniffer.close()

    def tshark(*words: str) -> list[str]:
        result = run("tshark", "-r", capture, *words)
        assert result.returncode == 0
        return result.stdout.split()

    assert tshark("-Y", "_ws.malformed || _ws.short || (http && _ws.expert.severity >= 0x600000)") == []
    codes = tshark("-Y", "http.response && tcp.srcport == 8080", "-T", "fields", "-e", "http.response.code")
    assert codes == ["200"] * 4 + ["502"]
    asked = tshark("-Y", "http.request && tcp.dstport == 80", "-T", "fields", "-e", "http.request.uri")
    assert asked == [f"/{path}" for path in paths]
