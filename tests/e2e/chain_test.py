"""Ways through one, three and eight servers of Stile: every command, names, halves, replies, and what the records say."""

import socket
from contextlib import closing
from pathlib import Path

import chains
import pytest
import raw_socks
import traffic
from certificates import Authority
from chains import answer, entry_to, exchange, nested, row, url
from dante_client import behind
from ftp_site import start_vsftpd
from http_origins import HttpOrigin, octets
from logins import add_user
from name_server import A, AAAA, NameServer
from networks import Namespace
from origins import echo
from processes import free_port, run, stile, wait_until
from raw_socks import request
from scripted_proxy import ScriptedProxy

BIND, RESOLVE = 2, 0xF0
HOPS = [1, 3, 8]
GRANTED, GENERAL = 0, 1


# ── CONNECT ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
@pytest.mark.parametrize("count", HOPS)
def test_connect(serve, origin, count: int, handshake: str) -> None:
    """Each octet of both directions, and the ends of both; each node records what passed it, the entry its whole way."""
    chain, far = row(serve, count, options=f'handshake = "{handshake}"'), origin()
    client, reply = raw_socks.ask(chain.proxy, request(far.host, far.port))
    there = far.accept()
    assert (reply.code, reply.host, reply.port) == (GRANTED, *there.getpeername()), "BND is the last hop's"
    exchange(client, there)
    end = chain.entry.wait_for_record(event="session.end")
    assert (end["bytes_up"], end["bytes_down"], end["target"]) == (chains.SIZE, chains.SIZE, f"{far.host}:{far.port}")
    places = ["{}:{}".format(*hop.proxy) for hop in chain.hops]
    assert end["route"] == " > ".join(f"hop{number} ({place})" for number, place in enumerate(places, 1))
    for hop, target in zip(chain.hops, [*places[1:], f"{far.host}:{far.port}"]):
        assert hop.wait_for_record(event="session.end")["target"] == target
    assert chain.last.wait_for_record(event="session.end")["bytes_up"] == chains.SIZE


@pytest.mark.parametrize("count", HOPS)
def test_octets_behind_the_request_arrive_first(serve, origin, count: int) -> None:
    """A client that does not wait for its replies loses nothing."""
    chain, far = row(serve, count), origin()
    client = raw_socks.dial(chain.proxy)
    client.sendall(raw_socks.GREETING + request(far.host, far.port) + b"early")
    there = far.accept()
    assert raw_socks.receive(there, 5) == b"early"
    there.sendall(b"220 ready")
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(client).code == GRANTED
    assert raw_socks.receive(client, 9) == b"220 ready"


@pytest.mark.parametrize("first", ["client", "target"])
@pytest.mark.parametrize("count", HOPS)
def test_half_close(serve, origin, count: int, first: str) -> None:
    """Who has ended still hears all that the other has to say."""
    chain, far = row(serve, count), origin()
    client = raw_socks.tunnel(chain.proxy, far.host, far.port)
    one, other = (client, far.accept()) if first == "client" else (far.accept(), client)
    one.sendall(b"that is all")
    one.shutdown(socket.SHUT_WR)
    assert raw_socks.receive_all(other) == b"that is all"
    sent = traffic.in_thread(traffic.send, other, 3, chains.SIZE)
    assert traffic.receive(one, chains.SIZE) == sent.result(60)
    other.shutdown(socket.SHUT_WR)
    traffic.expect_end(one)


@pytest.mark.parametrize("count", HOPS)
def test_a_reset_is_told_through_all_hops(serve, origin, count: int) -> None:
    chain, far = row(serve, count), origin()
    client = raw_socks.tunnel(chain.proxy, far.host, far.port)
    traffic.reset(far.accept())
    traffic.expect_reset(client)


def test_many_at_once(serve, origin) -> None:
    chain, far = row(serve, 3, options='handshake = "pipelined"'), origin(echo)

    def whole(seed: int) -> None:
        client = raw_socks.tunnel(chain.proxy, far.host, far.port)
        sent = traffic.in_thread(traffic.send, client, seed, 200_000)
        assert traffic.receive(client, 200_000) == sent.result(60)
        client.close()

    for one in [traffic.in_thread(whole, seed) for seed in range(50)]:
        one.result(60)
    for node in chain.nodes():
        wait_until("50 ends", lambda: sum(one["event"] == "session.end" for one in node.records()) == 50)


@pytest.mark.parametrize("form", ["-s", "-p"])
def test_http_at_the_entry(serve, tmp_path: Path, form: str) -> None:
    """Forwarded requests and CONNECT; the origin is asked as if there were one proxy."""
    chain = row(serve, 3)
    with closing(HttpOrigin()) as far:
        proxy = f"http://127.0.0.1:{chain.proxy[1]}"
        where = f"http://127.0.0.1:{far.port}/octets/300000"
        result = run("curl", "-sS", "--noproxy", "", form, "-o", tmp_path / "got", "-x", proxy, where)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "got").read_bytes() == octets(300_000)
    assert chain.entry.wait_for_record(event="session.end")["protocol"] == "http"
    assert chain.last.wait_for_record(event="session.end")["target"] == f"127.0.0.1:{far.port}"


@pytest.mark.parametrize("hops", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_families_of_hops_and_target_are_their_own_affair(serve, origin, hops: str, target: str) -> None:
    far, chain = origin(host=target), row(serve, 2, host=hops)
    exchange(raw_socks.tunnel(chain.proxy, far.host, far.port), far.accept())


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "http", "socks5"])
@pytest.mark.parametrize("count", [1, 3])
def test_hops_of_other_protocols(serve, origin, count: int, scheme: str) -> None:
    chain, far = row(serve, count, scheme), origin()
    exchange(raw_socks.tunnel(chain.proxy, far.host, far.port), far.accept())
    protocol = {"socks4a": "socks4"}.get(scheme, scheme)
    assert {hop.wait_for_record(event="session.end")["protocol"] for hop in chain.hops} == {protocol}


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

FAR, DEAD = "10.9.9.10", "10.9.9.11"


@pytest.fixture
def named_host(lone_host: Namespace):
    """A host with an address for targets and one that no packet reaches, and a DNS server that counts."""
    lone_host.run("ip", "address", "add", FAR, "dev", "lo")
    lone_host.run("ip", "route", "add", "unreachable", DEAD)
    lone_host.file("resolv.conf", "nameserver 127.0.0.1\n")
    lone_host.file("hosts", "127.0.0.1 localhost\n")
    with lone_host.inside():
        names = {"far.example": [FAR], "two.example": [DEAD, FAR], "shut.example": ["10.9.9.12", FAR], "six.example": ["::1"]}
        lone_host.run("ip", "address", "add", "10.9.9.12", "dev", "lo")
        with closing(NameServer("127.0.0.1", names)) as server:
            yield lone_host, server


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
@pytest.mark.parametrize("count", HOPS)
def test_a_name_is_looked_up_by_the_last_one_alone(serve, origin, named_host, count: int, scheme: str) -> None:
    place, names = named_host
    chain, far = row(serve, count, scheme, namespace=place), origin(host=FAR)
    exchange(raw_socks.tunnel(chain.proxy, "far.example", far.port), far.accept(), 10_000)
    assert sorted(names.asked) == [("far.example", A), ("far.example", AAAA)]
    target = f"far.example:{far.port}"
    assert chain.entry.wait_for_record(event="session.end")["target"] == target
    last = chain.last.wait_for_record(event="session.end")
    assert (last["target"], last["address"]) == (target, f"{FAR}:{far.port}")


def test_each_node_knows_the_name_where_each_knows_the_next_node_alone(serve, origin, named_host) -> None:
    place, names = named_host
    chain, far = nested(serve, 3, namespace=place), origin(host=FAR)
    exchange(raw_socks.tunnel(chain.proxy, "far.example", far.port), far.accept(), 10_000)
    assert sorted(names.asked) == [("far.example", A), ("far.example", AAAA)]
    for node in chain.nodes():
        assert node.wait_for_record(event="session.end")["target"] == f"far.example:{far.port}"


@pytest.mark.parametrize(("name", "dead"), [("two.example", DEAD), ("shut.example", "10.9.9.12")])
def test_through_socks5_each_address_is_asked_for(serve, origin, named_host, name: str, dead: str) -> None:
    """Looked up here, and never by name there; what the last one cannot reach is not the end."""
    place, names = named_host
    chain, far = row(serve, 2, "socks5", namespace=place), origin(host=FAR)
    exchange(raw_socks.tunnel(chain.proxy, name, far.port), far.accept(), 10_000)
    assert sorted(names.asked) == [(name, A), (name, AAAA)]
    chain.last.wait_for_record(event="error", target=f"{dead}:{far.port}")
    chain.last.wait_for_record(event="session.end", target=f"{FAR}:{far.port}")
    end = chain.entry.wait_for_record(event="session.end")
    assert (end["target"], end["address"]) == (f"{name}:{far.port}", f"{FAR}:{far.port}")


def test_a_name_of_ipv6_is_nothing_for_socks4(serve, named_host) -> None:
    place, names = named_host
    chain = row(serve, 1, "socks4", namespace=place)
    with place.inside():
        assert answer(chain.proxy, "six.example", 80).code == 8
        assert answer(chain.proxy, "::1", 80).code == 8
    assert chain.last.records() == []


# ── the other commands ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [1, 3])
def test_resolve(serve, named_host, count: int) -> None:
    place, names = named_host
    chain = row(serve, count, namespace=place)
    client, reply = raw_socks.ask(chain.proxy, request("far.example", 0, RESOLVE))
    assert (reply.code, reply.host) == (GRANTED, FAR)
    assert raw_socks.receive_all(client) == b""
    assert [name for name, _ in names.asked] == ["far.example"] * len(names.asked)
    assert answer(chain.proxy, "nobody.example", 0, RESOLVE).code == 4


@pytest.mark.parametrize("count", HOPS)
def test_bind(serve, count: int) -> None:
    """Both replies are the last hop's; the peer that it takes is joined to the client."""
    chain = row(serve, count)
    client, first = raw_socks.ask(chain.proxy, request("127.0.0.1", 0, BIND))
    assert first.code == GRANTED and first.port != 0
    with raw_socks.dial((first.host, first.port)) as peer:
        second = raw_socks.receive_reply(client)
        assert (second.code, second.host, second.port) == (GRANTED, *peer.getsockname())
        exchange(client, peer)
    for node in (chain.entry, chain.last):
        end = node.wait_for_record(event="session.end")
        assert (end["command"], end["bytes_up"], end["bytes_down"]) == ("bind", chains.SIZE, chains.SIZE)


@pytest.mark.parametrize("count", [1, 3])
def test_bind_is_over_with_its_client(serve, count: int) -> None:
    """The port at the last hop is closed."""
    chain = row(serve, count)
    client, first = raw_socks.ask(chain.proxy, request("127.0.0.1", 0, BIND))
    client.close()
    for node in (chain.entry, chain.last):
        wait_until("the session is over", lambda: any(one["event"] in ("session.end", "error") for one in node.records()))
    with pytest.raises(ConnectionRefusedError):
        raw_socks.dial((first.host, first.port))


def test_active_ftp_through_two_hops(serve, daemon, tmp_path: Path) -> None:
    """An unchanged FTP client: each of its data connections is a BIND at the last hop."""
    chain, (port, root) = row(serve, 2), start_vsftpd(daemon, tmp_path, passive=False)
    commands = f"binary\nget large {tmp_path}/got\ncd incoming\nput {tmp_path}/got sent\nquit\n"
    client = ("socksify", "tnftp", "-a", "-A", "-v", "127.0.0.1", port)
    assert run(*client, input=commands, environment=behind(chain.entry, tmp_path)).returncode == 0
    assert (tmp_path / "got").read_bytes() == (root / "large").read_bytes()
    assert (root / "incoming" / "sent").read_bytes() == (root / "large").read_bytes()
    for node in (chain.entry, chain.last):
        node.wait_for_record(event="session.end", command="bind", bytes_down=5_000_000)
        node.wait_for_record(event="session.end", command="bind", bytes_up=5_000_000)


@pytest.mark.parametrize("count", HOPS)
def test_ping(serve, count: int) -> None:
    chain = row(serve, count)
    result = stile("ping", "--via", url(chain.proxy), "-c", 2, "127.0.0.1")
    assert result.returncode == 0 and result.stdout.count("64 bytes from 127.0.0.1") == 2, result.stderr
    assert chain.last.wait_for_record(event="session.end")["command"] == "ping"


@pytest.mark.parametrize(("scheme", "command"), [("socks4", "ping"), ("http", "ping"), ("http", "bind")])
def test_a_command_that_the_last_protocol_lacks(serve, scheme: str, command: str) -> None:
    """07, and nothing is asked for there that stands for something else."""
    chain = row(serve, 1, scheme)
    code = {"ping": 0x80, "bind": BIND, "resolve": RESOLVE}[command]
    assert answer(chain.proxy, "127.0.0.1", 0, code).code == 7
    assert chain.entry.wait_for_record(command=command)["reason"] == "upstream.command"
    assert not [one for one in chain.last.records() if one["event"] == "session.start"]


# ── protections and logins ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
@pytest.mark.parametrize("scheme", ["socks5h+tls", "socks4a+tls", "https"])
@pytest.mark.parametrize("count", HOPS)
def test_tls_inside_tls(serve, origin, ca, count: int, scheme: str, handshake: str) -> None:
    listen = chains.secured(ca, "hop")
    options = f'ca = "{ca.certificate}"\nhandshake = "{handshake}"'
    chain, far = row(serve, count, scheme, options, listen), origin()
    exchange(raw_socks.tunnel(chain.proxy, far.host, far.port), far.accept())


def test_client_certificates_inside_each_other(serve, origin, ca) -> None:
    certificate, key = ca.issue("gate", "DNS:gate.example")
    options = f'ca = "{ca.certificate}"\ncertificate = "{certificate}"\nkey = "{key}"'
    chain, far = row(serve, 3, "socks5h+tls", options, chains.secured(ca, "hop", clients=True)), origin()
    exchange(raw_socks.tunnel(chain.proxy, far.host, far.port), far.accept())
    assert {hop.wait_for_record(event="session.end")["user"] for hop in chain.hops} == {"cert:gate.example"}


def locked(serve, folder: Path, password: str, handshake: str = "step-by-step") -> chains.Row:
    """Two hops that know `gate` by "the right one"."""
    users = folder / "users"
    if not users.exists():
        add_user(users, "gate", "the right one")
    config = chains.configuration(listen='auth = ["password"]', more=f'[users]\nfile = "{users}"\n')
    hops = [serve(config=config) for _ in range(2)]
    file = chains.secret(folder, "password", password)
    options = f'password_file = "{file}"\nclear_password = "allow"\nhandshake = "{handshake}"'
    return chains.Row(entry_to(serve, *(url(hop.proxy, user="gate@") for hop in hops), options=options), hops)


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
def test_passwords_at_each_hop(serve, origin, tmp_path: Path, handshake: str) -> None:
    chain, far = locked(serve, tmp_path, "the right one", handshake), origin()
    exchange(raw_socks.tunnel(chain.proxy, far.host, far.port), far.accept())
    assert {hop.wait_for_record(event="session.end")["user"] for hop in chain.hops} == {"gate"}


def failed(chain: chains.Row, target: tuple[str, int]) -> None:
    """What is in the way before the last one's own word is a general failure, and the target hears of nobody."""
    reply = answer(chain.proxy, *target)
    assert reply.octets == bytes([5, GENERAL]) + raw_socks.FAILURE_TAIL
    record = chain.entry.wait_for_record(event="error", reply=GENERAL)
    assert record["reason"] == "upstream.failed" and "hop1 (" in str(record["route"])


@pytest.mark.parametrize("handshake", ["step-by-step", "pipelined"])
def test_a_wrong_password(serve, origin, tmp_path: Path, handshake: str) -> None:
    chain, far = locked(serve, tmp_path, "a wrong one", handshake), origin()
    failed(chain, (far.host, far.port))
    assert far.peers == []
    chain.hops[0].wait_for_record(event="auth.failed", user="gate")


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_certificate_of_another_ca(serve, origin, ca, tmp_path: Path, wrong: int) -> None:
    """At the first hop or inside it, at the second."""
    listens = [chains.secured(ca, "good")] * 2
    listens[wrong] = chains.secured(Authority(tmp_path / "other"), "bad")
    hops = [serve(config=chains.configuration(listen=listen)) for listen in listens]
    servers = [url(hop.proxy, "socks5h+tls") for hop in hops]
    far, chain = origin(), chains.Row(entry_to(serve, *servers, options=f'ca = "{ca.certificate}"'), hops)
    failed(chain, (far.host, far.port))
    assert far.peers == []


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_hop_where_nobody_listens(serve, origin, gone: int) -> None:
    hops = [serve(config=chains.configuration()) for _ in range(2)]
    servers = [url(hop.proxy) for hop in hops]
    servers.insert(gone, url(("127.0.0.1", free_port())))
    far, chain = origin(), chains.Row(entry_to(serve, *servers), hops)
    if gone < 2:
        failed(chain, (far.host, far.port))
    else:
        failed(chain, ("127.0.0.1", far.port))
    assert far.peers == []


# ── the last one's own word ─────────────────────────────────────────────────────────────────────────────────────────

WORDS = {
    1: "upstream.general",
    2: "upstream.denied",
    3: "upstream.network_unreachable",
    4: "upstream.host_unreachable",
    5: "upstream.refused",
    6: "upstream.ttl_expired",
    7: "upstream.command",
    8: "upstream.address_type",
}


@pytest.mark.parametrize("code", [*WORDS, 9, 0xFF])
def test_the_last_proxy_s_reply_is_told(serve, origin, code: int) -> None:
    """RFC 1928, section 6; what it does not define is a general failure."""
    last = origin(ScriptedProxy(reply=bytes([5, code]) + raw_socks.FAILURE_TAIL))
    first = serve(config=chains.configuration())
    entry = entry_to(serve, url(first.proxy), url((last.host, last.port)))
    told = code if code in WORDS else GENERAL
    assert answer(entry.proxy, "192.0.2.10", 80).octets == bytes([5, told]) + raw_socks.FAILURE_TAIL
    assert entry.wait_for_record(event="error", reply=told)["reason"] == WORDS[told]


@pytest.mark.parametrize("code", WORDS)
def test_a_hop_that_is_not_the_last_speaks_of_the_next_one(serve, origin, code: int) -> None:
    """That is a failure of the way, whatever its code."""
    first = origin(ScriptedProxy(reply=bytes([5, code]) + raw_socks.FAILURE_TAIL))
    entry = entry_to(serve, url((first.host, first.port)), "socks5h://127.0.0.1:9")
    assert answer(entry.proxy, "192.0.2.10", 80).code == GENERAL
    assert entry.wait_for_record(event="error")["reason"] == "upstream.failed"


STATUSES = [(403, 2, "denied"), (404, 4, "host_unreachable"), (502, 4, "host_unreachable"), (504, 4, "timeout"),
            (407, 1, "failed"), (400, 1, "general"), (500, 1, "general"), (503, 1, "general")]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "reason"), STATUSES)
def test_what_an_http_proxy_answers_is_told(serve, origin, status: int, code: int, reason: str) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    last = origin(refuse)
    entry = entry_to(serve, url((last.host, last.port), "http"))
    assert answer(entry.proxy, "192.0.2.10", 80).code == code
    entry.wait_for_record(event="error", reply=code, reason=f"upstream.{reason}")


@pytest.mark.parametrize("code", [91, 92, 93])
def test_what_a_socks4_proxy_refuses_is_a_general_failure(serve, origin, code: int) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes([0, code]) + bytes(6))

    last = origin(refuse)
    entry = entry_to(serve, url((last.host, last.port), "socks4a"))
    assert answer(entry.proxy, "192.0.2.10", 80).code == GENERAL
    entry.wait_for_record(event="error", reply=GENERAL)


@pytest.mark.parametrize("count", HOPS)
def test_what_the_last_server_finds_is_told_through_all_hops(serve, named_host, count: int) -> None:
    """A closed port, an address out of reach, a name that is not there, a rule."""
    place, _ = named_host
    chain = row(serve, count, namespace=place)
    for host, code in ((FAR, 5), (DEAD, 4), ("192.0.2.99", 3), ("nobody.example", 4), ("169.254.169.254", 2)):
        assert answer(chain.proxy, host, 9).code == code, host


# ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("build", [row, nested])
@pytest.mark.parametrize("scheme", ["socks5h", "socks5h+tls"])
def test_an_announced_session_is_one_session_in_every_record(serve, origin, ca, build, scheme: str) -> None:
    listen, options = 'proxy_protocol_from = ["127.0.0.0/8"]', 'identity = "announce"'
    if scheme == "socks5h+tls" and build is nested:
        pytest.skip("the entry of a nested chain is met in clear")
    if scheme == "socks5h+tls":
        listen, options = f"{listen}\n{chains.secured(ca, 'hop')}", f'{options}\nca = "{ca.certificate}"'
        chain = row(serve, 3, scheme, options, listen)
    else:
        chain = build(serve, 3, options=options, listen=listen)
    far = origin()
    client = raw_socks.tunnel(chain.proxy, far.host, far.port)
    own = "{}:{}".format(*client.getsockname())
    exchange(client, far.accept())
    ends = [node.wait_for_record(event="session.end") for node in chain.nodes()]
    assert {end["client"] for end in ends} == {own}
    assert len({end["session"] for end in ends}) == 1
    assert not [end for end in ends if "announced_user" in end]
    assert chain.last.wait_for_record(event="session.end")["bytes_up"] == chains.SIZE


def test_an_announced_user_is_in_every_record(serve, origin, tmp_path: Path) -> None:
    """The one who logged in at the first server, as far as the last; neither of the others asks for a login."""
    users = tmp_path / "users"
    add_user(users, "alice", "secret")
    trusted, options = 'proxy_protocol_from = ["127.0.0.0/8"]', 'identity = "announce"'
    last = serve(config=chains.configuration(listen=trusted))
    middle = entry_to(serve, url(last.proxy), options=options, listen=trusted)
    more = f'[users]\nfile = "{users}"\n'
    entry = entry_to(serve, url(middle.proxy), options=options, listen='auth = ["password"]', more=more)
    far = origin()
    client = raw_socks.dial(entry.proxy)
    client.sendall(b"\x05\x01\x02" + b"\x01\x05alice\x06secret" + raw_socks.request(far.host, far.port))
    assert raw_socks.receive(client, 4) == b"\x05\x02\x01\x00"
    assert raw_socks.receive_reply(client).code == 0
    exchange(client, far.accept())
    ends = [node.wait_for_record(event="session.end") for node in (entry, middle, last)]
    assert [(end.get("user"), end.get("announced_user")) for end in ends] == [
        ("alice", None),
        (None, "alice"),
        (None, "alice"),
    ]


def test_nobody_is_announced_unless_told_so(serve, origin) -> None:
    """Two hops: neither learns the client's address or the session's number."""
    chain, far = row(serve, 2), origin()
    client = raw_socks.tunnel(chain.proxy, far.host, far.port)
    own = "{}:{}".format(*client.getsockname())
    exchange(client, far.accept())
    ends = [node.wait_for_record(event="session.end") for node in chain.nodes()]
    assert [end["client"] == own for end in ends] == [True, False, False]
    assert len({end["session"] for end in ends}) == 3
