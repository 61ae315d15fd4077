"""BIND in both versions, SOCKS4 and 4a, RESOLVE: octet by octet."""

import socket
import struct

import pytest
import raw_socks
from origins import echo

BIND, RESOLVE = 2, 0xF0


def exchange(one: socket.socket, other: socket.socket) -> None:
    for sender, receiver in ((one, other), (other, one)):
        sender.sendall(b"across")
        assert raw_socks.receive(receiver, 6) == b"across"


def test_bind_answers_twice_and_takes_the_expected_peer(serve) -> None:
    """Vectors Q18, Q19, P4, P5; a stranger is turned away and the waiting goes on."""
    server = serve()
    client, first = raw_socks.ask(server.proxy, raw_socks.request("127.0.0.2", 0, BIND))
    assert first.code == 0 and first.port != 0 and first.host.startswith("127.")
    with pytest.raises(ConnectionResetError):
        raw_socks.dial((first.host, first.port), source="127.0.0.3").recv(1)
    with raw_socks.dial((first.host, first.port), source="127.0.0.2") as peer:
        second = raw_socks.receive_reply(client)
        assert (second.code, second.host, second.port) == (0, *peer.getsockname())
        exchange(client, peer)
    client.close()
    assert server.wait_for_record(event="session.end")["command"] == "bind"


def test_socks4_bind_answers_twice(serve) -> None:
    """Vector K5: two replies of eight octets, the first never without an address."""
    server = serve()
    with raw_socks.dial(server.proxy) as client:
        client.sendall(bytes([4, 2, 0, 0, 127, 0, 0, 1]) + b"bob\0")
        granted, port, address = struct.unpack("!xBH4s", raw_socks.receive(client, 8))
        assert granted == 90 and address != bytes(4)
        with raw_socks.dial((socket.inet_ntoa(address), port), source="127.0.0.1") as peer:
            granted, port, address = struct.unpack("!xBH4s", raw_socks.receive(client, 8))
            assert (granted, socket.inet_ntoa(address), port) == (90, *peer.getsockname())
            exchange(client, peer)


def test_a_stranger_ends_a_socks4_bind(serve) -> None:
    """The SOCKS4 note: the second reply says so, and both connections are closed."""
    server = serve()
    with raw_socks.dial(server.proxy) as client:
        client.sendall(bytes([4, 2, 0, 0, 127, 0, 0, 2]) + b"bob\0")
        granted, port, address = struct.unpack("!xBH4s", raw_socks.receive(client, 8))
        assert granted == 90
        with pytest.raises(ConnectionResetError):
            raw_socks.dial((socket.inet_ntoa(address), port), source="127.0.0.3").recv(1)
        assert raw_socks.receive_all(client) == bytes([0, 91, 0, 0, 0, 0, 0, 0])
    server.wait_for_record(event="error", command="bind", reason="bind.peer")


def test_socks4_and_4a_connect(serve, origin) -> None:
    """Vectors K1, K2, C4, K7."""
    server, far = serve(), origin(echo)
    head = struct.pack("!BBH", 4, 1, far.port)
    for request in (head + bytes([127, 0, 0, 1]) + b"bob\0", head + bytes([0, 0, 0, 1]) + b"\0localhost\0"):
        with raw_socks.dial(server.proxy) as client:
            client.sendall(request + b"HI")
            assert raw_socks.receive(client, 2) == bytes([0, 90])
            assert raw_socks.receive(client, 6 + 2)[6:] == b"HI"
    with raw_socks.dial(server.proxy) as client:
        client.sendall(bytes([4, 3, 0, 80, 192, 0, 2, 10, 0]))
        assert raw_socks.receive_all(client) == bytes([0, 91, 0, 0, 0, 0, 0, 0])


def test_resolve_answers_and_closes(serve) -> None:
    """Vector Q24 as Tor defines it: the address in BND.ADDR, port 0, then the end."""
    server = serve()
    client, reply = raw_socks.ask(server.proxy, raw_socks.request("localhost", 0, RESOLVE))
    assert (reply.code, reply.host, reply.port) == (0, "127.0.0.1", 0)
    assert raw_socks.receive_all(client) == b""
