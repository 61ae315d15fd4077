"""UDP ASSOCIATE end to end (RFC 1928 sections 4, 6 and 7): raw datagrams, strangers, fragments, the association's life."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import raw_socks
from processes import wait_until

ASSOCIATE = 3
ANYTHING = bytes([5, ASSOCIATE, 0, 1, 0, 0, 0, 0, 0, 0])


def datagram(host: str, port: int, payload: bytes, fragment: int = 0) -> bytes:
    return bytes([0, 0, fragment]) + raw_socks.address(host, port) + payload


@pytest.fixture(params=["127.0.0.1", "::1"])
def echo_port(request) -> Iterator[tuple[str, int]]:
    """A UDP server that answers each datagram with its own octets, and counts them."""
    host = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as server:
        server.bind((host, 0))

        def serve() -> None:
            while True:
                try:
                    octets, peer = server.recvfrom(65536)
                    server.sendto(octets, peer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield host, server.getsockname()[1]
        # Wakes the thread, which closing alone would leave asleep.
        server.sendto(b"", server.getsockname()[:2])


def associate(proxy: tuple[str, int]) -> tuple[socket.socket, socket.socket]:
    """The control connection and a socket that is connected to the relay."""
    control, reply = raw_socks.ask(proxy, ANYTHING)
    assert reply.code == 0 and reply.port != 0 and reply.host == proxy[0], "where to send, never zero"
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(10)
    client.connect((reply.host, reply.port))
    return control, client


def test_a_datagram_there_and_back(serve, echo_port) -> None:
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    with client:
        for payload in (b"hello", b"", b"x" * 1400, b"y" * 9000):
            client.send(datagram(host, port, payload))
            assert client.recv(65536) == datagram(host, port, payload), "the sender's real address, and the payload"
    control.close()
    end = server.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"], end["reason"]) == (4, 4, "fin.client")
    assert end["bytes_up"] == end["bytes_down"] == 5 + 1400 + 9000


def test_names_are_resolved_and_bad_datagrams_end_nothing(serve, echo_port) -> None:
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    bad = ["0000000 2c000023500 35", "00000001c000", "00000001c000023500 0078", "0000000300 0035", "ff"]
    with client:
        for octets in bad:
            client.send(bytes.fromhex(octets.replace(" ", "")))
        client.send(datagram("no-such-name.invalid", port, b"nowhere"))
        client.send(datagram("169.254.169.254", 80, b"denied"))
        if host == "127.0.0.1":
            client.send(datagram("localhost", port, b"by name"))
            assert client.recv(65536) == datagram(host, port, b"by name")
        client.send(datagram(host, port, b"still there"))
        assert client.recv(65536) == datagram(host, port, b"still there")
    control.close()


def test_a_stranger_is_never_relayed(serve, echo_port) -> None:
    """Threat TU1: another port of the client's address, before and after the association answers."""
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    with client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        client.send(datagram(host, port, b"mine"))
        assert client.recv(65536) == datagram(host, port, b"mine")
        stranger.connect(client.getpeername())
        stranger.settimeout(0.3)
        stranger.send(datagram(host, port, b"stranger's"))
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            stranger.recv(65536)
        client.send(datagram(host, port, b"mine again"))
        assert client.recv(65536) == datagram(host, port, b"mine again")
    control.close()
    assert server.wait_for_record(event="session.end")["packets_up"] == 2


def test_fragments_are_put_together(serve, echo_port) -> None:
    """Vectors U4 to U8: one datagram of two fragments, a sequence of one, a gap that abandons."""
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    with client:
        client.send(datagram(host, port, b"AB", 0x01))
        client.send(datagram(host, port, b"CD", 0x82))
        assert client.recv(65536) == datagram(host, port, b"ABCD")
        client.send(datagram(host, port, b"single", 0x81))
        assert client.recv(65536) == datagram(host, port, b"single")
        client.send(datagram(host, port, b"AB", 0x01))
        client.send(datagram(host, port, b"EF", 0x03))
        client.send(datagram(host, port, b"CD", 0x82))
        client.send(datagram(host, port, b"whole"))
        assert client.recv(65536) == datagram(host, port, b"whole")
    control.close()


def test_the_association_ends_with_its_control_connection(serve, echo_port) -> None:
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    with client:
        control.sendall(b"whatever comes here is discarded")
        client.send(datagram(host, port, b"before"))
        assert client.recv(65536) == datagram(host, port, b"before")
        control.close()
        server.wait_for_record(event="session.end")

        def gone() -> bool:
            try:
                client.send(datagram(host, port, b"after"))
                client.settimeout(0.2)
                return not client.recv(65536)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                return False

        wait_until("the relay's port is closed", gone)


def test_drops_are_recorded_once_for_each_reason(serve, echo_port) -> None:
    """Protocol reference, section 0: counted per reason, logged once per association and reason."""
    host, port = echo_port
    server = serve()
    control, client = associate(server.proxy)
    with client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        client.send(datagram(host, port, b"pins the port"))
        assert client.recv(65536) == datagram(host, port, b"pins the port")
        for _ in range(5):
            client.send(datagram("169.254.169.254", 80, b"denied"))
            client.send(bytes.fromhex("00000001c000"))
            stranger.sendto(datagram(host, port, b"stranger's"), client.getpeername())
        client.send(datagram(host, port, b"last"))
        assert client.recv(65536) == datagram(host, port, b"last")
        for reason in ("udp.deny", "udp.header", "udp.port"):
            drop = server.wait_for_record(event="drop", reason=reason)
            assert drop["client"] == "{}:{}".format(*control.getsockname()) and drop["command"] == "udp-associate"
        assert server.wait_for_record(event="drop", reason="udp.deny")["target"] == "169.254.169.254:80"
        assert server.wait_for_record(event="drop", reason="udp.port")["target"].endswith(f":{stranger.getsockname()[1]}")
    control.close()
    end = server.wait_for_record(event="session.end")
    assert (end["packets_up"], end["packets_dropped"], end["socket_errors"]) == (2, 15, 0)


def test_two_relays_are_no_loop(serve) -> None:
    """Threat TU5: an association aimed at another one relays nothing."""
    server = serve()
    one_control, one = associate(server.proxy)
    other_control, other = associate(server.proxy)
    with one, other:
        host, port = other.getpeername()
        one.send(datagram(host, port, struct.pack("!I", 1)))
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(65536)
    one_control.close()
    end = server.wait_for_record(event="session.end")
    assert end["packets_up"] == 0
    other_control.close()
