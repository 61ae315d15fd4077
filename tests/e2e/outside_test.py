"""The settings of UDP ASSOCIATE, BIND and timeouts, each against its default (protocol reference, 2.5, 3.2 and 3.3)."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import raw_socks
from datagrams import DatagramEcho
from networks import Lab
from processes import wait_until

BIND, ASSOCIATE = 2, 3
HEADER = bytes(3)


def config(text: str) -> str:
    return f'[[listen]]\naddress = "127.0.0.1:PORT"\n{text}\n'


@pytest.fixture
def far() -> Iterator[DatagramEcho]:
    with closing(DatagramEcho()) as echo:
        yield echo


def sender(host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(10)
    return made


def associate(server, claim: tuple[str, int] = ("0.0.0.0", 0)) -> tuple[socket.socket, tuple[str, int]]:
    control, reply = raw_socks.ask(server.proxy, raw_socks.request(*claim, ASSOCIATE))
    assert reply.code == 0
    return control, (reply.host, reply.port)


def relayed(client: socket.socket, relay: tuple[str, int], far: DatagramEcho, payload: bytes, frag: int = 0) -> bytes:
    """Sends it and waits for what comes back."""
    client.sendto(bytes([0, 0, frag]) + raw_socks.address(far.host, far.port) + payload, relay)
    answer = client.recv(4096)
    assert answer.startswith(HEADER)
    return answer[10:]


@pytest.mark.parametrize(("setting", "passes"), [("", False), ('[udp]\nfilter = "any"', True)])
def test_filter(serve, far: DatagramEcho, setting: str, passes: bool) -> None:
    """Somebody whom the client has not sent to sends to where its datagrams come from."""
    server = serve(config=config(setting))
    with sender() as client, sender("127.0.0.77") as stranger:
        control, relay = associate(server)
        assert relayed(client, relay, far, b"first") == b"first"
        stranger.sendto(b"unsolicited", far.peers[0])
        stranger.sendto(b"unsolicited", far.peers[0])
        # What the far end answers comes behind it: so nothing is waited for in vain.
        client.sendto(HEADER + raw_socks.address(far.host, far.port) + b"last", relay)
        received = [client.recv(4096)]
        while received[-1][10:] != b"last":
            received.append(client.recv(4096))
        from_stranger = HEADER + raw_socks.address(*stranger.getsockname()) + b"unsolicited"
        assert received[:-1] == [from_stranger] * (2 if passes else 0)
        control.close()


@pytest.mark.parametrize(("setting", "expected"), [("", b"ABCD"), ('[udp]\nfrag = "drop"', b"whole")])
def test_frag(serve, far: DatagramEcho, setting: str, expected: bytes) -> None:
    server = serve(config=config(setting))
    with sender() as client:
        control, relay = associate(server)
        target = raw_socks.address(far.host, far.port)
        client.sendto(bytes([0, 0, 1]) + target + b"AB", relay)
        client.sendto(bytes([0, 0, 0x82]) + target + b"CD", relay)
        assert relayed(client, relay, far, b"whole") == expected
        control.close()


def test_claimed_source(serve, far: DatagramEcho) -> None:
    server = serve(config=config('[udp]\nclaimed_source = "require"'))
    refused, reply = raw_socks.ask(server.proxy, raw_socks.request("192.0.2.1", 5000, ASSOCIATE))
    assert reply.code == 1
    server.wait_for_record(reason="udp.claim")
    with sender() as client, sender() as other:
        control, relay = associate(server, client.getsockname())
        target = HEADER + raw_socks.address(far.host, far.port)
        other.sendto(target + b"another port", relay)
        assert relayed(client, relay, far, b"the port") == b"the port"
        control.close()
    assert server.wait_for_record(event="session.end")["packets_up"] == 1


def test_repin(serve, far: DatagramEcho) -> None:
    server = serve(config=config('[udp]\nrepin = "1s"'))
    with sender() as client, sender() as moved:
        control, relay = associate(server)
        assert relayed(client, relay, far, b"before") == b"before"
        moved.settimeout(0.2)

        def answered() -> bool:
            try:
                return relayed(moved, relay, far, b"after") == b"after"
            except TimeoutError:
                return False

        wait_until("the silent port's place is taken", answered)
        control.close()


def test_mapping_idle(serve, far: DatagramEcho) -> None:
    """A target that was silent for a while is forgotten, and what it sends is dropped."""
    server = serve(config=config('[udp]\nmapping_idle = "1s"'))
    with sender() as client:
        control, relay = associate(server)
        assert relayed(client, relay, far, b"x") == b"x"
        client.settimeout(0.3)

        def dropped() -> bool:
            time.sleep(1.1)  # what comes in time keeps it known
            far.socket.sendto(b"late", far.peers[0])
            try:
                return not client.recv(4096)
            except TimeoutError:
                return True

        wait_until("it is forgotten", dropped)
        client.settimeout(10)
        assert relayed(client, relay, far, b"again") == b"again", "the association lives on"
        control.close()


def test_ports(serve) -> None:
    """The ranges lie below those that the kernel draws from for others (net.ipv4.ip_local_port_range)."""
    server = serve(config=config('[udp]\nports = "23210-23211"\n[bind]\nports = "23220-23221"'))
    held = [raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, ASSOCIATE))[1] for _ in range(3)]
    assert [reply.code for reply in held] == [0, 0, 1] and {reply.port for reply in held[:2]} == {23210, 23211}
    asked = [raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", port, BIND))[1] for port in (23221, 23221, 0)]
    assert [reply.code for reply in asked] == [0, 0, 1], "the port asked for, the other one, none"
    assert [reply.port for reply in asked[:2]] == [23221, 23220]


def test_bind_mismatch(serve) -> None:
    server = serve(config=config('[bind]\nmismatch = "fail"'))
    client, first = raw_socks.ask(server.proxy, raw_socks.request("127.0.0.2", 0, BIND))
    assert first.code == 0
    with pytest.raises(ConnectionResetError):
        raw_socks.dial((first.host, first.port), source="127.0.0.3").recv(1)
    assert raw_socks.receive_reply(client).code == 2
    assert raw_socks.receive_all(client) == b""
    server.wait_for_record(reason="bind.peer")


def test_bind_wait(serve) -> None:
    server = serve(config=config('[bind]\nwait = "1s"'))
    client, first = raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, BIND))
    assert first.code == 0
    assert raw_socks.receive_reply(client).code == 4
    assert raw_socks.receive_all(client) == b""
    server.wait_for_record(reason="timeout.bind")


@pytest.mark.parametrize(("setting", "code"), [("", 4), ('timeout_reply = "06"', 6)])
def test_timeout_reply(serve, lab: Lab, setting: str, code: int) -> None:
    host, other = lab.host("proxy"), lab.host("other")
    lab.cable(host, ["10.77.0.1/24"], other, ["10.77.0.2/24"])
    # Nobody bears the address; the limit is over before the kernel says so.
    server = serve(config=config(f'[limits]\nconnect = "300ms"\n{setting}'), namespace=host)
    with host.inside():
        assert raw_socks.ask(server.proxy, raw_socks.request("10.77.0.99", 9))[1].code == code
