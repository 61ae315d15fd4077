"""Datagrams through one, two, three and eight servers of Stile, and through Dante: an association at each hop, and what
becomes of it where a hop refuses, dies, comes back, or is taken away by a reload."""

import hashlib
import os
import random
import socket
import struct
from contextlib import closing
from pathlib import Path

import chains
import pytest
import raw_socks
from certificates import Authority
from chains import configuration, entry_to, row, upstream, url
from dante_client import behind
from datagrams import DatagramEcho
from logins import add_user
from name_server import A, AAAA, NameServer
from networks import Namespace
from processes import accepts, free_port, run, stile, wait_until
from reload_test import with_control
from scripted_proxy import ScriptedProxy
from server import Server
from udp_test import associate, datagram

HOPS = [1, 2, 3, 8]
ANYWHERE = "allow anyone from loopback to tcp udp bind resolve any, private, loopback, self, reserved"
FAR = "10.9.9.10"
MOST = 65_507  # octets of a datagram on IPv4, all headers of SOCKS included


@pytest.fixture(autouse=True)
def datagrams_everywhere(monkeypatch) -> None:
    """What `chains` builds carries datagrams."""
    monkeypatch.setattr(chains, "EVERYTHING", ANYWHERE)
    monkeypatch.setattr(chains, "configuration", lambda **more: configuration(**({"rule": ANYWHERE} | more)))


@pytest.fixture
def echo(serve):
    """Makes UDP servers that answer with what they got; `serve`: they end before the proxies do."""
    made: list[DatagramEcho] = []

    def make(host: str = "127.0.0.1", port: int = 0) -> DatagramEcho:
        made.append(DatagramEcho(host, port))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Client:
    """One association of a raw client."""

    def __init__(self, proxy: tuple[str, int]) -> None:
        self.control, self.socket = associate(proxy)

    def send(self, host: str, port: int, payload: bytes) -> None:
        self.socket.send(datagram(host, port, payload))

    def receive(self, timeout: float = 20) -> bytes:
        self.socket.settimeout(timeout)
        return self.socket.recv(65536)

    def exchange(self, host: str, port: int, payload: bytes, source: str | None = None) -> None:
        """There and back, octet for octet, from the address that is told."""
        self.send(host, port, payload)
        assert self.receive() == datagram(source or host, port, payload)

    def tries(self, host: str, port: int, payload: bytes) -> bool:
        """Whether an answer comes soon: datagrams get lost while a way is lost or opened."""
        self.send(host, port, payload)
        try:
            while True:
                if self.receive(0.5) == datagram(host, port, payload):
                    return True
        except TimeoutError:
            return False

    def close(self) -> None:
        self.socket.close()
        self.control.close()


@pytest.fixture
def client(serve):
    made: list[Client] = []

    def make(proxy: tuple[str, int]) -> Client:
        made.append(Client(proxy))
        return made[-1]

    yield make
    for one in made:
        one.close()


def drop_of(server: Server, reason: str) -> dict[str, object]:
    return server.wait_for_record(event="drop", reason=reason)


def end_at_once(server: Server) -> None:
    """A second signal does not wait for anybody."""
    server.process.terminate()
    wait_until("it drains", lambda: "drain" in server.errors())
    server.process.terminate()
    server.process.wait(30)


# ── what passes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
@pytest.mark.parametrize("count", HOPS)
def test_datagrams_there_and_back(serve, echo, client, count: int, handshake: str) -> None:
    """Of all sizes, each checked; every node counts the payload alone, and the entry names its whole way."""
    chain, far = row(serve, count, options=f'handshake = "{handshake}"'), echo()
    one, dice = client(chain.proxy), random.Random(count)
    sizes = [5, 0, 1, 1400, 9000, 60_000, *(dice.randrange(3000) for _ in range(40))]
    for size in sizes:
        one.exchange(far.host, far.port, dice.randbytes(size))
    one.close()
    end = chain.entry.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"]) == (len(sizes), len(sizes))
    assert end["bytes_up"] == end["bytes_down"] == sum(sizes)
    places = ["{}:{}".format(*hop.proxy) for hop in chain.hops]
    assert end["route"] == " > ".join(f"hop{number} ({place})" for number, place in enumerate(places, 1))
    last = chain.last.wait_for_record(event="session.end", command="udp-associate")
    assert (last["packets_up"], last["bytes_down"]) == (len(sizes), sum(sizes))
    assert len(set(far.peers)) == 1, "from one socket of the last hop"
    for hop in chain.hops:
        wait_until("its streams are over", lambda: over(hop))


def over(server: Server) -> bool:
    events = [record["event"] for record in server.records()]
    return events.count("session.start") == events.count("session.end") > 0


@pytest.mark.parametrize("count", [1, 8])
def test_the_longest_datagram_is_shorter_by_the_headers(serve, echo, client, count: int) -> None:
    """What would not fit any longer is dropped where that is known first, with its reason."""
    chain, far = row(serve, count), echo()
    one = client(chain.proxy)
    most = MOST - 10 * count
    one.exchange(far.host, far.port, os.urandom(most))
    if count > 1:  # more does not fit into a datagram of the client's either
        one.send(far.host, far.port, bytes(most + 1))
        record = drop_of(chain.entry, "udp.toobig")
        assert record["target"] == f"{far.host}:{far.port}"
    one.exchange(far.host, far.port, b"still there")


def test_a_stream_of_datagrams(serve, echo, client) -> None:
    """Windows of 64 of equal size leave as trains; each arrives as it was, or not at all, and most arrive."""
    chain, far = row(serve, 3), echo()
    one = client(chain.proxy)
    one.exchange(far.host, far.port, b"opens the way")
    got = 0
    for window in range(20):
        sent = [hashlib.sha256(struct.pack("!II", window, number)).digest() * 30 for number in range(64)]
        for payload in sent:
            one.send(far.host, far.port, payload)
        left = {datagram(far.host, far.port, payload) for payload in sent}
        try:
            while left:
                answer = one.receive(2)
                assert answer in left, "an answer that is no datagram of this window"
                left.remove(answer)
        except TimeoutError:
            pass
        got += 64 - len(left)
    assert got > 20 * 64 * 0.8, got


def test_many_associations_at_once(serve, echo, client) -> None:
    chain, far = row(serve, 2), echo()
    clients = [client(chain.proxy) for _ in range(30)]
    for number, one in enumerate(clients):
        one.send(far.host, far.port, b"from %d" % number)
    for number, one in enumerate(clients):
        assert one.receive() == datagram(far.host, far.port, b"from %d" % number)


@pytest.mark.parametrize("hops", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_families_of_hops_and_target_are_their_own_affair(serve, echo, client, hops: str, target: str) -> None:
    far = echo(target)
    servers = [serve(config=chains.configuration(host=hops), host=hops) for _ in range(2)]
    entry = entry_to(serve, *(url(one.proxy) for one in servers))
    one = client(entry.proxy)
    for size in (10, 30_000):
        one.exchange(far.host, far.port, os.urandom(size))


def test_fragments_are_put_together_before_they_go(serve, echo, client) -> None:
    chain, far = row(serve, 2), echo()
    one = client(chain.proxy)
    one.socket.send(datagram(far.host, far.port, b"AB", 0x01))
    one.socket.send(datagram(far.host, far.port, b"CD", 0x82))
    assert one.receive() == datagram(far.host, far.port, b"ABCD")


def test_inside_tls_and_with_a_password(serve, echo, client, tmp_path: Path) -> None:
    """The streams are protected; the datagrams are not, as everywhere in SOCKS5."""
    ca, users = Authority(tmp_path / "ca"), tmp_path / "users"
    add_user(users, "gate", "the right one")
    listen = f'auth = ["password"]\n{chains.secured(ca, "hop")}'
    config = chains.configuration(listen=listen, more=f'[users]\nfile = "{users}"\n')
    hops = [serve(config=config) for _ in range(2)]
    file = chains.secret(tmp_path, "password", "the right one")
    options = f'password_file = "{file}"\nca = "{ca.certificate}"'
    entry = entry_to(serve, *(url(hop.proxy, "socks5h+tls", "gate@") for hop in hops), options=options)
    far, one = echo(), client(entry.proxy)
    one.exchange(far.host, far.port, b"through both")
    one.close()
    for hop in hops:
        assert hop.wait_for_record(event="session.end", command="udp-associate")["user"] == "gate"


def test_an_upstream_that_is_told_who_asks_serves_us_all_the_same(serve, echo, client) -> None:
    """A header that named the client would have the relay take datagrams from the client alone."""
    listen, options = 'proxy_protocol_from = ["127.0.0.0/8"]', 'identity = "announce"'
    chain, far = row(serve, 2, options=options, listen=listen), echo()
    one = client(chain.proxy)
    one.exchange(far.host, far.port, b"announced")


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def named_host(lone_host: Namespace):
    """A host with two addresses for targets, and a DNS server that counts."""
    lone_host.run("ip", "address", "add", FAR, "dev", "lo")
    lone_host.run("ip", "address", "add", "10.9.9.11", "dev", "lo")
    lone_host.file("resolv.conf", "nameserver 127.0.0.1\n")
    lone_host.file("hosts", "127.0.0.1 localhost\n")
    with lone_host.inside():
        names = {"far.example": [FAR], "two.example": ["10.9.9.11", FAR], "hop2.example": ["127.0.0.1"]}
        with closing(NameServer("127.0.0.1", names)) as server:
            yield lone_host, server


@pytest.mark.parametrize("count", HOPS)
def test_a_name_is_looked_up_by_the_last_one_alone(serve, named_host, echo, client, count: int) -> None:
    place, names = named_host
    chain, far = row(serve, count, namespace=place), echo(FAR)
    one = client(chain.proxy)
    for payload in (b"by name", b"and again"):
        one.exchange("far.example", far.port, payload, FAR)
    assert sorted(names.asked) == [("far.example", A), ("far.example", AAAA)], "nobody else asks"
    one.send("nobody.example", far.port, b"lost")
    wait_until("the last one asks", lambda: ("nobody.example", A) in names.asked)
    record = chain.last.wait_for_record(event="drop", reason="udp.dns")
    assert record["target"] == f"nobody.example:{far.port}"
    assert not [record for record in chain.entry.records() if record["event"] == "drop"]


def test_through_socks5_a_name_is_looked_up_here_and_every_address_decided(serve, named_host, echo, client) -> None:
    place, names = named_host
    hops = [serve(config=chains.configuration(), namespace=place) for _ in range(2)]
    upstreams = upstream("one", url(hops[0].proxy, "socks5")) + upstream("two", url(hops[1].proxy, "socks5"))
    rules = "deny anyone to udp 10.9.9.11\nallow anyone from loopback to udp any, private, self via one > two"
    entry = serve(config=configuration(more=upstreams, rule=rules), namespace=place)
    far, one = echo(FAR), client(entry.proxy)
    one.exchange("two.example", far.port, b"by the allowed one", FAR)
    assert sorted(names.asked) == [("two.example", A), ("two.example", AAAA)]
    one.close()
    names = [record["target"] for record in hops[1].records()]
    assert all("example" not in str(name) for name in names)


def test_a_hop_that_is_named_is_looked_up_by_the_one_before(serve, named_host, echo, client) -> None:
    place, names = named_host
    chain = row(serve, 2, namespace=place)
    port = chain.hops[1].proxy[1]
    entry = entry_to(serve, url(chain.hops[0].proxy), f"socks5h://hop2.example:{port}", namespace=place)
    far, one = echo(FAR), client(entry.proxy)
    one.exchange(FAR, far.port, b"to a hop by its name")
    assert set(names.asked) == {("hop2.example", A), ("hop2.example", AAAA)}


@pytest.mark.parametrize("count", [1, 3])
def test_a_question_to_a_name_server(serve, named_host, client, count: int) -> None:
    """As a resolver's library would ask it, through the chain."""
    place, names = named_host
    chain = row(serve, count, namespace=place)
    question = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\3far\7example\0" + struct.pack("!HH", A, 1)
    one = client(chain.proxy)
    one.send("127.0.0.1", 53, question)
    answer = one.receive()
    assert answer.startswith(datagram("127.0.0.1", 53, b"\x12\x34"))
    assert answer.endswith(socket.inet_aton(FAR))
    assert names.asked == [("far.example", A)]


# ── several ways ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_targets_of_one_association_go_different_ways(serve, echo, client) -> None:
    """Two chains and one directly, at once; each answer comes from where it is expected alone."""
    hops = [serve(config=chains.configuration()) for _ in range(3)]
    upstreams = "".join(upstream(f"hop{number}", url(hop.proxy)) for number, hop in enumerate(hops))
    echoes = [echo() for _ in range(3)]
    rules = "\n".join(
        f"way{number}: allow anyone from loopback to udp loopback:{far.port} {via}"
        for number, (far, via) in enumerate(zip(echoes, ["via hop0", "via hop1 > hop2", ""]))
    )
    entry = serve(config=configuration(more=upstreams, rule=f"deny anyone to udp any:9\n{rules}"))
    one = client(entry.proxy)
    for turn in range(3):
        for far in echoes:
            one.exchange(far.host, far.port, b"turn %d" % turn)
    seen = [set(far.peers) for far in echoes]
    assert [len(peers) for peers in seen] == [1, 1, 1] and len(set.union(*seen)) == 3
    one.close()
    end = entry.wait_for_record(event="session.end", command="udp-associate")
    places = ["hop{} ({}:{})".format(number, *hop.proxy) for number, hop in enumerate(hops)]
    assert end["route"] == f"{places[0]}, {places[1]} > {places[2]}"
    assert (end["packets_up"], end["packets_down"]) == (9, 9)


def test_what_a_rule_denies_is_not_sent_through(serve, echo, client) -> None:
    hop, far, shut = serve(config=chains.configuration()), echo(), echo()
    rules = f"deny anyone to udp loopback:{shut.port}\n{ANYWHERE} via exit"
    entry = serve(config=configuration(more=upstream("exit", url(hop.proxy)), rule=rules))
    one = client(entry.proxy)
    one.send(shut.host, shut.port, b"denied")
    one.exchange(far.host, far.port, b"allowed")
    drop_of(entry, "udp.deny")
    assert shut.peers == []


# ── a hop fails ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hop_dies_and_comes_back(serve, echo, client) -> None:
    """With it gone, what is sent is dropped with its reason; with it there again, datagrams pass, of the same client."""
    chain, far = row(serve, 2, options='retry = "1s"\nslow_start = "off"'), echo()
    one = client(chain.proxy)
    one.exchange(far.host, far.port, b"before")
    port = chain.hops[1].proxy[1]
    end_at_once(chain.hops[1])
    wait_until("its way is lost", lambda: not one.tries(far.host, far.port, b"meanwhile"))
    drop_of(chain.entry, "udp.upstream")
    serve(config=chains.configuration(), port=port)
    wait_until("it passes again", lambda: one.tries(far.host, far.port, b"afterwards"))


@pytest.mark.parametrize("place", [0, 1])
def test_where_a_server_dies_another_of_its_upstream_takes_its_place(serve, echo, client, place: int) -> None:
    members = [[serve(config=chains.configuration()) for _ in range(2)] for _ in range(2)]
    upstreams = "".join(upstream(f"hop{number}", *(url(one.proxy) for one in both)) for number, both in enumerate(members))
    entry = serve(config=configuration(more=upstreams, rule=f"{ANYWHERE} via hop0 > hop1"))
    far, one = echo(), client(entry.proxy)
    one.exchange(far.host, far.port, b"by the first ones")
    end_at_once(members[place][0])
    wait_until("it passes again", lambda: one.tries(far.host, far.port, b"by another"))
    one.close()
    second = "{}:{}".format(*members[place][1].proxy)
    assert second in str(entry.wait_for_record(event="session.end", command="udp-associate")["route"])


def test_where_a_server_refuses_datagrams_another_is_asked(serve, echo, client) -> None:
    shut = serve(config=configuration(rule="allow anyone from loopback to tcp any, loopback"))
    hop, far = serve(config=chains.configuration()), echo()
    entry = serve(config=configuration(more=upstream("exit", url(shut.proxy), url(hop.proxy)), rule=f"{ANYWHERE} via exit"))
    one = client(entry.proxy)
    one.exchange(far.host, far.port, b"by the other")


REFUSALS = [(7, "udp.upstream.command"), (2, "udp.upstream"), (1, "udp.upstream")]


@pytest.mark.parametrize(("code", "reason"), REFUSALS)
def test_a_hop_that_refuses(serve, origin, client, code: int, reason: str) -> None:
    last = origin(ScriptedProxy(reply=bytes([5, code]) + raw_socks.FAILURE_TAIL))
    entry = entry_to(serve, url((last.host, last.port)))
    one = client(entry.proxy)
    one.send("192.0.2.10", 53, b"nowhere")
    record = drop_of(entry, reason)
    assert (record["target"], record["route"]) == ("192.0.2.10:53", f"hop1 ({last.host}:{last.port})")


@pytest.mark.parametrize("scheme", ["socks4a", "http", "proxy-protocol"])
def test_a_hop_whose_protocol_knows_no_datagrams(serve, client, tmp_path: Path, scheme: str) -> None:
    """Nobody is dialled, nothing goes past it, and `stile check` said so."""
    hop = serve(config=chains.configuration())
    config = configuration(more=upstream("exit", url(hop.proxy, scheme)), rule=f"{ANYWHERE} via exit")
    entry = serve(config=config)
    one = client(entry.proxy)
    with closing(DatagramEcho()) as far:
        one.send(far.host, far.port, b"past it")
        drop_of(entry, "udp.upstream.command")
        assert far.peers == []
    assert [record for record in hop.records() if record["event"] != "error"] == []
    result = stile("check", "--config", entry.config_file)
    assert "udp does not go through upstream 'exit'" in result.stdout + result.stderr


def test_a_relay_elsewhere_is_not_sent_to(serve, origin, echo, client) -> None:
    """Threat TU6: a proxy that would have datagrams sent to a host of ours, unless it may."""
    inside = echo("127.0.0.9")
    reply = b"\x05\x00\x00" + raw_socks.address(inside.host, inside.port)
    bad = origin(ScriptedProxy(play=lambda connection: connection.recv(1), reply=reply))
    entry = entry_to(serve, url((bad.host, bad.port)))
    client(entry.proxy).send("192.0.2.10", 53, b"to be led astray")
    drop_of(entry, "udp.upstream")
    assert inside.peers == []
    allowed = entry_to(serve, url((bad.host, bad.port)), options='relays = ["127.0.0.0/28"]')
    client(allowed.proxy).exchange("192.0.2.10", 53, b"as it may")  # the echo names who was asked


def test_dante_as_a_hop(serve, daemon, echo, client, tmp_path: Path) -> None:
    """Alone, and between two of ours."""
    port = free_port()
    file = tmp_path / "danted.conf"
    file.write_text(
        f"logoutput: {tmp_path}/danted.log\ninternal: 127.0.0.1 port = {port}\nexternal: lo\n"
        "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    daemon("danted", "-N", "1", "-f", file, "-p", tmp_path / "danted.pid")
    wait_until("Dante listens", lambda: accepts("127.0.0.1", port))
    dante, hops = url(("127.0.0.1", port)), [serve(config=chains.configuration()) for _ in range(2)]
    far = echo()
    for way in ([dante], [url(hops[0].proxy), dante], [url(hops[0].proxy), dante, url(hops[1].proxy)]):
        one = client(entry_to(serve, *way).proxy)
        for size in (0, 100, 1400, 20_000):
            one.exchange(far.host, far.port, os.urandom(size))


# ── another configuration ───────────────────────────────────────────────────────────────────────────────────────────


def reload(server: Server, config: str) -> None:
    server.config_file.write_text(config.replace("PORT", str(server.proxy[1])))
    result = stile("reload", "--config", server.config_file)
    assert result.returncode == 0, result.stderr


def reloadable(tmp_path: Path, upstreams: str, rule: str) -> str:
    return with_control(tmp_path, configuration(more=upstreams, rule=rule))


def test_a_reload_ends_ways_and_leads_by_others(serve, echo, client, tmp_path: Path) -> None:
    hops = [serve(config=chains.configuration()) for _ in range(2)]
    upstreams = upstream("one", url(hops[0].proxy)) + upstream("two", url(hops[1].proxy))
    entry = serve(config=reloadable(tmp_path, upstreams, f"{ANYWHERE} via one"))
    far, one = echo(), client(entry.proxy)
    one.exchange(far.host, far.port, b"by one")

    reload(entry, reloadable(tmp_path, upstreams, f"{ANYWHERE} via one log none"))
    one.exchange(far.host, far.port, b"by the same one")
    assert len(set(far.peers)) == 1, "a way that is still one goes on"

    reload(entry, reloadable(tmp_path, upstreams, f"{ANYWHERE} via two"))
    hops[0].wait_for_record(event="session.end", command="udp-associate")
    one.exchange(far.host, far.port, b"by two")

    reload(entry, reloadable(tmp_path, upstreams, ANYWHERE))
    hops[1].wait_for_record(event="session.end", command="udp-associate")
    one.exchange(far.host, far.port, b"directly")
    assert len(set(far.peers)) == 3

    reload(entry, reloadable(tmp_path, upstreams, f"{ANYWHERE} via one > two"))
    one.exchange(far.host, far.port, b"by both")

    denied = "deny anyone to udp loopback\n" + ANYWHERE
    reload(entry, reloadable(tmp_path, upstreams, denied))
    wait_until("both ended", lambda: all(len(ends(hop)) == 2 for hop in hops))
    one.send(far.host, far.port, b"denied")
    drop_of(entry, "udp.deny")


def ends(server: Server) -> list[object]:
    return [one for one in server.records() if (one["event"], one["command"]) == ("session.end", "udp-associate")]


def test_an_upstream_with_other_servers_is_opened_anew(serve, echo, client, tmp_path: Path) -> None:
    hops = [serve(config=chains.configuration()) for _ in range(2)]
    rule = f"{ANYWHERE} via exit"
    entry = serve(config=reloadable(tmp_path, upstream("exit", url(hops[0].proxy)), rule))
    far, one = echo(), client(entry.proxy)
    one.exchange(far.host, far.port, b"by the old one")
    reload(entry, reloadable(tmp_path, upstream("exit", url(hops[1].proxy)), rule))
    hops[0].wait_for_record(event="session.end", command="udp-associate")
    wait_until("it passes", lambda: one.tries(far.host, far.port, b"by the new one"))
    assert len(set(far.peers)) == 2


def test_the_streams_end_with_the_client(serve, echo, client) -> None:
    chain, far = row(serve, 3), echo()
    one = client(chain.proxy)
    one.exchange(far.host, far.port, b"x")
    one.close()
    for hop in chain.hops:
        wait_until("its sessions are over", lambda: over(hop))
    assert len(ends(chain.last)) == 1


def test_a_question_by_a_real_resolver(serve, tmp_path: Path) -> None:
    """drill behind Dante's client, its datagrams through two hops."""
    chain, port = row(serve, 2), free_port()
    with closing(NameServer("127.0.0.1", {"far.example": [FAR]}, port)) as names:
        command = ("drill", "-u", "-p", port, "far.example", "@127.0.0.1", "A")
        result = run("socksify", *command, environment=behind(chain.entry, tmp_path))
        assert result.returncode == 0 and FAR in result.stdout, result.stdout + result.stderr
        assert ("far.example", A) in names.asked
    end = chain.last.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"]) == (1, 1)
