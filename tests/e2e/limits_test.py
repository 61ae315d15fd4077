"""The options of rules that limit or lead a session, with real sockets and clients: every octet counts, no time does."""

import os
import socket
import subprocess
from contextlib import closing

import pytest
import raw_socks
from datagrams import DatagramEcho
from networks import Lab
from origins import Origin, echo
from processes import free_port, wait_until

NOT_ALLOWED, GENERAL_FAILURE = 2, 1


def config(rules: str, more: str = "") -> str:
    return f"[[listen]]\naddress = \"127.0.0.1:PORT\"\n[policy]\nrules = '''\n{rules}\n'''\n{more}\n"


def receive_all(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (part := connection.recv(65536)):
        received += part
    return bytes(received)


@pytest.mark.parametrize("rate", ["500KB/s", "2MB/s", "500MB/s"])
def test_a_rate_loses_nothing(serve, origin, rate: str) -> None:
    """Several tunnels share a budget both ways, copied (little at a time) or spliced (much)."""
    target = origin(echo)
    server = serve(config=config(f"slow: allow anyone to loopback rate {rate} rate per tunnel {rate}"))
    payload = os.urandom(400_000)
    tunnels = [raw_socks.tunnel(server.proxy, target.host, target.port) for _ in range(3)]
    for tunnel in tunnels:
        tunnel.settimeout(60)
    # Each is read as it is written, or the echo's own buffers would fill up.
    for first in range(0, len(payload), 50_000):
        part = payload[first : first + 50_000]
        for tunnel in tunnels:
            tunnel.sendall(part)
        for tunnel in tunnels:
            assert receive_all(tunnel, len(part)) == part
    for tunnel in tunnels:
        tunnel.close()
    wait_until("all sessions end", lambda: sum(record["event"] == "session.end" for record in server.records()) == 3)
    for record in server.records():
        if record["event"] == "session.end":
            assert (record["bytes_up"], record["bytes_down"]) == (400_000, 400_000)


def test_a_forwarded_body_arrives_whole_under_a_rate(serve, origin) -> None:
    body = os.urandom(300_000)

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body)

    target = origin(answer)
    server = serve(config=config("slow: allow anyone to loopback rate 1MB/s"))
    fetched = subprocess.run(
        ["curl", "-sS", "--noproxy", "", "-x", "http://{}:{}".format(*server.proxy), f"http://{target.host}:{target.port}/"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert fetched.stdout == body


def test_sessions_of_a_rule(serve, origin) -> None:
    target = origin(echo)
    server = serve(config=config("few: allow anyone to loopback sessions 2"))
    request = raw_socks.request(target.host, target.port)
    first, granted = raw_socks.ask(server.proxy, request)
    assert granted.code == 0
    assert raw_socks.ask(server.proxy, request)[1].code == 0
    assert raw_socks.ask(server.proxy, request)[1].code == NOT_ALLOWED
    assert server.wait_for_record(event="denied", reason="limit.rule")["rule"] == "few"
    first.close()
    wait_until("a session that ended makes room", lambda: raw_socks.ask(server.proxy, request)[1].code == 0)


def test_sessions_of_a_listener_and_of_a_user(serve, origin, tmp_path) -> None:
    """A Unix-domain listener names its users; loopback is no source that is counted."""
    target = origin(echo)
    path = tmp_path / "s"
    server = serve(
        config=config(
            "all: allow anyone to loopback",
            '[limits]\nsessions_per_listener = 3\nsessions_per_user = 1\nsessions_per_source = 1\n',
        ).replace("[policy]", f'[[listen]]\naddress = "unix:{path}"\n[policy]')
    )
    request = raw_socks.request(target.host, target.port)
    for _ in range(3):
        assert raw_socks.ask(server.proxy, request)[1].code == 0
    assert raw_socks.ask(server.proxy, request)[1].code == GENERAL_FAILURE
    server.wait_for_record(event="error", reason="limit.listener")

    def ask_locally() -> tuple[socket.socket, bytes]:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(b"\x05\x01\x00" + request)
        return connection, receive_all(connection, 12)

    held, reply = ask_locally()
    assert reply[3] == 0
    refused, reply = ask_locally()
    assert reply[3] == NOT_ALLOWED
    server.wait_for_record(event="denied", reason="limit.user")
    held.close()
    refused.close()


def test_a_quota_ends_what_lives_and_refuses_what_comes(serve, origin) -> None:
    target = origin(echo)
    server = serve("--workers", 2, config=config("daily: allow anyone to loopback quota 100KB/day"))
    request = raw_socks.request(target.host, target.port)
    tunnels = [raw_socks.ask(server.proxy, request)[0] for _ in range(4)]
    tunnels[0].sendall(bytes(60_000))
    for tunnel in tunnels:
        try:
            while tunnel.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert raw_socks.ask(server.proxy, request)[1].code == NOT_ALLOWED
    server.wait_for_record(event="denied", reason="limit.quota")
    ends = [record for record in server.records() if record["event"] == "session.end"]
    assert [record["reason"] for record in ends] == ["limit.quota"] * 4
    assert 100_000 < sum(record["bytes_up"] + record["bytes_down"] for record in ends) <= 120_000


def test_datagrams_beyond_the_rate_are_dropped(serve) -> None:
    with closing(DatagramEcho()) as far, socket.socket(type=socket.SOCK_DGRAM) as client:
        server = serve(config=config("slow: allow anyone to udp loopback rate up 1KB/s"))
        client.bind(("127.0.0.1", 0))
        client.settimeout(30)
        control, reply = raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, 3))
        packet = bytes(3) + raw_socks.address(far.host, far.port) + bytes(1000)
        client.sendto(packet, (reply.host, reply.port))
        assert len(client.recv(4096)) == len(packet)  # within the burst
        for _ in range(20):
            client.sendto(packet, (reply.host, reply.port))
        server.wait_for_record(event="drop", reason="udp.rate")
        control.close()
        server.wait_for_record(event="session.end")


def test_egress_and_redirect(serve, origin) -> None:
    target = origin(echo)
    server = serve(
        config=config(
            f"moved: allow anyone to moved.invalid redirect 127.0.0.1:{target.port}\n"
            "loop: allow anyone to loop.example redirect 127.0.0.1:PORT\n"
            f"out: allow anyone to 127.0.0.1:{target.port} egress 127.0.0.9\n"
            "gone: allow anyone to 127.0.0.2 egress 192.0.2.77"
        )
    )
    assert "rule 'gone' cannot leave from 192.0.2.77" in server.errors()
    assert raw_socks.ask(server.proxy, raw_socks.request("127.0.0.1", target.port))[1].code == 0
    wait_until("the origin is reached", lambda: [host for host, _ in target.peers] == ["127.0.0.9"])
    assert raw_socks.ask(server.proxy, raw_socks.request("127.0.0.2", target.port))[1].code == GENERAL_FAILURE
    server.wait_for_record(event="error", reason="dial.egress")
    # A name under .invalid has no address, and is not asked for one.
    moved = b"\x05\x01\x00" + raw_socks.name(b"moved.invalid", 443)
    assert raw_socks.ask(server.proxy, moved)[1].code == 0
    record = server.wait_for_record(event="session.start", target="moved.invalid:443")
    assert record["address"] == f"127.0.0.1:{target.port}"
    looped = b"\x05\x01\x00" + raw_socks.name(b"loop.example", 443)
    assert raw_socks.ask(server.proxy, looped)[1].code == NOT_ALLOWED
    server.wait_for_record(event="denied", reason="deny.self")


def test_egress_from_a_prefix(serve, lab: Lab) -> None:
    """Each connection and each association leaves from an address of its own, of a prefix that no interface bears."""
    far, near = lab.host("far"), lab.host("near")
    lab.cable(near, ["fd00:1::1/64"], far, ["fd00:1::2/64"])
    near.run("ip", "-6", "route", "add", "local", "fd00:2::/64", "dev", "lo")
    far.run("ip", "-6", "route", "add", "fd00:2::/64", "via", "fd00:1::1")
    with far.inside():
        target = Origin(None, "fd00:1::2", 7000)
        datagrams = DatagramEcho("fd00:1::2", 7001)
    try:
        server = serve(
            config=config("out: allow anyone to tcp udp fd00:1::/64 egress fd00:2::/64"), namespace=near, port=free_port()
        )
        assert "cannot leave" not in server.errors()
        with near.inside():
            for _ in range(8):
                tunnel, reply = raw_socks.ask(server.proxy, raw_socks.request("fd00:1::2", 7000))
                assert reply.code == 0
                target.accept()
                tunnel.close()
            control, reply = raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, 3))
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.bind(("127.0.0.1", 0))
                client.settimeout(30)
                client.sendto(bytes(3) + raw_socks.address("fd00:1::2", 7001) + b"ping", (reply.host, reply.port))
                assert client.recv(4096).endswith(b"ping")
            control.close()
        seen = {host for host, _ in target.peers}
        assert len(seen) == 8
        assert all(address.startswith("fd00:2:") for address in seen), seen
        assert datagrams.peers[0][0].startswith("fd00:2:")
    finally:
        target.close()
        with far.inside():
            datagrams.close()
