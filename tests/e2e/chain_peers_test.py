"""Ways through other people's proxies, before and behind servers of Stile. What a proxy itself says of a target, asked by
nobody but the test, is what a client has to be told behind all of them."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import chains
import pytest
import raw_socks
import traffic
from chains import answer, entry_to, exchange, url
from dante_client import behind
from ftp_site import start_vsftpd
from name_server import NameServer
from networks import Lab, Namespace
from processes import free_port, run, wait_until
from proxies import FACTS, IPV4, IPV6, Proxies
from raw_socks import request
from server import Server

FAR, NO_ROUTE = "10.9.9.10", "192.0.2.99"
GRANTED, GENERAL, REFUSED, HOST_UNREACHABLE = 0, 1, 5, 4
BIND = 2
CLOSED = -1  # instead of an answer

SPOKEN = [(name, scheme) for name, facts in FACTS.items() for scheme in facts.schemes]
BEST = [(name, facts.schemes[0]) for name, facts in FACTS.items()]
PLACES = ["alone", "before", "behind"]


@dataclass(frozen=True)
class Town:
    """A host where all of them live. Each asks a DNS server of its own: the proxies, the hop, and the entries."""

    host: Namespace
    proxies: Proxies
    hop: Server
    theirs: NameServer
    hops: NameServer
    own: NameServer

    def url(self, name: str, scheme: str, host: str = IPV4) -> str:
        return url(self.proxies.where(name, scheme, host), scheme)

    def way(self, place: str, *servers: str) -> list[str]:
        """Through these: alone, before the hop, or behind it."""
        hop = url(self.hop.proxy)
        return {"alone": [*servers], "before": [*servers, hop], "behind": [hop, *servers]}[place]

    def asked(self, name: str) -> set[str]:
        """Who was asked for this name."""
        servers = {"theirs": self.theirs, "hops": self.hops, "own": self.own}
        return {label for label, server in servers.items() if name in [asked for asked, _ in server.asked]}


def resolver(port: int) -> str:
    return f'[[resolver]]\nservers = ["127.0.0.1:{port}"]\n'


@pytest.fixture(scope="module")
def whole_town(namespaces: None, tmp_path_factory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with ExitStack() as stack:
        host = stack.enter_context(closing(Lab())).host("town")
        host.run("ip", "address", "add", FAR, "dev", "lo")
        host.file("resolv.conf", "nameserver 127.0.0.1\n")
        host.file("hosts", "127.0.0.1 localhost\n::1 localhost\n")
        with host.inside():
            servers = [stack.enter_context(closing(NameServer("127.0.0.1", {}, port))) for port in (53, 5301, 5302)]
        hop = Server(folder / "hop", config=chains.configuration(more=resolver(5301)), namespace=host)
        stack.callback(hop.finish)
        proxies = stack.enter_context(closing(Proxies(host, folder)))
        yield Town(host, proxies, hop, *servers)


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    """The test is in the town."""
    with whole_town.host.inside():
        yield whole_town


@pytest.fixture
def enter(serve, town: Town):
    """Starts an entry whose way leads through these."""
    return lambda *servers, more="", **how: entry_to(serve, *servers, more=resolver(5302) + more, namespace=town.host, **how)


def in_turn(client: socket.socket, far: socket.socket) -> None:
    """Each side says all and ends, and only then the other begins."""
    for seed, (one, other) in enumerate(((client, far), (far, client))):
        sent = traffic.in_thread(traffic.send, one, seed, chains.SIZE)
        assert traffic.receive(other, chains.SIZE) == sent.result(60)
        one.shutdown(socket.SHUT_WR)
        traffic.expect_end(other)


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "scheme"), SPOKEN)
def test_streams(town, enter, origin, name: str, scheme: str, place: str) -> None:
    """Each octet of both directions at once, and the ends; where the proxy knows halves, one after the other as well."""
    far, entry = origin(), enter(*town.way(place, town.url(name, scheme)))
    exchange(raw_socks.tunnel(entry.proxy, far.host, far.port), far.accept())
    if FACTS[name].half_close:
        in_turn(raw_socks.tunnel(entry.proxy, far.host, far.port), far.accept())
    end = entry.wait_for_record(event="session.end")
    assert "{}:{}".format(*town.proxies.where(name, scheme)) in str(end["route"])
    assert (end["bytes_up"], end["bytes_down"]) == (chains.SIZE, chains.SIZE)
    if place == "before":
        assert town.hop.wait_for_record(event="session.end", target=f"{far.host}:{far.port}")["bytes_up"] == chains.SIZE


def test_eight_of_them(town, enter, origin) -> None:
    """One behind the other, each protocol among them."""
    way = [("dante", "socks5h"), ("microsocks", "socks5"), ("ssh", "socks4a"), ("squid", "http"), ("v2ray", "socks5h"), ("dante", "socks4")]
    hop, far = url(town.hop.proxy), origin()
    entry = enter(hop, *(town.url(*one) for one in way), hop)
    for _ in range(3):
        exchange(raw_socks.tunnel(entry.proxy, far.host, far.port), far.accept())
    assert str(entry.wait_for_record(event="session.end")["route"]).count(" > ") == 7


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.pipelined and "socks5h" in facts.schemes])
def test_all_of_the_handshake_at_once(town, enter, origin, name: str, place: str) -> None:
    far, entry = origin(), enter(*town.way(place, town.url(name, "socks5h")), options='handshake = "pipelined"')
    exchange(raw_socks.tunnel(entry.proxy, far.host, far.port), far.accept())


def test_who_loses_what_follows_the_greeting_is_a_failure(town, enter, origin) -> None:
    """microsocks takes one read for one message: asked in one flight it waits for a request that it has thrown away."""
    options, far = 'handshake = "pipelined"\ntimeout = "1s"', origin()
    entry = enter(town.url("microsocks", "socks5h"), options=options, more='[limits]\nconnect = "1s"\nconnect_total = "1s"\n')
    assert answer(entry.proxy, far.host, far.port).code == GENERAL
    assert far.peers == []


@pytest.mark.parametrize(("hop", "target"), [(IPV4, IPV6), (IPV6, IPV4)])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "scheme"), BEST)
def test_families_of_hops_and_target_are_their_own_affair(town, enter, origin, name: str, scheme: str, place: str, hop: str, target: str) -> None:
    far, entry = origin(host=target), enter(*town.way(place, town.url(name, scheme, hop)))
    exchange(raw_socks.tunnel(entry.proxy, far.host, far.port), far.accept())


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def name_there(town: Town, name: str) -> str:
    """A name that everybody's DNS server knows."""
    for server in (town.theirs, town.hops, town.own):
        server.names[name] = [FAR]
    return name


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "scheme"), SPOKEN)
def test_who_looks_a_name_up(town, enter, origin, name: str, scheme: str, place: str) -> None:
    """The last one alone, where it is asked by a protocol that carries names; else the entry (design 5.3)."""
    asked = name_there(town, f"{name}-{scheme}-{place}.example")
    far, entry = origin(host=FAR), enter(*town.way(place, town.url(name, scheme)))
    exchange(raw_socks.tunnel(entry.proxy, asked, far.port), far.accept(), 100_000)
    last = "hops" if place == "before" else "theirs" if scheme in ("socks5h", "socks4a", "http") else "own"
    assert town.asked(asked) == {last}


# ── replies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def word_of(place: tuple[str, int], scheme: str, host: str, port: int) -> int:
    """What a proxy answers to this test itself: a reply code, a status, or CLOSED."""
    with socket.create_connection(place, 30) as proxy:
        if scheme.startswith("socks5"):
            proxy.sendall(raw_socks.GREETING)
            assert raw_socks.receive(proxy, 2) == raw_socks.METHOD_NONE
            proxy.sendall(request(host, port))
            head, at = raw_socks.receive(proxy, 2), 1
        elif scheme.startswith("socks4"):
            known = host.replace(".", "").isdigit()
            packed, tail = (socket.inet_aton(host), b"") if known else (b"\0\0\0\1", host.encode() + b"\0")
            proxy.sendall(struct.pack("!BBH", 4, 1, port) + packed + b"\0" + tail)
            head, at = raw_socks.receive(proxy, 2), 1
        else:
            proxy.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            return int(raw_socks.receive(proxy, 12)[9:] or CLOSED)
    return head[at] if head else CLOSED


def told_of(scheme: str, word: int) -> int:
    """The reply to a SOCKS5 client that says the same as far as it can (docs/upstreams.md)."""
    if word == CLOSED:
        return GENERAL
    if scheme.startswith("socks5"):
        return word if word <= 8 else GENERAL
    if scheme.startswith("socks4"):
        return GRANTED if word == 90 else GENERAL
    return {200: GRANTED, 403: 2, 404: 4, 502: 4, 504: 4}.get(word, GENERAL)


UNKNOWN = "nobody.example"
REPLIES = [one for one in SPOKEN if one[1] not in ("socks5", "socks4")] + [("dante", "socks4")]


def truthful(entry: Server, place: tuple[str, int], scheme: str, targets: list[tuple[str, int]]) -> dict[str, int]:
    """Asks for all of them at once, here and there. Who closes behind its grant has told the client the same."""

    def told(host: str, port: int) -> int:
        client, reply = raw_socks.ask(entry.proxy, request(host, port))
        with client:
            assert reply.code or raw_socks.receive_all(client) == b"", "what was never there has spoken"
        return reply.code

    words = {target: traffic.in_thread(word_of, place, scheme, *target) for target in targets}
    replies = {target: traffic.in_thread(told, *target) for target in targets}
    codes = {target: reply.result(60) for target, reply in replies.items()}
    assert codes == {target: told_of(scheme, word.result(60)) for target, word in words.items()}
    return {host: code for (host, _), code in codes.items()}


@pytest.mark.parametrize("place", ["alone", "behind"])
@pytest.mark.parametrize(("name", "scheme"), REPLIES)
def test_what_the_last_one_finds_is_told(town, enter, name: str, scheme: str, place: str) -> None:
    """A closed port, a network without a route, a name that is not there."""
    entry = enter(*town.way(place, town.url(name, scheme)))
    targets = [(IPV4, 9), (NO_ROUTE, 9), *([(UNKNOWN, 9)] if scheme != "socks4" else [])]
    codes = truthful(entry, town.proxies.where(name, scheme), scheme, targets)
    if FACTS[name].grants_first:
        return
    assert GRANTED not in codes.values()
    if scheme == "socks5h" and name != "ssh":
        assert (codes[IPV4], codes[NO_ROUTE]) == (REFUSED, 3), "the finer codes arrive"
        assert entry.wait_for_record(event="error", reply=REFUSED)["reason"] == "upstream.refused"


@pytest.mark.parametrize("place", ["alone", "behind"])
@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
def test_what_tor_refuses_is_told(town, enter, scheme: str, place: str) -> None:
    """It has no network here. An inside address, and names that it knows to lead nowhere: its own codes (F6) are no client's."""
    entry = enter(*town.way(place, town.url("tor", scheme)))
    codes = truthful(entry, town.proxies.where("tor", scheme), scheme, [(FAR, 9), ("nowhere.onion", 80), ("a.exit", 80)])
    assert GRANTED not in codes.values()
    assert not town.asked("nowhere.onion"), "which nobody else may learn of"


@pytest.mark.parametrize(("name", "scheme"), BEST)
def test_a_hop_s_word_comes_through_those_before_it(town, enter, name: str, scheme: str) -> None:
    entry = enter(*town.way("before", town.url(name, scheme)))
    for host, code in ((IPV4, REFUSED), (UNKNOWN, HOST_UNREACHABLE), (NO_ROUTE, 3), ("169.254.169.254", 2)):
        assert answer(entry.proxy, host, 9).code == code, host


@pytest.mark.parametrize(("name", "scheme"), BEST)
def test_a_next_hop_where_nobody_listens(town, enter, name: str, scheme: str) -> None:
    """Who grants first hides it until the next one has to answer: the same failure."""
    entry = enter(town.url(name, scheme), url((IPV4, 9)), options='timeout = "3s"')
    assert answer(entry.proxy, FAR, 80).octets == bytes([5, GENERAL]) + raw_socks.FAILURE_TAIL
    assert entry.wait_for_record(event="error")["reason"] == "upstream.failed"


# ── BIND ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["socks5h", "socks4"])
@pytest.mark.parametrize("place", PLACES)
def test_bind(town, enter, place: str, scheme: str) -> None:
    """Dante is the one that knows it: both of its replies arrive."""
    entry = enter(*town.way(place, town.url("dante", scheme)))
    client, first = raw_socks.ask(entry.proxy, request(IPV4, 0, BIND))
    assert first.code == GRANTED and first.port != 0
    with raw_socks.dial((IPV4, first.port)) as peer:
        second = raw_socks.receive_reply(client)
        assert (second.code, second.host, second.port) == (GRANTED, *peer.getsockname())
        exchange(client, peer)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_active_ftp_through_two_hops(town, enter, daemon, tmp_path: Path, place: str) -> None:
    """An unchanged FTP client: each of its data connections is a BIND at the last hop, Dante's or Stile's."""
    entry, (port, root) = enter(*town.way(place, town.url("dante", "socks5h"))), start_vsftpd(daemon, tmp_path, passive=False)
    commands = f"binary\nget large {tmp_path}/got\ncd incoming\nput {tmp_path}/got sent\nquit\n"
    client = ("socksify", "tnftp", "-a", "-A", "-v", IPV4, port)
    assert run(*client, input=commands, environment=behind(entry, tmp_path)).returncode == 0
    assert (tmp_path / "got").read_bytes() == (root / "large").read_bytes()
    assert (root / "incoming" / "sent").read_bytes() == (root / "large").read_bytes()
    entry.wait_for_record(event="session.end", command="bind", bytes_down=5_000_000)
    entry.wait_for_record(event="session.end", command="bind", bytes_up=5_000_000)


# ── HAProxy ─────────────────────────────────────────────────────────────────────────────────────────────────────────

HAPROXY = """
defaults
    mode tcp
    retries 0
    timeout connect 20s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{port}{bind}
    server next {server}
"""


def haproxy(daemon, folder: Path, server: str, bind: str = "") -> tuple[str, int]:
    port, config = free_port(), folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, bind=bind, server=server))
    daemon("haproxy", "-db", "-f", config)
    # Not by a connection: it would be led on, or given up on the way.
    wait_until("HAProxy listens", lambda: "LISTEN" in run("ss", "-Htln", f"sport = :{port}").stdout)
    return IPV4, port


@pytest.mark.parametrize("place", PLACES)
def test_haproxy_asks_by_socks4(town, enter, origin, daemon, tmp_path: Path, place: str) -> None:
    """It stands for one target, and has Stile lead it there."""
    far, entry = origin(), enter(*town.way(place, town.url("dante", "socks5h")))
    front = haproxy(daemon, tmp_path, f"{far.host}:{far.port} socks4 {IPV4}:{entry.proxy[1]}")
    exchange(raw_socks.dial(front), far.accept())
    in_turn(raw_socks.dial(front), far.accept())
    assert entry.wait_for_record(event="session.end", bytes_up=chains.SIZE)["protocol"] == "socks4"


def test_haproxy_is_told_that_the_last_one_refuses(town, enter, origin, daemon, tmp_path: Path) -> None:
    entry = enter(*town.way("behind", town.url("dante", "socks5h")))
    front = haproxy(daemon, tmp_path, f"{IPV4}:9 socks4 {IPV4}:{entry.proxy[1]}")
    assert raw_socks.receive_all(raw_socks.dial(front)) == b""
    assert entry.wait_for_record(event="error")["reason"] == "upstream.refused"


@pytest.mark.parametrize("place", PLACES)
def test_haproxy_names_the_client(town, enter, origin, daemon, tmp_path: Path, place: str) -> None:
    """PROXY v2 to the entry: its record is of the client, not of HAProxy."""
    listen = 'proxy_protocol_from = ["127.0.0.1"]'
    far, entry = origin(), enter(*town.way(place, town.url("dante", "socks5h")), listen=listen)
    front = haproxy(daemon, tmp_path, f"{IPV4}:{entry.proxy[1]} send-proxy-v2")
    client = raw_socks.dial(front, source="127.0.0.9")
    client.sendall(raw_socks.GREETING + request(far.host, far.port))
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(client).code == GRANTED
    own = "{}:{}".format(*client.getsockname())
    exchange(client, far.accept())
    assert entry.wait_for_record(event="session.end", client=own)["bytes_up"] == chains.SIZE


def test_haproxy_between_two_of_stile_passes_on_who_asks(town, serve, enter, origin, daemon, tmp_path: Path) -> None:
    """The entry announces its client, HAProxy balances and announces it again: the last record is of that client."""
    last = serve(config=chains.configuration(listen='proxy_protocol_from = ["127.0.0.0/8"]'), namespace=town.host)
    middle = haproxy(daemon, tmp_path, f"{IPV4}:{last.proxy[1]} send-proxy-v2", " accept-proxy")
    far, entry = origin(), enter(url(middle), options='identity = "announce"')
    client = raw_socks.tunnel(entry.proxy, far.host, far.port)
    own = "{}:{}".format(*client.getsockname())
    exchange(client, far.accept())
    assert last.wait_for_record(event="session.end", client=own)["bytes_down"] == chains.SIZE
