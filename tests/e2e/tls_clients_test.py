"""Stile's own clients inside TLS: through a listener of Stile's and through stunnel, and whom they do not trust."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import raw_socks
import town
from certificates import Authority
from processes import BINARY, accepts, free_port, run, stile, wait_until
from server import Server
from town import TARGET, Town

EXPIRED = ("20240101000000Z", "20240102000000Z")
LISTENER = """
[[listen]]
address = "{address}"
tls = {{ certificate = "{own[0]}", key = "{own[1]}"{more} }}
[policy]
rules = '''
{rules}
'''
"""
TO_LOOPBACK = "allow anyone from loopback to tcp udp loopback"
STUNNEL = """
foreground = yes
pid =
[proxy]
accept = {accept}
connect = {connect}
cert = {own[0]}
key = {own[1]}
"""


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def own(ca: Authority) -> tuple[Path, Path]:
    return ca.issue("server", "DNS:localhost", "IP:127.0.0.1", f"IP:{town.PROXY[0]}")


@pytest.fixture
def serve_tls(serve: Callable[..., Server], own: tuple[Path, Path]) -> Callable[..., Server]:
    def start(more: str = "", rules: str = TO_LOOPBACK, further: str = "") -> Server:
        return serve(config=LISTENER.format(address="127.0.0.1:PORT", own=own, more=more, rules=rules) + further)

    return start


@pytest.fixture
def stunnel(daemon, tmp_path: Path) -> Callable[..., int]:
    """TLS in front of a port of loopback."""

    def start(connect: int, certificate: tuple[Path, Path]) -> int:
        port = free_port()
        file = tmp_path / f"stunnel-{port}.conf"
        file.write_text(STUNNEL.format(accept=f"127.0.0.1:{port}", connect=f"127.0.0.1:{connect}", own=certificate))
        daemon("stunnel4", file)
        wait_until("stunnel listens", lambda: accepts("127.0.0.1", port))
        return port

    return start


def handshakes(scheme: str, port: int, *arguments: object, host: str = "localhost", **options) -> subprocess.CompletedProcess[str]:
    """Some connections through the proxy, and what was wrong with the first."""
    load = ("handshake", "--seconds", "0.2", "--warmup", "0", "--connections", 2, "--json")
    return stile("bench", *load, "--via", f"{scheme}://{host}:{port}", *arguments, **options)


def succeeded(result: subprocess.CompletedProcess[str]) -> bool:
    return result.returncode == 0 and json.loads(result.stdout)["operations"] > 0


# --- PING and TRACEROUTE ---


@pytest.fixture(scope="module")
def shared_town(namespaces: None) -> Iterator[Town]:
    with closing(Town()) as built:
        yield built


def test_ping_and_trace_through_a_listener_of_stile(shared_town: Town, serve, ca, own) -> None:
    address = "{}:{}".format(*town.PROXY)
    rules = "lab: allow anyone from 10.99.1.0/24 to ping private"
    config = LISTENER.format(address=address, own=own, more="", rules=rules)
    server = serve(config=config, host=town.PROXY[0], port=town.PROXY[1], namespace=shared_town.proxy)
    via = ("--via", f"socks5h+tls://{address}", "--ca", ca.certificate)
    pinged = run(*shared_town.client.prefix(), BINARY, "ping", "-c", 2, *via, TARGET)
    assert pinged.returncode == 0 and pinged.stderr == ""
    assert re.search(rf"^64 bytes from {TARGET}: icmp_seq=1 ttl=63 time=.* ms$", pinged.stdout, re.MULTILINE)
    assert re.search(r"^[23] sent, [23] received, 0\.0% loss", pinged.stdout, re.MULTILINE)
    traced = run(*shared_town.client.prefix(), BINARY, "trace", "-n", *via, TARGET)
    assert traced.returncode == 0 and traced.stdout.endswith("trace complete: reached\n")
    assert "reason" not in server.wait_for_record(event="session.end", command="ping"), "it ended in order"


# --- Every scheme ---


@pytest.mark.parametrize("scheme", ["socks5+tls", "socks5h+tls", "socks4+tls", "socks4a+tls", "https"])
def test_schemes_through_stile_and_through_stunnel(serve, serve_tls, stunnel, ca, own, scheme: str) -> None:
    server, plain = serve_tls(), serve()
    assert succeeded(handshakes(scheme, server.proxy[1], "--ca", ca.certificate))
    assert server.wait_for_record(event="session.end", command="connect")["protocol"] == {"https": "http"}.get(scheme, scheme[:6])
    assert succeeded(handshakes(scheme, stunnel(plain.proxy[1], own), "--ca", ca.certificate))


def test_octets_both_ways_and_datagrams(serve_tls, ca) -> None:
    server = serve_tls()
    for mode in ("down", "up", "both", "rr", "connect", "idle", "udp"):
        load = (mode, "--seconds", "0.3", "--warmup", "0", "--connections", 4, "--json", "--ca", ca.certificate)
        result = stile("bench", *load, "--via", f"socks5h+tls://localhost:{server.proxy[1]}")
        assert succeeded(result) and json.loads(result.stdout)["errors"] == {}, mode


def test_the_systems_cas_count_where_none_is_named(serve_tls, ca) -> None:
    port = serve_tls().proxy[1]
    assert succeeded(handshakes("https", port, environment={"SSL_CERT_FILE": str(ca.certificate)}))
    refused = handshakes("https", port)
    assert refused.returncode == 1 and "its certificate leads to no CA that counts here (add --ca FILE" in refused.stderr


def test_a_password_is_not_in_clear(serve_tls, ca, tmp_path: Path) -> None:
    assert stile("user", "add", "alice", "--file", tmp_path / "users", input="secret\n").returncode == 0
    server = serve_tls(rules="allow alice from loopback to loopback", further=f'[users]\nfile = "{tmp_path}/users"\n')
    for scheme in ("socks5h+tls", "https"):
        for password, right in (("secret", True), ("wrong", False)):
            via = f"{scheme}://alice:{password}@localhost:{server.proxy[1]}"
            load = ("handshake", "--seconds", "0.2", "--json", "--ca", ca.certificate)
            result = stile("bench", *load, environment={"STILE_VIA": via})
            assert succeeded(result) == right
            assert right or "it refused the user or the password" in result.stderr


# --- Whom they do not trust ---


def refusal(result: subprocess.CompletedProcess[str], why: str) -> None:
    assert result.returncode == 1 and result.stdout == ""
    assert re.fullmatch(r"stile: cannot bench handshake through \S+: .* \(.*\)\n", result.stderr), result.stderr
    assert why in result.stderr, result.stderr


def test_wrong_ca_wrong_name_expired(serve, serve_tls, stunnel, tmp_path: Path, ca) -> None:
    """Security reference, TT2: on every path."""
    server, plain = serve_tls(), serve()
    other = Authority(tmp_path / "other", "Another CA")
    late = stunnel(plain.proxy[1], ca.issue("late", "DNS:localhost", dates=EXPIRED))
    elsewhere = stunnel(plain.proxy[1], ca.issue("elsewhere", "DNS:elsewhere.example"))
    by_cn_alone = stunnel(plain.proxy[1], ca.issue("localhost"))
    for scheme in ("socks5h+tls", "https"):
        refusal(handshakes(scheme, server.proxy[1], "--ca", other.certificate), "its certificate leads to no CA that counts here")
        refusal(handshakes(scheme, late, "--ca", ca.certificate), "its certificate is not valid today")
        for port in (elsewhere, by_cn_alone):
            refusal(handshakes(scheme, port, "--ca", ca.certificate), "does not bear the name or address that was dialled")
    assert plain.records() == [], "not one octet of SOCKS came through"
    server.wait_for_record(event="error", reason="tls.certificate.refused")
    assert not [record for record in server.records() if record["event"].startswith("session")]


def test_who_speaks_no_tls(serve, origin, daemon, ca) -> None:
    plain, port = serve(), free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    ssh = origin(lambda connection: (connection.sendall(b"SSH-2.0-here\r\n"), connection.recv(4096)))
    web = origin(lambda connection: (connection.recv(4096), connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    for there in (plain.proxy[1], port):
        result = handshakes("socks5h+tls", there, "--ca", ca.certificate, host="127.0.0.1")
        assert result.returncode == 1
        assert re.search("the proxy does not speak TLS there|it closed the connection where TLS was due", result.stderr)
    for far in (ssh, web):
        refusal(handshakes("https", far.port, "--ca", ca.certificate, host="127.0.0.1"), "the proxy does not speak TLS there")


def test_an_old_version(daemon, own, ca) -> None:
    port = free_port()
    server = ("openssl", "s_server", "-accept", port, "-cert", own[0], "-key", own[1], "-www", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    daemon(*server).wait_for_port("127.0.0.1", port)
    refusal(handshakes("https", port, "--ca", ca.certificate, host="127.0.0.1"), "it speaks no version of TLS from 1.2 on")


# --- Client certificates ---


def test_a_certificate_of_the_clients(serve_tls, tmp_path: Path, ca) -> None:
    server = serve_tls(f', client_ca = "{ca.certificate}"', "allow cert:alice.example from loopback to loopback")
    alice, stranger = ca.issue("alice", "DNS:alice.example"), Authority(tmp_path / "other").issue("bob", "DNS:bob.example")
    trust = ("--ca", ca.certificate)
    for scheme in ("socks5h+tls", "socks4a+tls", "https"):
        shown = handshakes(scheme, server.proxy[1], *trust, "--certificate", alice[0], "--key", alice[1])
        assert succeeded(shown), shown.stderr
        refusal(handshakes(scheme, server.proxy[1], *trust), "it lets only clients with a certificate in")
        wrong = handshakes(scheme, server.proxy[1], *trust, "--certificate", stranger[0], "--key", stranger[1])
        refusal(wrong, "it does not take the certificate of --certificate")
    assert server.wait_for_record(event="session.start")["user"] == "cert:alice.example"
    both = tmp_path / "both.pem"
    both.write_bytes(alice[0].read_bytes() + alice[1].read_bytes())
    both.chmod(0o600)
    assert succeeded(handshakes("socks5h+tls", server.proxy[1], *trust, "--certificate", both))


def test_mistakes_are_usage(tmp_path: Path, ca, own) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    other, no_key = ca.issue("other", "DNS:other.example"), tmp_path / "no.key"
    no_key.write_text("nothing\n")
    no_key.chmod(0o600)
    cases = [
        ("socks5h", ("--ca", ca.certificate), "cannot use --ca: the proxy is not spoken to inside TLS"),
        ("https", ("--ca", tmp_path / "absent.pem"), "absent.pem: No such file"),
        ("https", ("--ca", tmp_path / "empty.pem"), "empty.pem: it holds no certificate"),
        ("https", ("--key", own[1]), "it is the key of no certificate"),
        ("https", ("--certificate", own[0]), "server.pem: it holds a secret, and everybody on this host may read it"),
        ("https", ("--certificate", own[0], "--key", no_key), "no.key: it holds no private key"),
        ("https", ("--certificate", own[0], "--key", other[1]), "other.key: it is not the key of the certificate"),
    ]
    for scheme, arguments, message in cases:
        result = handshakes(scheme, 1, *arguments)
        assert result.returncode == 2 and message in result.stderr, result.stderr
