"""UDP ASSOCIATE end to end (RFC 1928 sections 4, 6 and 7): raw datagrams, strangers, fragments, the association's life."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import raw_socks
from datagrams import UDP_GRO, receive_train, send_train
from networks import Namespace
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


def far_end(host: str, trains: bool) -> socket.socket:
    """A target's socket; `trains`: it wants to receive several datagrams at once."""
    far = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    far.bind((host, 0))
    far.settimeout(10)
    if trains:
        far.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
    return far


def collect(receiver: socket.socket, count: int) -> list[bytes]:
    received: list[bytes] = []
    while len(received) < count:
        received += receive_train(receiver)[0]
    return received


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("trains", [True, False])
def test_trains_keep_every_datagram_and_its_boundaries(serve, host: str, trains: bool) -> None:
    """Peers that use segmentation offload (QUIC), on either side or on both."""
    server = serve()
    control, client = associate(server.proxy)
    with client, closing(far_end(host, trains)) as far:
        if trains:
            client.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
        port = far.getsockname()[1]
        sent: list[bytes] = []
        for size, count, last in ((1200, 40, 700), (1200, 53, 1200), (64, 64, 1), (1, 20, 1), (9000, 6, 8999), (30000, 2, 3)):
            payloads = [bytes([i]) * size for i in range(count - 1)] + [b"z" * last]
            send_train(client, [datagram(host, port, one) for one in payloads])
            assert collect(far, len(payloads)) == payloads
            sent += payloads
        client.send(datagram(host, port, b"where from?"))
        _, outside = receive_train(far)
        for at in range(0, 40, 20):
            send_train(far, sent[at : at + 20], outside)
        expected = [datagram(host, port, one) for one in sent[:40]]
        assert collect(client, len(expected)) == expected, "each with a header of its own"
    control.close()
    end = server.wait_for_record(event="session.end")
    assert (end["packets_up"], end["packets_down"], end["packets_dropped"]) == (len(sent) + 1, len(expected), 0)
    assert end["bytes_up"] == sum(map(len, sent)) + len(b"where from?")


def test_every_datagram_of_a_train_is_judged_by_itself(serve) -> None:
    """Targets, fragments and bad headers side by side in one train; and a stranger's."""
    server = serve()
    control, client = associate(server.proxy)
    with client, closing(far_end("127.0.0.1", True)) as one, closing(far_end("127.0.0.1", False)) as other:
        to_one = ("127.0.0.1", one.getsockname()[1])
        to_other = ("127.0.0.1", other.getsockname()[1])
        broken = bytearray(datagram(*to_one, b"bad"))
        broken[3] = 9
        send_train(
            client,
            [
                datagram(*to_one, b"1st"),
                datagram(*to_one, b"2nd"),
                datagram(*to_other, b"3rd"),
                datagram(*to_one, b"4th"),
                datagram("169.254.169.254", 80, b"5th"),
                bytes(broken),
                datagram(*to_one, b"AB-", 0x01),
                datagram(*to_one, b"CD-", 0x02),
                datagram(*to_one, b"EF-", 0x83),
                datagram(*to_one, b"AB-", 0x01),
                datagram(*to_one, b"7th"),
                datagram(*to_one, b"CD-", 0x82),
                datagram(*to_one, b"8"),
            ],
        )
        assert collect(one, 6) == [b"1st", b"2nd", b"4th", b"AB-CD-EF-", b"7th", b"8"]
        assert collect(other, 1) == [b"3rd"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            send_train(stranger, [datagram(*to_one, b"stranger's")] * 7, client.getpeername())
        client.send(datagram(*to_one, b"last"))
        assert collect(one, 1) == [b"last"]
    control.close()
    end = server.wait_for_record(event="session.end")
    # Denied, broken, the abandoned sequence and the fragment that came behind it, the stranger's seven.
    assert (end["packets_up"], end["packets_dropped"]) == (8, 11)


def test_what_the_way_cannot_carry_as_a_train_goes_singly(serve, lone_host: Namespace) -> None:
    """Datagrams that exceed the path's MTU leave in IP fragments, each by itself: no train can."""
    lone_host.run("ip", "link", "set", "lo", "mtu", 1280)
    server = serve(namespace=lone_host)
    with lone_host.inside():
        control, client = associate(server.proxy)
        with client, closing(far_end("127.0.0.1", True)) as far:
            port = far.getsockname()[1]
            sent = [bytes([i]) * size for size in (2000, 1000, 3000) for i in range(10)]
            for payload in sent:
                client.send(datagram("127.0.0.1", port, payload))
            assert collect(far, len(sent)) == sent
            client.send(datagram("127.0.0.1", port, b"where from?"))
            _, outside = receive_train(far)
            for payload in sent:
                far.sendto(payload, outside)
            assert collect(client, len(sent)) == [datagram("127.0.0.1", port, one) for one in sent]
    control.close()
    end = server.wait_for_record(event="session.end")
    assert (end["packets_up"], end["packets_down"], end["packets_dropped"]) == (31, 30, 0)
    assert end["socket_errors"] == 0
