"""Upstreams that a server meets with a Kerberos ticket (RFC 1961), against a real realm: every command, both levels, alone and
among other hops; and what becomes of it while the KDC is gone, late, or knows us no longer."""

import os
import random
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import chains
import pytest
import raw_socks
import realm
import traffic
from certificates import Authority
from chain_udp_test import Client
from chains import entry_to, exchange, secured, upstream, url
from datagrams import DatagramEcho
from helpers import named
from origins import echo
from processes import accepts, stile, wait_until
from raw_socks import request
from realm import Realm
from reload_test import with_control
from server import Server

BIND, RESOLVE = 2, 0xF0
GRANTED, GENERAL = 0, 1
GATE = f"gate/here@{realm.NAME}"
ANYWHERE = "allow anyone from loopback to tcp udp bind resolve any, private, loopback, self, reserved"
TICKET = f"Kerberos ticket for rcmd/127.0.0.1@{realm.NAME} as {GATE}, valid until 2"
NO_TICKET = "there is no Kerberos ticket for it"


@pytest.fixture(autouse=True)
def every_command(monkeypatch) -> None:
    monkeypatch.setattr(chains, "EVERYTHING", ANYWHERE)


@pytest.fixture(scope="module")
def keytab(kerberos: Realm) -> Path:
    """Who we are; and services on 127.0.0.1, whose keys are in the realm's."""
    for service in ("rcmd", "socks"):
        kerberos.key(f"{service}/127.0.0.1", kerberos.keytab)
    return kerberos.key("gate/here", kerberos.folder / "gate.keytab")


@pytest.fixture
def client(serve) -> Iterator:
    made: list[Client] = []

    def make(proxy: tuple[str, int]) -> Client:
        made.append(Client(proxy))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def far_datagrams(serve) -> Iterator[DatagramEcho]:
    one = DatagramEcho()
    yield one
    one.close()


def hop(serve, kerberos: Realm, more: str = "") -> Server:
    """One that lets nobody in without a ticket."""
    keys = f'[gssapi]\nkeytab = "{kerberos.keytab}"\n{more}\n'
    return serve(config=chains.configuration(listen='auth = "gssapi"', more=keys, rule=ANYWHERE))


def by_ticket(server: Server) -> str:
    return url(server.proxy, "socks5h+gssapi")


def entry(serve, keytab: Path, *servers: str, options: str = "", **place) -> Server:
    """Whose way leads through these, by the tickets that the keytab brings; those of `servers` without one as they are."""
    names = [f"hop{number}" for number in range(1, len(servers) + 1)]
    upstreams = "".join(
        upstream(name, server, options=f'keytab = "{keytab}"\n{options}' if "+gssapi" in server else place.get("other", ""))
        for name, server in zip(names, servers)
    )
    rule = f"{ANYWHERE} via {' > '.join(names)}"
    return serve(config=place.get("control", lambda text: text)(chains.configuration(more=upstreams, rule=rule)))


def passes(server: Server, far) -> bool:
    """One request, and what came of it, at once."""
    connection, reply = raw_socks.ask(server.proxy, request(far.host, far.port))
    with connection:
        return reply.code == GRANTED


# ── what passes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
@pytest.mark.parametrize("level", ["confidentiality", "integrity"])
def test_connect(serve, origin, kerberos: Realm, keytab: Path, level: str, handshake: str) -> None:
    """Each octet of both directions and both ends; the hop knows who we are, and nothing was asked of a user."""
    last, far = hop(serve, kerberos), origin()
    first = entry(serve, keytab, by_ticket(last), options=f'gss_level = "{level}"\nhandshake = "{handshake}"')
    assert TICKET in first.errors()
    exchange(raw_socks.tunnel(first.proxy, far.host, far.port), far.accept())
    record = last.wait_for_record(event="session.end")
    assert (record["method"], record["user"], record["bytes_up"]) == ("gssapi", GATE, chains.SIZE)
    assert first.wait_for_record(event="session.end")["bytes_down"] == chains.SIZE


@pytest.mark.parametrize("level", ["confidentiality", "integrity"])
def test_what_an_onlooker_sees(serve, origin, kerberos: Realm, keytab: Path, level: str) -> None:
    """At level 2 nothing; at level 1 everything, none of which could be changed."""
    last, far = hop(serve, kerberos), origin(echo)
    seen: list[bytes] = []

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(last.proxy) as onward:
            back = traffic.in_thread(copy, onward, connection, seen)
            copy(connection, onward, seen)
            back.result(60)

    onlooker = origin(relay)
    server = url((onlooker.host, onlooker.port), "socks5h+gssapi")
    first = entry(serve, keytab, server, options=f'gss_level = "{level}"')
    sent = os.urandom(20_000)
    with raw_socks.tunnel(first.proxy, far.host, far.port) as tunnel:
        tunnel.sendall(sent)
        assert raw_socks.receive(tunnel, len(sent)) == sent
    wait_until("the tunnel is over", lambda: any(one["event"] == "session.end" for one in last.records()))
    assert (sent[5000:5064] in b"".join(seen)) == (level == "integrity")


def copy(source: socket.socket, sink: socket.socket, seen: list[bytes]) -> None:
    while octets := source.recv(65536):
        seen.append(octets)
        sink.sendall(octets)
    sink.shutdown(socket.SHUT_WR)


def test_a_server_that_grants_more_than_was_asked(serve, origin, kerberos: Realm, keytab: Path) -> None:
    last, far = hop(serve, kerberos, 'min_level = "confidentiality"'), origin()
    first = entry(serve, keytab, by_ticket(last), options='gss_level = "integrity"')
    exchange(raw_socks.tunnel(first.proxy, far.host, far.port), far.accept())


@pytest.mark.parametrize("principal", ["", GATE])
def test_the_service_has_another_name(serve, origin, kerberos: Realm, keytab: Path, principal: str) -> None:
    last, far = hop(serve, kerberos, 'service = "socks"'), origin(echo)
    options = f'gss_service = "socks"\nprincipal = "{principal}"' if principal else 'gss_service = "socks"'
    first = entry(serve, keytab, by_ticket(last), options=options)
    assert f"Kerberos ticket for socks/127.0.0.1@{realm.NAME} as {GATE}" in first.errors()
    assert passes(first, far)


WAYS = ["G", "GG", "PG", "GP", "TG", "GT", "GPG", "GGG"]


@pytest.fixture
def way(serve, kerberos: Realm, keytab: Path, tmp_path: Path):
    """An entry and its hops: G by ticket, P plain, T inside TLS."""

    def make(kinds: str, options: str = "") -> tuple[Server, list[Server]]:
        ca = Authority(tmp_path / "ca")
        hops, urls = [], []
        for number, kind in enumerate(kinds):
            if kind == "G":
                hops.append(hop(serve, kerberos))
            else:
                listen = secured(ca, f"hop{number}") if kind == "T" else ""
                hops.append(serve(config=chains.configuration(listen=listen, rule=ANYWHERE)))
            urls.append(url(hops[-1].proxy, {"G": "socks5h+gssapi", "P": "socks5h", "T": "socks5h+tls"}[kind]))
        other = f'ca = "{ca.certificate}"' if "T" in kinds else ""
        return entry(serve, keytab, *urls, options=options, other=other if "P" not in kinds else ""), hops

    return make


@pytest.mark.parametrize("kinds", WAYS)
def test_connect_among_others(way, origin, kinds: str) -> None:
    (first, hops), far = way(kinds), origin()
    exchange(raw_socks.tunnel(first.proxy, far.host, far.port), far.accept())
    for kind, one in zip(kinds, hops):
        record = one.wait_for_record(event="session.end")
        assert record.get("user") == (GATE if kind == "G" else None)


@pytest.mark.parametrize("kinds", ["G", "GG", "PG", "GT"])
def test_bind_and_resolve(way, kinds: str) -> None:
    first, _ = way(kinds)
    taker, reply = raw_socks.ask(first.proxy, request("127.0.0.1", 0, BIND))
    assert reply.code == GRANTED and reply.port != 0
    with raw_socks.dial((reply.host, reply.port)) as peer:
        second = raw_socks.receive_reply(taker)
        assert (second.code, second.host, second.port) == (GRANTED, *peer.getsockname())
        exchange(taker, peer)
    _, reply = raw_socks.ask(first.proxy, request("127.0.0.1", 0, RESOLVE))
    assert (reply.code, reply.host) == (GRANTED, "127.0.0.1")


@pytest.mark.parametrize("level", ["confidentiality", "integrity"])
@pytest.mark.parametrize("kinds", WAYS)
def test_datagrams(way, client, far_datagrams: DatagramEcho, kinds: str, level: str) -> None:
    """Wrapped by each hop that was met with a ticket, and by no other; counted as what the client sent."""
    first, hops = way(kinds, options=f'gss_level = "{level}"')
    one, dice = client(first.proxy), random.Random(kinds)
    sizes = [5, 0, 1, 1400, 9000, 50_000, *(dice.randrange(3000) for _ in range(30))]
    for size in sizes:
        one.exchange(far_datagrams.host, far_datagrams.port, dice.randbytes(size))
    one.close()
    for node in (first, hops[-1]):
        end = node.wait_for_record(event="session.end", command="udp-associate")
        assert (end["packets_up"], end["packets_down"]) == (len(sizes), len(sizes))
        assert end["bytes_up"] == end["bytes_down"] == sum(sizes)


def test_datagrams_that_no_relay_wrapped(way, client, far_datagrams: DatagramEcho) -> None:
    """Whoever puts one in as the relay's is not heard; the association goes on."""
    first, hops = way("G")
    one = client(first.proxy)
    one.exchange(far_datagrams.host, far_datagrams.port, b"opens the way")
    one.send(far_datagrams.host, far_datagrams.port, bytes(65_497))  # does not fit into a frame
    drop = first.wait_for_record(event="drop")
    assert drop["reason"] in ("udp.gss", "udp.toobig")
    one.exchange(far_datagrams.host, far_datagrams.port, b"still there")
    assert hops


@pytest.fixture
def judge(kerberos: Realm, keytab: Path):
    """A server of the RFC's letter. Its library is told of the realm by the environment, so not before there is one."""
    from gssapi_server import GssServer

    return lambda grants=None: GssServer(kerberos.keytab, grants)


@pytest.mark.parametrize("level", ["integrity", "confidentiality"])
def test_a_server_of_the_letter(serve, origin, client, keytab: Path, judge, level: str) -> None:
    """What it asks for, what it wraps and how, and each datagram."""
    letter = judge()
    server = origin(letter)
    first = entry(serve, keytab, url((server.host, server.port), "socks5h+gssapi"), options=f'gss_level = "{level}"')
    with raw_socks.tunnel(first.proxy, "192.0.2.1", 80) as tunnel:
        sent = traffic.in_thread(traffic.send, tunnel, 1, 300_000)
        assert traffic.receive(tunnel, 300_000) == sent.result(60)
    one = client(first.proxy)
    for size in (0, 1, 1400, 20_000):
        one.exchange("192.0.2.1", 53, os.urandom(size))
    one.close()
    assert letter.faults == []
    assert set(letter.asked) == {1 if level == "integrity" else 2}
    assert letter.encrypted == {level == "confidentiality"}


def test_a_server_that_grants_less(serve, origin, keytab: Path, judge) -> None:
    """Nothing is asked of it."""
    letter = judge(grants=1)
    server = origin(letter)
    first = entry(serve, keytab, url((server.host, server.port), "socks5h+gssapi"))
    connection, reply = raw_socks.ask(first.proxy, request("192.0.2.1", 80))
    connection.close()
    assert reply.code == GENERAL
    assert first.wait_for_record(event="error")["reason"] == "upstream.failed"
    assert letter.asked == [2] and letter.encrypted == set()


def test_probes_show_the_ticket(serve, kerberos: Realm, keytab: Path) -> None:
    """A server is known to be alive before there is a session."""
    last = hop(serve, kerberos)
    first = entry(serve, keytab, by_ticket(last), options='probe = "1s"')
    wait_until("a probe was let in", lambda: any(one.get("user") == GATE for one in last.records()))
    assert "is down" not in first.errors()


# ── the KDC, and what we are to it ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def kdc(kerberos: Realm, keytab: Path) -> Iterator[Realm]:
    """One that a test may stop."""
    yield kerberos
    if not accepts("127.0.0.1", kerberos.port):
        kerberos.start()


def test_the_kdc_goes_when_the_ticket_is_there(serve, origin, kdc: Realm, keytab: Path) -> None:
    last, far = hop(serve, kdc), origin(echo)
    first = entry(serve, keytab, by_ticket(last))
    kdc.stop()
    for _ in range(5):
        assert passes(first, far)


def test_the_kdc_is_late(serve, origin, kdc: Realm, keytab: Path, tmp_path: Path) -> None:
    """Requests fail at once, without a word to the server, and it is told why; then they pass by themselves."""
    kdc.stop()
    last, far = hop(serve, kdc), origin(echo)
    first = entry(
        serve, keytab, by_ticket(last), options='retry = "1s"', control=lambda text: with_control(tmp_path, text)
    )
    wait_until("the trouble is told", lambda: "warning: no Kerberos ticket for rcmd@127.0.0.1: " in first.errors())
    assert not passes(first, far)
    record = first.wait_for_record(event="error")
    assert record["reason"] == "upstream.failed" and last.records() == []
    table = stile("upstreams", "--config", first.config_file).stdout
    assert NO_TICKET in table, table
    kdc.start()
    wait_until("there is a ticket", lambda: TICKET in first.errors(), 60)
    wait_until("requests pass", lambda: passes(first, far), 30)
    assert first.errors().count("no Kerberos ticket for") == 1, "the same trouble is told once"


def test_a_kdc_that_says_nothing(serve, origin, kdc: Realm, keytab: Path) -> None:
    """Who asks it waits; nobody else does, not even for the end."""
    kdc.stop()
    with socket.create_server(("127.0.0.1", kdc.port)):
        last, far = hop(serve, kdc), origin(echo)
        first = entry(serve, keytab, by_ticket(last))
        assert not passes(first, far)
        first.wait_for_record(event="error", reason="upstream.failed")
        first.process.terminate()
        assert first.process.wait(20) == 0


def test_whoever_gets_tickets_ends(serve, origin, kerberos: Realm, keytab: Path) -> None:
    """It is told, and what is at hand is used on."""
    last, far = hop(serve, kerberos), origin(echo)
    first = entry(serve, keytab, by_ticket(last))
    [keeper] = named(first.process.pid, "stile-tickets")
    os.kill(keeper, signal.SIGKILL)
    wait_until("it is told", lambda: "the process that gets Kerberos tickets has ended" in first.errors())
    assert passes(first, far) and passes(first, far)


def test_another_server_takes_its_place(serve, origin, kdc: Realm, keytab: Path) -> None:
    """While there is no ticket for the first one, of an upstream with two."""
    kdc.stop()
    last, other, far = hop(serve, kdc), serve(config=chains.configuration(rule=ANYWHERE)), origin(echo)
    servers = upstream("two", by_ticket(last), url(other.proxy), options=f'keytab = "{keytab}"')
    first = serve(config=chains.configuration(more=servers, rule=f"{ANYWHERE} via two"))
    assert passes(first, far)
    assert other.wait_for_record(event="session.end")["target"] == f"{far.host}:{far.port}"


def test_a_short_ticket_is_renewed(serve, origin, kdc: Realm) -> None:
    """Long before its end; and where it cannot be, requests fail once it has ended."""
    brief = kdc.key("gate/brief", kdc.folder / "brief.keytab", "-maxlife", "8 seconds")
    last, far = hop(serve, kdc), origin(echo)
    first = entry(serve, brief, by_ticket(last), options='retry = "1s"\nfailures = 100')
    wait_until("it was renewed twice", lambda: kdc.logins("gate/brief") >= 3, 30)
    assert passes(first, far)
    kdc.stop()
    wait_until("that is told", lambda: "cannot renew the Kerberos ticket for rcmd@127.0.0.1" in first.errors(), 30)
    wait_until("it has ended", lambda: not passes(first, far), 30)
    kdc.start()
    wait_until("requests pass again", lambda: passes(first, far), 90)


def test_keys_that_the_kdc_does_not_know(serve, origin, kerberos: Realm, keytab: Path, tmp_path: Path) -> None:
    """It is told what is wrong; a keytab that is mended is read without anybody's word."""
    wrong = kerberos.key("gate/changed", tmp_path / "wrong.keytab")
    stale = wrong.read_bytes()
    kerberos.admin("change_password", "-randkey", "gate/changed")
    last, far = hop(serve, kerberos), origin(echo)
    first = entry(serve, wrong, by_ticket(last), options='retry = "1s"')
    wait_until("it is told", lambda: "warning: no Kerberos ticket for rcmd@127.0.0.1: " in first.errors())
    assert not passes(first, far)
    kerberos.admin("ktadd", "-k", wrong, "gate/changed")
    assert wrong.read_bytes() != stale
    wait_until("there is a ticket", lambda: "as gate/changed@" in first.errors(), 60)
    wait_until("requests pass", lambda: passes(first, far), 30)


def test_a_server_that_the_realm_does_not_know(serve, origin, kerberos: Realm, keytab: Path) -> None:
    last, far = hop(serve, kerberos), origin(echo)
    first = entry(serve, keytab, url(("127.0.0.2", last.proxy[1]), "socks5h+gssapi"))
    wait_until("it is told", lambda: "no Kerberos ticket for rcmd@127.0.0.2: Server" in first.errors())
    assert not passes(first, far)


def test_a_server_that_does_not_take_the_ticket(serve, origin, kerberos: Realm, keytab: Path, tmp_path: Path) -> None:
    """Its keys are others than the KDC's."""
    other = kerberos.key("rcmd/127.0.0.3", tmp_path / "service.keytab")
    keys = f'[gssapi]\nkeytab = "{other}"\n'
    last = serve(config=chains.configuration(listen='auth = "gssapi"', more=keys, rule=ANYWHERE))
    first, far = entry(serve, keytab, by_ticket(last)), origin(echo)
    assert not passes(first, far)
    assert first.wait_for_record(event="error")["reason"] == "upstream.failed"
    last.wait_for_record(event="auth.failed", reason="gss.accept")


# ── another configuration, and one that is refused ──────────────────────────────────────────────────────────────────


def reload(server: Server, config: str):
    server.config_file.write_text(config.replace("PORT", str(server.proxy[1])))
    return stile("reload", "--config", server.config_file)


def test_a_reload_brings_another_upstream(serve, origin, kerberos: Realm, keytab: Path, tmp_path: Path) -> None:
    one, other, far = hop(serve, kerberos), hop(serve, kerberos, 'service = "socks"'), origin(echo)
    keys = f'keytab = "{keytab}"\n'
    upstreams = upstream("one", by_ticket(one), options=keys)
    first = serve(config=with_control(tmp_path, chains.configuration(more=upstreams, rule=f"{ANYWHERE} via one")))
    assert passes(first, far)
    upstreams += upstream("other", by_ticket(other), options=keys + 'gss_service = "socks"')
    text = with_control(tmp_path, chains.configuration(more=upstreams, rule=f"{ANYWHERE} via other"))
    assert reload(first, text).returncode == 0
    assert passes(first, far)
    assert other.wait_for_record(event="session.end")["user"] == GATE


def test_a_server_that_began_without_tickets(serve, origin, kerberos: Realm, keytab: Path, tmp_path: Path) -> None:
    last, far = hop(serve, kerberos), origin(echo)
    first = serve(config=with_control(tmp_path, chains.configuration(rule=ANYWHERE)))
    shutil.copy(keytab, first.config_file.parent / "gate.keytab")
    upstreams = upstream("one", by_ticket(last), options='keytab = "gate.keytab"\n')
    refused = reload(first, with_control(tmp_path, chains.configuration(more=upstreams, rule=f"{ANYWHERE} via one")))
    assert refused.returncode == 1 and "who gets it comes with the start of the server only" in refused.stderr
    assert passes(first, far), "all is as it was"


@pytest.mark.parametrize(("make", "told"), [
    (lambda file: None, "No such file"),
    (lambda file: (file.write_bytes(b"\5\2key"), file.chmod(0o644)), "everybody on this host may read it"),
    (lambda file: (file.write_bytes(b"-----BEGIN"), file.chmod(0o600)), "it is no keytab"),
])  # fmt: skip
def test_keytabs_that_are_not_used(kerberos: Realm, tmp_path: Path, make, told: str) -> None:
    make(tmp_path / "gate.keytab")
    file = tmp_path / "stile.toml"
    file.write_text(upstream("one", "socks5h+gssapi://127.0.0.1", options='keytab = "gate.keytab"'))
    result = stile("check", "--config", file)
    assert result.returncode == 78 and "upstream.keytab: cannot use gate.keytab: " in result.stderr, result.stderr
    assert told in result.stderr
