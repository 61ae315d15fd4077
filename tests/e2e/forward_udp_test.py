"""`stile forward` for UDP: an association for each client, answers from where it was sent to, and from nobody else."""

import hashlib
import os
import socket
from contextlib import ExitStack, closing

import chains
import pytest
from chains import url
from datagrams import DatagramEcho
from name_server import NameServer
from processes import free_port, run, wait_until

UDP = "allow anyone from loopback to tcp udp any, private, loopback, self, reserved"
CONFIG = chains.configuration(rule=UDP)


def client_at(host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(20)
    made.bind((host, 0))
    return made


def asked(client: socket.socket, place: tuple[str, int], octets: bytes) -> bytes:
    """The answer, which comes from where it was asked."""
    client.sendto(octets, place)
    answer, sender = client.recvfrom(65536)
    assert sender[:2] == place
    return answer


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_clients_have_an_association_each(serve, forward, scheme: str) -> None:
    """Ten at once, each of whose datagrams leave from a socket of its own and come back to it."""
    server = serve(config=CONFIG)
    with closing(DatagramEcho()) as far, ExitStack() as stack:
        one = forward(f"0/udp=localhost:{far.port}", via=[url(server.proxy, scheme)])
        (place,) = one.places()
        assert (place.kind, place.target) == ("udp", f"localhost:{far.port}")
        clients = [stack.enter_context(closing(client_at())) for _ in range(10)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.sendto(b"%d of %d" % (turn, number), place.endpoint)
            for number, client in enumerate(clients):
                answer, sender = client.recvfrom(65536)
                assert (answer, sender) == (b"%d of %d" % (turn, number), place.endpoint)
        assert len(set(far.peers)) == 10
        wait_until("the records", lambda: sum(record["event"] == "session.start" for record in server.records()) == 10)


def test_checksums_of_all_sizes(serve, forward) -> None:
    server = serve(config=CONFIG)
    with closing(DatagramEcho()) as far, closing(client_at()) as client:
        (place,) = forward(f"0=127.0.0.1:{far.port}/udp", via=[url(server.proxy)]).places()
        for size in (0, 1, 2, 511, 512, 1400, 1472, 1473, 9000, 40_000, 65_000):
            octets = os.urandom(size)
            assert hashlib.sha256(asked(client, place.endpoint, octets)).digest() == hashlib.sha256(octets).digest()


def test_both_loopbacks_and_every_address(serve, forward) -> None:
    """An answer leaves from the address that was asked, also where one listener has all of them."""
    server, port, other = serve(config=CONFIG), free_port(), free_port()
    with closing(DatagramEcho()) as far:
        one = forward(f"{port}/udp=127.0.0.1:{far.port}", f"0.0.0.0:{other}/udp=127.0.0.1:{far.port}", via=[url(server.proxy)])
        assert [place.address for place in one.places(3)] == [f"127.0.0.1:{port}", f"[::1]:{port}", f"0.0.0.0:{other}"]
        for host, at in (("127.0.0.1", port), ("::1", port), ("127.0.0.1", other), ("127.0.0.2", other)):
            with closing(client_at(host)) as client:
                assert asked(client, (host, at), host.encode()) == host.encode()


def test_one_client_at_two_listeners(serve, forward) -> None:
    server = serve(config=CONFIG)
    with closing(DatagramEcho()) as far, closing(DatagramEcho()) as other, closing(client_at()) as client:
        one = forward(f"0/udp=127.0.0.1:{far.port}", f"0/udp=127.0.0.1:{other.port}", via=[url(server.proxy)])
        for place in one.places(2):
            assert asked(client, place.endpoint, place.target.encode()) == place.target.encode()
        assert len(far.peers) == len(other.peers) == 1


def test_strangers_are_not_heard(serve, forward) -> None:
    """Who learns the relay's address and sends to it is no target of the client's."""
    config = CONFIG + '\n[udp]\nfilter = "any"\n'
    server = serve(config=config)
    with closing(client_at()) as far, closing(client_at()) as stranger, closing(client_at()) as client:
        (place,) = forward(f"0/udp=127.0.0.1:{far.getsockname()[1]}", via=[url(server.proxy)]).places()
        client.sendto(b"question", place.endpoint)
        octets, relay = far.recvfrom(100)
        assert octets == b"question"
        stranger.sendto(b"forged", relay)
        far.sendto(b"answer", relay)
        assert client.recvfrom(100) == (b"answer", place.endpoint)


def test_dig(serve, forward) -> None:
    server, port = serve(config=CONFIG), free_port()
    with closing(NameServer("127.0.0.1", {"www.example": ["192.0.2.80"]}, port)):
        (place,) = forward(f"0/udp=127.0.0.1:{port}", via=[url(server.proxy)]).places()
        host, at = place.endpoint
        result = run("dig", f"@{host}", "-p", at, "+short", "www.example")
        assert (result.returncode, result.stdout) == (0, "192.0.2.80\n")


def test_through_two_proxies(serve, forward) -> None:
    hops = [serve(config=CONFIG) for _ in range(2)]
    with closing(DatagramEcho()) as far, closing(client_at()) as client:
        (place,) = forward(f"0/udp=127.0.0.1:{far.port}", via=[url(hop.proxy) for hop in hops]).places()
        for number in range(5):
            assert asked(client, place.endpoint, b"%d" % number) == b"%d" % number
    for hop in hops:
        hop.wait_for_record(event="session.start", command="udp-associate")


def test_a_proxy_without_datagrams_is_said_once(serve, forward) -> None:
    """A client that goes on sending is not told of each of its datagrams."""
    server = serve(config=chains.configuration(rule="allow anyone from loopback to tcp loopback"))
    one = forward("0/udp=127.0.0.1:9", via=[url(server.proxy, "http")])
    (place,) = one.places()
    with closing(client_at()) as client:
        for _ in range(20):
            client.sendto(b"lost", place.endpoint)
        one.wait_for_error("cannot reach 127.0.0.1:9 for 127.0.0.1:{}".format(client.getsockname()[1]))
        assert one.errors().count("\n") == 1


def test_many_clients_beyond_the_bound(serve, forward) -> None:
    """The idlest give way; whoever is left works, and the sockets are given back at the end."""
    server = serve(config=CONFIG)
    with closing(DatagramEcho()) as far:
        one = forward(f"0/udp=127.0.0.1:{far.port}", via=[url(server.proxy)], descriptors=256)
        (place,) = one.places()
        for _ in range(300):
            with closing(client_at()) as client:
                client.sendto(b"hello", place.endpoint)

        def answered() -> bool:
            with closing(client_at()) as client:
                client.settimeout(1)
                try:
                    return asked(client, place.endpoint, b"again") == b"again"
                except TimeoutError:
                    return False

        wait_until("somebody is answered", answered)
        assert one.interrupt() == 0
