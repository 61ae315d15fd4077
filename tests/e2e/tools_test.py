"""Tools that look at a SOCKS server: tor-resolve asks it for names, nmap tries what it lets through."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from name_server import NameServer
from networks import Lab, Namespace
from processes import run
from web import WebServer

FAR = "192.0.2.10"


@pytest.fixture
def place(lone_host: Namespace) -> Namespace:
    """A host that is also the far end: its hosts file knows one name."""
    lone_host.run("ip", "address", "add", FAR, "dev", "lo")
    lone_host.file("hosts", f"127.0.0.1 localhost\n{FAR} far.example\n")
    return lone_host


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["-4", "far.example"], FAR),
        (["-5", "far.example"], FAR),
        (["-5", FAR], FAR),
        (["-x", FAR], "far.example"),
        (["-4", "nobody.invalid"], None),
        (["-5", "nobody.invalid"], None),
    ],
)
def test_tor_resolve(serve, place: Namespace, words: list[str], answer: str | None) -> None:
    """RESOLVE in SOCKS4a and SOCKS5, RESOLVE_PTR; without an answer it says so instead of printing one."""
    with place.inside():
        server = serve(namespace=place)
        result = run(*place.prefix(), "tor-resolve", *words, "{}:{}".format(*server.proxy))
    assert result.stdout.split() == ([answer] if answer else [])
    assert (result.returncode == 0) == (answer is not None)
    command = "resolve-ptr" if "-x" in words else "resolve"
    outcome = server.wait_for_record(event="session.end" if answer else "error", command=command)
    assert outcome["protocol"] == ("socks4" if "-4" in words else "socks5")


# --- nmap ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def far_site(place: Namespace) -> Iterator[WebServer]:
    """What nmap asks a proxy to fetch, and the name server through which it finds it."""
    with place.inside():
        with closing(NameServer("127.0.0.1", {"far.example": [FAR]})), closing(WebServer(FAR, port=80)) as site:
            yield site


def scan(place: Namespace, address: str) -> str:
    scripts = "socks-open-proxy,socks-auth-info"
    arguments = "proxy.url=http://far.example/,proxy.pattern=BaseHTTP"  # of the head: nmap reads the first segment alone
    words = ("-Pn", "-n", "-p", "1080", "--dns-servers", "127.0.0.1", "--script", scripts, "--script-args", arguments)
    return run(*place.prefix(), "nmap", *words, address).stdout


def test_nmap_finds_what_is_open_to_this_host(serve, place: Namespace, far_site: WebServer) -> None:
    with place.inside():
        serve(namespace=place, port=1080)
    found = scan(place, "127.0.0.1")
    assert "status: open" in found and "socks4" in found and "socks5" in found
    assert "No authentication" in found


def test_nmap_finds_no_open_proxy_where_a_policy_names_others(serve, lab: Lab, place: Namespace, far_site: WebServer) -> None:
    """Threat TS3: what a scanner from elsewhere learns is that this is SOCKS, and nothing more."""
    proxy = lab.host("proxy")
    lab.cable(proxy, ["10.78.0.1/24"], place, ["10.78.0.2/24"])
    proxy.run("ip", "route", "add", "default", "via", "10.78.0.2")
    rules = "office: allow anyone from 10.78.0.7 to public, 192.0.2.0/24"
    server = serve(
        config=f"[[listen]]\naddress = '10.78.0.1:1080'\n[policy]\nrules = '{rules}'\n",
        host="10.78.0.1", port=1080, namespace=proxy,
    )  # fmt: skip
    found = scan(place, "10.78.0.1")
    assert "1080/tcp open" in found and "socks-open-proxy" not in found
    assert far_site.peers == []
    server.wait_for_record(event="denied")
    assert {record["event"] for record in server.records() if record.get("command")} == {"denied"}
