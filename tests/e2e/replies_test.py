"""Every reply code of CONNECT by a real cause (protocol reference, 2.5 and 2.6), and what BND says when it succeeds."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import raw_socks
import town
from origins import echo
from processes import wait_until
from raw_socks import Reply, name, request
from server import Server
from town import Town

OK, GENERAL, NOT_ALLOWED, NETWORK, HOST, REFUSED, EXPIRED, COMMAND, ADDRESS_TYPE = range(9)


@pytest.fixture(scope="module")
def shared_town(namespaces: None) -> Iterator[Town]:
    with closing(Town()) as built:
        yield built


@pytest.fixture
def own_town(namespaces: None) -> Iterator[Town]:
    """For tests that change the town's settings for good."""
    with closing(Town()) as built:
        yield built


def proxy_in(place: Town, serve: Callable[..., Server]) -> Server:
    return serve(config=town.CONFIG, host=town.PROXY[0], port=town.PROXY[1], namespace=place.proxy)


def check(server: Server, reply: Reply, code: int, target: str) -> None:
    """The octets of a failure tell nothing but the code; the record tells the operator."""
    assert reply.code == code, f"{target}: {reply.octets.hex(' ')}"
    if code != OK:
        assert reply.octets == bytes([5, code]) + raw_socks.FAILURE_TAIL
        record = server.wait_for_record(target=target, reply=code)
        denied = str(record["reason"]).startswith("deny.")  # by Stile's policy, not by the host's own
        assert record["event"] == ("denied" if denied else "error"), record


def shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


FAILURES = [
    # 01 is made by the tests further down
    (NOT_ALLOWED, "a rule", town.TARGET, town.DENIED),
    (NOT_ALLOWED, "a rule, IPv6", town.TARGET6, town.DENIED),
    (NOT_ALLOWED, "a class that no rule opens", "127.0.0.1", town.OPEN),
    (NOT_ALLOWED, "the proxy's own address", town.PROXY[0], town.OPEN),
    (NOT_ALLOWED, "prohibit route", town.PROHIBITED, town.OPEN),
    (NOT_ALLOWED, "prohibit route, IPv6", town.PROHIBITED6, town.OPEN),
    (NETWORK, "no route", town.ABSENT, town.OPEN),
    (NETWORK, "no route, IPv6", "fd98::1", town.OPEN),
    (NETWORK, "blackhole route", town.BLACKHOLE, town.OPEN),
    (NETWORK, "blackhole route, IPv6", town.BLACKHOLE6, town.OPEN),
    (NETWORK, "net unreachable", town.TARGET, town.NET_UNREACHABLE),
    (NETWORK, "no route at the router, IPv6", town.TARGET6, town.NET_UNREACHABLE),
    (NETWORK, "net prohibited", town.TARGET, town.NET_PROHIBITED),
    (HOST, "unreachable route", town.UNREACHABLE, town.OPEN),
    (HOST, "unreachable route, IPv6", town.UNREACHABLE6, town.OPEN),
    (HOST, "nobody has the address", town.UNUSED, town.OPEN),
    (HOST, "nobody has the address, IPv6", town.UNUSED6, town.OPEN),
    (HOST, "host unreachable", town.TARGET, town.HOST_UNREACHABLE),
    (HOST, "address unreachable, IPv6", town.TARGET6, town.HOST_UNREACHABLE),
    (HOST, "host prohibited", town.TARGET, town.HOST_PROHIBITED),
    (HOST, "admin prohibited", town.TARGET, town.ADMIN_PROHIBITED),
    (HOST, "admin prohibited, IPv6: EACCES with a remote record", town.TARGET6, town.ADMIN_PROHIBITED),
    (HOST, "protocol unreachable", town.TARGET, town.OTHER),
    (HOST, "source address failed policy, IPv6: EACCES with a remote record", town.TARGET6, town.OTHER),
    (HOST, "route rejected, IPv6: EACCES with a remote record", town.TARGET6, town.ROUTE_REJECTED),
    (HOST, "dropped until the kernel gives up", town.TARGET, town.DROPPED),
    (REFUSED, "closed port", town.TARGET, town.CLOSED),
    (REFUSED, "closed port, IPv6", town.TARGET6, town.CLOSED),
    (REFUSED, "port unreachable", town.TARGET, town.PORT_UNREACHABLE),
    (REFUSED, "port unreachable, IPv6", town.TARGET6, town.PORT_UNREACHABLE),
    (REFUSED, "reset by the router", town.TARGET, town.RESET),
    (REFUSED, "reset by the router, IPv6", town.TARGET6, town.RESET),
    (EXPIRED, "hop limit exceeded, IPv6", town.FAR6, town.OPEN),
    (HOST, "no such name", "nobody.example", town.OPEN),
    (HOST, "a name without an address", "empty.example", town.OPEN),
    (HOST, "the name's servers fail", "broken.example", town.OPEN),
    (GENERAL, "the resolver refuses", "refused.example", town.OPEN),
    (GENERAL, "the resolver is silent", "silent.example", town.OPEN),
    (NOT_ALLOWED, "a name with inside addresses only", "inside.example", town.OPEN),
]


@pytest.mark.parametrize(("code", "cause", "host", "port"), FAILURES, ids=[f"{row[0]:02}, {row[1]}" for row in FAILURES])
def test_failure(shared_town: Town, serve, code: int, cause: str, host: str, port: int) -> None:
    server = proxy_in(shared_town, serve)
    check(server, shared_town.ask(host, port), code, shown(host, port))


@pytest.mark.parametrize(
    ("host", "far"),
    [
        (town.TARGET, town.TARGET),
        (town.TARGET6, town.TARGET6),
        (f"::ffff:{town.TARGET}", town.TARGET),  # IPv4-mapped is IPv4 (Q4)
        ("target.example", town.TARGET),
        ("TARGET.example.", town.TARGET),
        ("target6.example", town.TARGET6),
        ("half-inside.example", town.TARGET),  # denied candidates are removed, the rest is dialled
        ("dead-then-live.example", town.TARGET),  # every address is tried, not the first alone
        (f"[{town.TARGET6}]", town.TARGET6),  # a literal in a name (Q9)
    ],
)
def test_success_shows_the_address_that_the_target_sees(shared_town: Town, serve, host: str, far: str) -> None:
    """BND is the outgoing socket's own address and port (section 2.4; section 11 row 2)."""
    proxy_in(shared_town, serve)
    client = shared_town.dial()
    octets = request(host, town.GREETING) if "[" not in host else b"\x05\x01\x00" + name(host.encode(), town.GREETING)
    client.sendall(raw_socks.GREETING + octets)
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    reply = raw_socks.receive_reply(client)
    assert reply.code == OK, reply.octets.hex(" ")
    assert raw_socks.receive(client, 11) == b"220 ready\r\n"  # the target speaks first
    target = next(origin for origin in shared_town.origins if (origin.host, origin.port) == (far, town.GREETING))
    assert target.peers[-1] == (reply.host, reply.port)
    client.sendall(b"hello")
    assert raw_socks.receive(client, 5) == b"hello"


def test_ttl_exceeded(shared_town: Town, serve) -> None:
    server = proxy_in(shared_town, serve)
    shared_town.proxy.set("net.ipv4.ip_default_ttl", 1)
    try:
        check(server, shared_town.ask(town.TARGET, town.OPEN), EXPIRED, shown(town.TARGET, town.OPEN))
    finally:
        shared_town.proxy.set("net.ipv4.ip_default_ttl", 64)
    assert shared_town.ask(town.TARGET, town.OPEN).code == OK


def test_source_ports_exhausted(own_town: Town, serve) -> None:
    server = proxy_in(own_town, serve)
    own_town.proxy.set("net.ipv4.ip_local_port_range", "40000 40001")
    with own_town.client.inside():
        tunnels = [raw_socks.tunnel(town.PROXY, town.TARGET, town.OPEN) for _ in range(2)]
    check(server, own_town.ask(town.TARGET, town.OPEN), GENERAL, shown(town.TARGET, town.OPEN))
    for tunnel in tunnels:
        tunnel.sendall(b"still there")
        assert raw_socks.receive(tunnel, 11) == b"still there"


def test_no_ipv6_at_run_time(own_town: Town, serve) -> None:
    """EADDRNOTAVAIL because the host has no IPv6 address is a matter of the network (2.5)."""
    server = proxy_in(own_town, serve)
    own_town.proxy.set("net.ipv6.conf.all.disable_ipv6", 1)
    check(server, own_town.ask(town.TARGET6, town.OPEN), NETWORK, shown(town.TARGET6, town.OPEN))
    assert own_town.ask(town.TARGET, town.OPEN).code == OK


def test_no_descriptor_for_the_outgoing_socket(serve, origin) -> None:
    """The last descriptor goes to a client; the socket for its target cannot be made."""
    far = origin(echo)
    server = serve("--workers", 1, descriptors=64)
    for spare in (False, True):  # a tunnel takes two: one time of these two, a single one is left
        held = [raw_socks.dial(server.proxy)] if spare else []
        while reply := answer_or_silence(server, held, request(far.host, far.port)):
            if reply.code == GENERAL:
                record = server.wait_for_record(reply=GENERAL)
                assert record["reason"] == "no_resources", record
                return
            assert reply.code == OK, reply.octets.hex(" ")
        raw_socks.close_all()
    pytest.fail("neither an even nor an odd number of descriptors led to a refusal")


def answer_or_silence(server: Server, held: list[socket.socket], octets: bytes) -> Reply | None:
    """The reply to a request, the connection kept; None where the server takes no more connections."""
    try:
        client = raw_socks.dial(server.proxy, timeout=3)
        held.append(client)
        client.sendall(raw_socks.GREETING + octets)
        return raw_socks.receive_reply(client) if raw_socks.receive(client, 2) else None
    except (TimeoutError, ConnectionResetError):
        return None


CONNECT = b"\x05\x01\x00"
MALFORMED = [
    (GENERAL, "request.name", "Q6: empty name", CONNECT + name(b"", 80)),
    (GENERAL, "request.name", "Q7: NUL in the name", CONNECT + name(b"a\0b.c", 80)),
    (GENERAL, "request.name", "a zone", CONNECT + name(b"fe80::1%eth0", 80)),
    (GENERAL, "request.name", "UTF-8", CONNECT + name("bücher.example".encode(), 80)),
    (GENERAL, "request.port", "Q12: port 0", request("192.0.2.10", 0)),
    (NOT_ALLOWED, "deny.unspecified", "Q13: 0.0.0.0", request("0.0.0.0", 80)),
    (NOT_ALLOWED, "deny.unspecified", "::", request("::", 80)),
    (HOST, "name.impossible", "Q10: hexadecimal IPv4", CONNECT + name(b"0x7f.1", 80)),
    (HOST, "name.impossible", "decimal IPv4", CONNECT + name(b"2130706433", 80)),
    (HOST, "name.impossible", "a leading hyphen", CONNECT + name(b"-oProxyCommand.example", 80)),
    (HOST, "name.impossible", "Q11: 255 octets", CONNECT + name(b"a" * 255, 80)),
    (COMMAND, "command.unknown", "Q15: unknown command", request("192.0.2.10", 80, command=9)),
    (COMMAND, "command.unknown", "command 00", request("192.0.2.10", 80, command=0)),
    (COMMAND, "command.unknown", "Q16: after four octets", b"\x05\x09\x00\x09"),
    (ADDRESS_TYPE, "address_type.unknown", "Q14: after four octets", b"\x05\x01\x00\x02"),
    (ADDRESS_TYPE, "address_type.unknown", "address type 00", b"\x05\x01\x00\x00"),
]


@pytest.mark.parametrize(("code", "reason", "case", "octets"), MALFORMED, ids=[f"{row[0]:02}, {row[2]}" for row in MALFORMED])
def test_request_that_goes_nowhere(serve, code: int, reason: str, case: str, octets: bytes) -> None:
    """Answered without a packet sent and without a question to DNS."""
    server = serve()
    client, reply = raw_socks.ask(server.proxy, octets)
    assert reply.octets == bytes([5, code]) + raw_socks.FAILURE_TAIL
    assert client.recv(1) == b""
    assert server.wait_for_record(reply=code)["reason"] == reason


def test_a_denied_target_answers_alike_whether_open_or_closed(shared_town: Town, serve) -> None:
    """Denial is uniform: no scan through what is forbidden (TS5)."""
    proxy_in(shared_town, serve)
    replies = {shared_town.ask("127.0.0.1", port).octets for port in (town.PROXY[1], 1, 65535)}
    assert replies == {bytes([5, NOT_ALLOWED]) + raw_socks.FAILURE_TAIL}


def test_a_literal_or_denied_name_is_no_question(shared_town: Town, serve) -> None:
    """What needs no DNS asks none (Q8; P8)."""
    proxy_in(shared_town, serve)
    asked = len(shared_town.names.asked)
    assert shared_town.ask_octets(CONNECT + name(b"127.0.0.1", town.OPEN)).code == NOT_ALLOWED
    assert shared_town.ask("localhost", town.OPEN).code == NOT_ALLOWED
    assert shared_town.ask("service.onion", town.OPEN).code == HOST
    assert shared_town.ask_octets(CONNECT + name(town.TARGET.encode(), town.OPEN)).code == OK
    assert shared_town.names.asked[asked:] == []


@pytest.mark.parametrize("behaviour", ["stays silent", "goes on sending"])
@pytest.mark.parametrize("octets", [request("192.0.2.10", 80, command=9), b"\x04\x03\x00\x50\xc0\x00\x02\x0a\x00"], ids=["5", "4"])
def test_a_refused_client_that_stays_is_let_go(serve, octets: bytes, behaviour: str) -> None:
    """The connection is gone within 10 s of the failure, whatever the client does (RFC 1928 section 6)."""
    server = serve()
    client = raw_socks.dial(server.proxy)
    client.sendall(octets if octets[0] == 4 else raw_socks.GREETING + octets)
    assert client.recv(1, socket.MSG_PEEK)

    def gone() -> bool:
        if behaviour == "goes on sending":
            try:
                client.sendall(b"x" * 1024)
            except OSError:
                pass  # it has been let go
        return server.sockets() <= server.sockets_at_rest

    wait_until("the server holds no socket for it", gone, seconds=10)
