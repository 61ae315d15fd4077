"""`stile forward --reverse`: the proxy listens for us, one connection after the other, each led to a target of this side."""

import json
import os
import socket
from contextlib import closing

import chains
import pytest
import traffic
from chains import url
from forwarder import Forwarder
from origins import Origin, echo
from processes import free_port, wait_until
from proxies import Proxies
from server import Server

CONFIG = chains.configuration()


def visit(place: tuple[str, int]) -> socket.socket:
    visitor = socket.create_connection(place, 20)
    visitor.settimeout(20)
    return visitor


def expect_reset(place: tuple[str, int]) -> None:
    """Of whoever connects there; it may come before the connection is told of."""
    try:
        visitor = visit(place)
    except ConnectionResetError:
        return
    with visitor:
        traffic.expect_reset(visitor)


def three_in_turn(one: Forwarder, near: Origin) -> None:
    """Each comes behind the last one's beginning; all of them live at once."""
    ends = []
    for number in range(1, 4):
        place = one.places(number)[-1]
        assert place.kind == "reverse"
        visitor = visit(place.endpoint)
        ends.append((visitor, near.accept()))
        visitor.sendall(b"%d" % number)
        assert ends[-1][1].recv(1) == b"%d" % number
    for visitor, host in ends:
        chains.exchange(visitor, host, 300_000)
        visitor.close()


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a"])
def test_several_connections_in_turn(serve, forward, origin, scheme: str) -> None:
    near, server = origin(), serve(config=CONFIG)
    one = forward("--reverse", f"0={near.port}", via=[url(server.proxy, scheme)])
    three_in_turn(one, near)
    places = one.places(4)
    assert len({place.address for place in places}) == 1, "the port that it had is asked for again"
    assert places[0].target == f"localhost:{near.port}"
    wait_until("the records", lambda: sum(record["event"] == "session.end" for record in server.records()) == 3)
    assert one.errors() == ""


def test_through_dante(namespaces, lone_host, forward, origin, tmp_path) -> None:
    with lone_host.inside(), closing(Proxies(lone_host, tmp_path)) as proxies:
        near = origin()
        one = forward("--reverse", f"0=127.0.0.1:{near.port}", via=[url(proxies.where("dante", "socks5h"))], namespace=lone_host)
        three_in_turn(one, near)
        assert one.interrupt() == 0


def test_through_a_chain_of_three(serve, forward, origin) -> None:
    near, hops = origin(), [serve(config=CONFIG) for _ in range(3)]
    one = forward("--reverse", f"0={near.port}", via=[url(hop.proxy) for hop in hops])
    three_in_turn(one, near)
    hops[2].wait_for_record(command="bind", event="session.end")


def test_half_closes_in_both_orders(serve, forward, origin) -> None:
    near, server = origin(), serve(config=CONFIG)
    one = forward("--reverse", f"0={near.port}", via=[url(server.proxy)])
    for number, visitor_first in ((1, True), (2, False)):
        with visit(one.places(number)[-1].endpoint) as visitor:
            ends = (visitor, near.accept())
            first, second = ends if visitor_first else reversed(ends)
            for seed, (speaker, hearer) in enumerate(((first, second), (second, first))):
                sent = traffic.in_thread(traffic.send, speaker, seed, chains.SIZE)
                assert traffic.receive(hearer, chains.SIZE) == sent.result(60)
                speaker.shutdown(socket.SHUT_WR)
                traffic.expect_end(hearer)


def test_the_port_that_is_wanted(serve, forward, origin) -> None:
    near, port = origin(echo), free_port()
    server = serve(config=CONFIG + f'\n[bind]\nports = "{port}-{port}"\n')
    one = forward("--reverse", f"{port}={near.port}", via=[url(server.proxy)])
    assert one.places()[0].endpoint == ("127.0.0.1", port)


def test_whom_to_let_in(serve, forward, origin) -> None:
    """The proxy turns others away, and goes on waiting."""
    near, server = origin(), serve(config=CONFIG)
    one = forward("--reverse", f"0={near.port}", "--from", "127.0.0.7", via=[url(server.proxy)])
    place = one.places()[0].endpoint
    expect_reset(place)
    with socket.create_connection(place, 20, source_address=("127.0.0.7", 0)) as visitor:
        visitor.settimeout(20)
        chains.exchange(visitor, near.accept())


def test_a_target_that_is_not_there(serve, forward) -> None:
    """Its visitor hears a reset, one line is said, and the next one is waited for."""
    server, nobody = serve(config=CONFIG), free_port()
    one = forward("--reverse", f"0=127.0.0.1:{nobody}", via=[url(server.proxy)])
    for number in (1, 2):
        expect_reset(one.places(number)[-1].endpoint)
    wait_until("both are said", lambda: one.errors().count("\n") == 2)
    one.wait_for_error(f"stile: cannot reach 127.0.0.1:{nobody} for 127.0.0.1:")


def test_it_goes_on_when_the_proxy_has_given_up_waiting(serve, forward, origin) -> None:
    near, server = origin(echo), serve(config=CONFIG + '\n[bind]\nwait = "1s"\n')
    one = forward("--reverse", f"0={near.port}", via=[url(server.proxy)])
    one.places(3)
    with visit(one.places(3)[-1].endpoint) as visitor:
        visitor.sendall(b"hello")
        assert visitor.recv(5) == b"hello"


def test_it_goes_on_when_the_proxy_is_back(forward, origin, tmp_path) -> None:
    near, port = origin(echo), free_port()
    first = Server(tmp_path / "first", config=CONFIG, port=port)
    one = forward("--reverse", f"0={near.port}", via=[url(first.proxy)])
    before = len(one.places())
    first.process.kill()
    first.process.wait()
    one.wait_for_error("cannot have the proxy listen")
    second = Server(tmp_path / "second", config=CONFIG, port=port)
    try:
        with visit(one.places(before + 1)[-1].endpoint) as visitor:
            visitor.sendall(b"hello")
            assert visitor.recv(5) == b"hello"
        assert one.interrupt() == 0
    finally:
        second.finish()


@pytest.mark.parametrize(
    ("rule", "scheme", "said"),
    [
        ("allow anyone from loopback to tcp loopback", "socks5h", "rules"),
        (chains.EVERYTHING, "http", "BIND"),
    ],
)
def test_a_proxy_that_does_not(serve, rule: str, scheme: str, said: str, tmp_path) -> None:
    server = serve(config=chains.configuration(rule=rule))
    one = Forwarder(tmp_path / "forward", "--reverse", "0=22", via=[url(server.proxy, scheme)])
    assert one.process.wait(30) == 1
    assert one.output() == ""
    assert one.errors().startswith("stile: cannot have the proxy listen: ") and said in one.errors()
    assert one.errors().count("\n") == 1


def test_a_signal_ends_it_in_order(serve, forward, origin) -> None:
    near, server = origin(), serve(config=CONFIG)
    one = forward("--reverse", f"0={near.port}", via=[url(server.proxy)])
    with visit(one.places()[0].endpoint) as visitor:
        visitor.sendall(b"x")
        host = near.accept()
        assert host.recv(1) == b"x"
        one.places(2)
        assert one.interrupt() == 0
        traffic.expect_reset(visitor)
        traffic.expect_reset(host)


def test_json_and_forwards_beside_it(serve, forward, origin) -> None:
    near, server = origin(echo), serve(config=CONFIG)
    words = ["--json", "--reverse", f"0={near.port}", f"0=127.0.0.1:{near.port}"]
    one = forward(*words, via=[url(server.proxy)])
    wait_until("both listen", lambda: len(one.lines()) >= 2)
    lines = [json.loads(line) for line in one.lines()[:2]]
    assert [line["kind"] for line in lines] == ["tcp", "reverse"]
    for line in lines:
        with visit(("127.0.0.1", int(line["address"].rpartition(":")[2]))) as client:
            client.sendall(os.urandom(10))
            assert len(client.recv(10, socket.MSG_WAITALL)) == 10
    wait_until("both end", lambda: sum('"session.end"' in line for line in one.lines()) == 2)
