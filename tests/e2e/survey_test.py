"""`stile test` against proxies of every kind: what it says of each is what that proxy does, known from elsewhere."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import chains
import pytest
from certificates import Authority
from chains import url
from datagrams import DatagramEcho
from name_server import NameServer
from networks import Lab, Namespace
from origins import echo
from processes import free_port, stile
from proxies import Proxies
from scripted_proxy import ScriptedProxy
from survey import asked, expect

UDP = "allow anyone from loopback to tcp udp bind resolve ping any, private, loopback, self, reserved"
ALL = chains.configuration(rule=UDP)

# --- Stile itself, of which everything is known ---


def test_a_server_that_does_everything(serve) -> None:
    server = serve(config=ALL)
    answers = asked(url(server.proxy))
    wanted = ["SOCKS5", "SOCKS4", "SOCKS4a", "HTTP", "CONNECT", "BIND", "UDP_ASSOCIATE", "RESOLVE", "PING", "TRACEROUTE"]
    wanted += ["datagrams", "sender", "refused_connection", "unknown_name", "IPv6", "names", "pipelining", "early_data"]
    wanted += ["no_authentication", "outward_address", "told_in_replies"]
    expect(answers, **dict.fromkeys(wanted, "yes"))
    expect(answers, password="no", GSSAPI="no")
    assert answers["relay's address"] == ("yes", answers["relay's address"][1]) and "the proxy's own" in answers["relay's address"][1]
    assert answers["choice of all three"][1] == "no authentication"
    assert answers["outward address"][1] == "127.0.0.1"


@pytest.mark.parametrize("scheme", ["socks5", "socks4", "socks4a", "http"])
def test_each_protocol_of_it(serve, scheme: str) -> None:
    answers = asked(url(serve(config=ALL).proxy, scheme))
    expect(answers, CONNECT="yes", names="yes", SOCKS5="yes", SOCKS4="yes", HTTP="yes", early_data="yes")
    socks5, http = scheme == "socks5", scheme == "http"
    expect(answers, BIND="no" if http else "yes", RESOLVE="no" if http else "yes")
    expect(answers, UDP_ASSOCIATE="yes" if socks5 else "no", PING="yes" if socks5 else "no")
    leaks = "this host looks them up" in answers["names"][1]
    assert leaks == (scheme in ("socks5", "socks4"))


def test_what_its_rules_forbid_is_not_said_to_work(serve) -> None:
    server = serve(config=chains.configuration(rule="allow anyone from loopback to tcp loopback"))
    answers = asked(url(server.proxy))
    expect(answers, CONNECT="yes", BIND="no", UDP_ASSOCIATE="no", RESOLVE="not tested", PING="not tested")
    assert "rules" in answers["BIND"][1] and "datagrams" not in answers


def test_datagrams_that_its_rules_forbid(serve) -> None:
    """The association is granted, and nothing comes of it."""
    answers = asked(url(serve(config=chains.configuration(rule="allow anyone from loopback to tcp udp 127.0.0.9")).proxy), works=False)
    expect(answers, CONNECT="not tested", UDP_ASSOCIATE="yes", datagrams="not tested")
    rule = "allow anyone from loopback to tcp 127.0.0.1\nudp: allow anyone from loopback to udp 127.0.0.9"
    answers = asked(url(serve(config=chains.configuration(rule=rule)).proxy))
    expect(answers, CONNECT="yes", UDP_ASSOCIATE="yes", datagrams="no")
    assert "none comes back" in answers["datagrams"][1]


def test_nothing_works(serve) -> None:
    """A proxy that denies everything lets nobody through; one that is not there lets nobody in."""
    server = serve(config=chains.configuration(rule="deny anyone to any"))
    answers = asked(url(server.proxy), works=False)
    expect(answers, reached="yes", CONNECT="not tested", SOCKS5="yes", BIND="no", refused_connection="not tested")
    assert "rules" in answers["CONNECT"][1]
    assert asked(f"socks5h://127.0.0.1:{free_port()}", works=False) == {"reached": ("no", "nobody listens there")}


def test_no_callback(serve, origin) -> None:
    """No listener is opened; what the user names is all that is asked for."""
    server, far = serve(config=ALL), origin(echo)
    answers = asked("--no-callback", url(server.proxy))
    expect(answers, CONNECT="not tested", datagrams="not tested", refused_connection="not tested", outward_address="not tested")
    with closing(DatagramEcho()) as datagrams:
        words = ["--target", f"localhost:{far.port}", "--target", f"127.0.0.1:{free_port()}"]
        words += ["--udp-target", f"127.0.0.1:{datagrams.port}"]
        answers = asked("--no-callback", *words, url(server.proxy))
    expect(answers, CONNECT="yes", names="yes", datagrams="yes", sender="yes")
    assert "granted" in answers["CONNECT"][1] and "refuses" in answers["CONNECT"][1]


def test_names_that_the_user_names(serve) -> None:
    port = free_port()
    more = f'[[resolver]]\nservers = ["127.0.0.1:{port}"]\n'
    with closing(NameServer("127.0.0.1", {"www.example": ["192.0.2.80"]}, port)) as names:
        server = serve(config=chains.configuration(rule=UDP, more=more))
        answers = asked(url(server.proxy), "--dns", "www.example")
    assert answers["RESOLVE"] == ("yes", "www.example is 192.0.2.80")
    assert "stile-test.invalid" not in [name for name, _ in names.asked]


# --- Logins, TLS, chains ---


def test_a_login_and_tls(serve, tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    assert stile("user", "add", "alice", "--file", tmp_path / "users", input="secret\n").returncode == 0
    config = f"""
[[listen]]
address = "127.0.0.1:PORT"
auth = ["password"]
{chains.secured(ca, "server")}
[users]
file = "{tmp_path}/users"
[policy]
rules = '''
alice: allow alice from loopback to tcp udp bind resolve ping any, private, loopback, self
'''
"""
    server, secret = serve(config=config), chains.secret(tmp_path, "secret", "secret")
    proxy = url(server.proxy, "socks5h+tls", "alice@")
    words = ["--password-file", secret]
    answers = asked(proxy, *words, "--ca", ca.certificate)
    expect(answers, TLS="yes", certificate="yes", password="yes", no_authentication="no", CONNECT="yes", HTTP="yes", SOCKS4="no")
    assert answers["TLS"][1] == "TLSv1.3" and "localhost, until 20" in answers["certificate"][1]
    expect(answers, datagrams="yes", pipelining="yes", early_data="yes")
    stranger = asked(proxy, *words, works=False)
    assert stranger["certificate"][0] == "no" and "CONNECT" not in stranger
    wrong = chains.secret(tmp_path, "wrong", "wrong")
    refused = asked(proxy, "--password-file", wrong, "--ca", ca.certificate, works=False)
    assert refused["CONNECT"] == ("no", "it refused the user or the password")
    refused = asked(proxy, "--password-file", wrong, "--ca", ca.certificate, "--no-callback", works=False)
    assert refused["CONNECT"] == ("no", "it refused the user or the password")
    expect(asked(proxy, *words, "--ca", ca.certificate, "--no-callback"), CONNECT="not tested", password="yes")
    plain = asked(url(server.proxy), works=False)
    assert plain["CONNECT"][0] == "no" and plain["SOCKS5"][0] == "no"


def test_the_last_of_a_chain(serve) -> None:
    """The first ones only lead there."""
    hops = [serve(config=ALL) for _ in range(2)]
    last = serve(config=chains.configuration(rule="allow anyone from loopback to tcp udp bind any, private, loopback, self"))
    answers = asked(*(url(hop.proxy) for hop in hops), url(last.proxy))
    expect(answers, CONNECT="yes", BIND="yes", RESOLVE="not tested", SOCKS4="yes", datagrams="yes", early_data="yes")


# --- Other people's ---


@pytest.fixture(scope="module")
def town(namespaces: None, tmp_path_factory) -> Iterator[tuple[Namespace, Proxies]]:
    with ExitStack() as stack:
        host = stack.enter_context(closing(Lab())).host("town")
        host.file("resolv.conf", "nameserver 127.0.0.1\n")
        host.file("hosts", "127.0.0.1 localhost\n::1 localhost\n")
        with host.inside():
            stack.enter_context(closing(NameServer("127.0.0.1", {}, 53)))
        yield host, stack.enter_context(closing(Proxies(host, tmp_path_factory.mktemp("town"))))


SOCKS5_ALONE = {"SOCKS5": "yes", "SOCKS4": "no", "SOCKS4a": "no", "HTTP": "no"}
NO_EXTENSIONS = {"RESOLVE": "no", "PING": "no", "TRACEROUTE": "no"}
THEIRS = {
    # Its rules pass no datagrams between IPv4 addresses.
    "dante": {"CONNECT": "yes", "BIND": "yes", "UDP_ASSOCIATE": "yes", "datagrams": "no", "SOCKS5": "yes", "names": "yes"}
    | {"SOCKS4": "yes", "HTTP": "no", "no_authentication": "yes", "password": "no", "pipelining": "yes"}
    | {"refused_connection": "yes", "IPv6": "yes"}
    | NO_EXTENSIONS,
    "microsocks": {"CONNECT": "yes", "BIND": "no", "UDP_ASSOCIATE": "no", "no_authentication": "yes", "password": "no"}
    | {"refused_connection": "yes", "pipelining": "no", "IPv6": "yes", "names": "yes"}
    | SOCKS5_ALONE
    | NO_EXTENSIONS,
    "ssh": {"CONNECT": "yes", "BIND": "no", "UDP_ASSOCIATE": "no", "SOCKS5": "yes", "SOCKS4": "yes", "SOCKS4a": "yes"}
    | {"HTTP": "no", "names": "yes", "pipelining": "yes", "refused_connection": "no", "told_in_replies": "no"}
    | NO_EXTENSIONS,
    # It takes RESOLVE for CONNECT, and grants before it has tried.
    "v2ray": {"CONNECT": "yes", "BIND": "no", "RESOLVE": "no", "refused_connection": "no", "unknown_name": "no"}
    | {"SOCKS5": "yes", "SOCKS4": "yes", "HTTP": "no"},
}


@pytest.mark.parametrize("name", THEIRS)
def test_others(town, name: str) -> None:
    host, proxies = town
    with host.inside():
        proxy = url(proxies.where(name, "socks5h"))
        expect(asked(proxy, host=host), **THEIRS[name])


def test_squid(town) -> None:
    host, proxies = town
    with host.inside():
        answers = asked(url(proxies.where("squid", "http"), "http"), host=host)
    expect(answers, CONNECT="yes", HTTP="yes", SOCKS5="no", SOCKS4="no", BIND="no", UDP_ASSOCIATE="no", RESOLVE="no", names="yes")
    expect(answers, refused_connection="yes", early_data="yes")


def test_tor(town) -> None:
    """Without a network it lets everybody in, and leads nobody anywhere: nothing of that is said to work."""
    host, proxies = town
    with host.inside():
        answers = asked(url(proxies.where("tor", "socks5h")), host=host, works=False)
    expect(answers, reached="yes", no_authentication="yes", BIND="no", UDP_ASSOCIATE="no", SOCKS5="yes", SOCKS4a="yes")
    expect(answers, CONNECT="not tested", RESOLVE="not tested", unknown_name="not tested", names="not tested", IPv6="not tested")


def test_something_else(origin) -> None:
    """An echo, and a server that says nothing, are no proxies."""
    far = origin(echo)
    answers = asked(f"socks5h://127.0.0.1:{far.port}", works=False)
    expect(answers, reached="yes", CONNECT="no", BIND="no", UDP_ASSOCIATE="no", SOCKS4="no", HTTP="no")


def test_dante_with_datagrams(daemon, tmp_path: Path) -> None:
    config, port = tmp_path / "danted.conf", free_port()
    config.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nclientmethod: none\nsocksmethod: none\n"
        "user.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    daemon("danted", "-f", config).wait_for_port("127.0.0.1", port)
    answers = asked(f"socks5h://127.0.0.1:{port}")
    expect(answers, CONNECT="yes", UDP_ASSOCIATE="yes", datagrams="yes", sender="yes")


@pytest.mark.parametrize("bound", ["00000000 0000", "00000000 1F90", "0A000001 1F90"])
def test_a_proxy_that_grants_whatever_it_is_asked_for(origin, bound: str) -> None:
    """And does nothing: not one command is said to work."""
    proxy = ScriptedProxy(reply=bytes.fromhex("05 00 00 01" + bound))

    def serve(connection: socket.socket) -> None:
        with suppress(KeyError, IndexError):  # what it is asked in other protocols
            proxy(connection)

    far = origin(serve)
    answers = asked(f"socks5h://127.0.0.1:{far.port}", works=False)
    expect(answers, SOCKS5="yes", CONNECT="no", RESOLVE="no", refused_connection="not tested", unknown_name="no")
    assert answers["BIND"][0] != "yes" and answers["PING"][0] != "yes" and answers["IPv6"][0] != "yes"
    assert answers["relay's address"][0] == "no" and answers.get("datagrams", ("",))[0] != "yes"


# --- The table ---


def test_the_table(serve) -> None:
    server = serve(config=ALL)
    result = stile("test", url(server.proxy), timeout=100)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith(f"{url(server.proxy)}\n\nproxy      reached")
    assert any(line.split()[:3] == ["latency", "median", "of"] for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["socks6://a"], "cannot use URL: at character 1"),
        (["socks5h://127.0.0.1", "--target", "www.example"], "--target"),
        (["socks5h://127.0.0.1", "--udp-target", "www.example:0"], "--udp-target"),
        (["socks5h://127.0.0.1", "--dns", "127.0.0.1"], "--dns"),
        ([], "no proxy is named"),
    ],
)
def test_the_command_line(words: list[str], said: str) -> None:
    result = stile("test", *words)
    assert result.returncode == 2 and result.stdout == "" and said in result.stderr
