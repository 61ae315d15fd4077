"""PROXY headers (protocol reference, section 8; threat TH1): from load balancers, and to targets that take them.

HAProxy is the independent judge of both directions.
"""

import json
import socket
from pathlib import Path

import golden
import pytest
import raw_socks
from datagrams import DatagramEcho
from origins import echo
from processes import free_port, run, wait_until
from server import Server

BALANCED = """
[[listen]]
address = "127.0.0.1:PORT"
protocols = ["socks5", "socks4"]
proxy_protocol_from = ["127.0.0.0/28"]

[limits]
handshake = "{handshake}"

[policy]
rules = '''
near: allow anyone from 203.0.113.0/24, 127.0.0.9 to tcp udp 127.0.0.0/8
'''
"""
UNLISTED = "127.0.0.100"
VECTORS = golden.read()
CLIENT = "203.0.113.9:5000"  # whom Y1, Y3 and Y4 name
ASSOCIATE = raw_socks.request("0.0.0.0", 0, 3)


def balanced(serve, handshake: str = "1m") -> Server:
    return serve(config=BALANCED.format(handshake=handshake))


def v2(source: tuple[str, int], tail: bytes = b"") -> bytes:
    addresses = socket.inet_aton(source[0]) + socket.inet_aton("198.51.100.7")
    ports = source[1].to_bytes(2, "big") + (1080).to_bytes(2, "big")
    length = len(addresses + ports + tail)
    return bytes.fromhex("0D0A0D0A000D0A515549540A2111") + length.to_bytes(2, "big") + addresses + ports + tail


def noop(size: int) -> bytes:
    """A TLV of that size that means nothing."""
    return b"\x04" + (size - 3).to_bytes(2, "big") + bytes(size - 3)


def talk(server: Server, pieces: list[bytes], expected: bytes) -> None:
    with raw_socks.dial(server.proxy) as client:
        for piece in pieces:
            client.sendall(piece)
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 0
        assert raw_socks.receive(client, len(expected)) == expected


@pytest.mark.parametrize("label", ["Y1", "Y3", "Y4"])
def test_the_header_names_the_client_however_it_is_split(serve, origin, label: str) -> None:
    server, far = balanced(serve), origin(echo)
    whole = VECTORS[label].octets + raw_socks.GREETING + raw_socks.request(far.host, far.port) + b"payload"
    splits = range(1, len(VECTORS[label].octets) + 5)
    talk(server, [whole], b"payload")
    talk(server, [bytes([octet]) for octet in whole], b"payload")
    for at in splits:
        talk(server, [whole[:at], whole[at:]], b"payload")
    wait_until("every session is over", lambda: sum(r["event"] == "session.end" for r in server.records()) == len(splits) + 2)
    assert {record["client"] for record in server.records()} == {CLIENT}


def silent_end(server: Server, octets: bytes, reason: str, source: str | None = None, **kind: object) -> None:
    with raw_socks.dial(server.proxy, source=source) as client:
        client.sendall(octets)
        assert raw_socks.receive_all(client) == b"", "not one octet of an answer"
    server.wait_for_record(reason=reason, **kind)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (raw_socks.GREETING, "pp.missing"),
        (b"GET / HTTP/1.1\r\n\r\n", "pp.missing"),
        (VECTORS["Y5"].octets, "pp.version"),
        (b"PROXY TCP4 203.0.113.9 198.51.100.7 05000 1080\r\n", "pp.syntax"),
        (b"PROXY UNKNOWN " + b"x" * 93, "pp.syntax"),
        (v2(("203.0.113.9", 5000), noop(4096 - 28 + 1))[:16], "pp.syntax"),  # its length alone is too much
        (v2(("203.0.113.9", 5000), b"\x04\x00\x09"), "pp.syntax"),
    ],
)
def test_a_listed_source_without_a_good_header_is_closed(serve, octets: bytes, reason: str) -> None:
    silent_end(balanced(serve), octets, reason)


def test_the_longest_header_is_taken(serve, origin) -> None:
    server, far = balanced(serve), origin(echo)
    header = v2(("203.0.113.9", 5000), noop(4096 - 28))
    assert len(header) == 4096
    talk(server, [header, raw_socks.GREETING + raw_socks.request(far.host, far.port) + b"x"], b"x")
    assert server.wait_for_record(event="session.end")["client"] == CLIENT


@pytest.mark.parametrize(("label", "reason"), [("Y1", "proto.off"), ("Y3", "proto.unknown")])
def test_a_header_from_any_other_source_is_refused(serve, label: str, reason: str) -> None:
    record = {"event": "error"}
    server = balanced(serve)
    silent_end(server, VECTORS[label].octets + raw_socks.GREETING, reason, UNLISTED, **record)
    assert str(server.records()[-1]["client"]).startswith(UNLISTED), "nobody is believed who is not listed"
    with raw_socks.dial(server.proxy, source=UNLISTED) as client:
        client.sendall(raw_socks.GREETING)
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE, "without a header it is served"


@pytest.mark.parametrize("header", [VECTORS["Y2"].octets, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN whatever it says\r\n"])
def test_a_header_that_names_nobody_leaves_the_socket_s_address(serve, header: bytes) -> None:
    server = balanced(serve)
    with raw_socks.dial(server.proxy) as client:
        client.sendall(header + raw_socks.GREETING + raw_socks.request("127.0.0.1", 9))
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 2, "no rule is for the balancer itself"
        assert server.wait_for_record(event="denied")["client"] == "{}:{}".format(*client.getsockname())


def test_the_header_has_a_limit_of_its_own(serve) -> None:
    """Five seconds, though the handshake may take a minute."""
    server = balanced(serve)
    silent_end(server, VECTORS["Y3"].octets[:-1], "pp.timeout")


def test_behind_the_header_the_handshake_has_its_limit(serve) -> None:
    server = balanced(serve, "400ms")
    silent_end(server, VECTORS["Y1"].octets + raw_socks.GREETING[:1], "timeout.handshake", client=CLIENT)
    silent_end(server, b"PROXY ", "pp.timeout")


def test_datagrams_come_from_the_client_that_was_named(serve) -> None:
    server, far = balanced(serve), DatagramEcho()
    with raw_socks.dial(server.proxy) as control:
        control.sendall(v2(("127.0.0.9", 5000)) + raw_socks.GREETING + ASSOCIATE)
        assert raw_socks.receive(control, 2) == raw_socks.METHOD_NONE
        reply = raw_socks.receive_reply(control)
        assert reply.code == 0
        with socket.socket(type=socket.SOCK_DGRAM) as named, socket.socket(type=socket.SOCK_DGRAM) as balancer:
            named.bind(("127.0.0.9", 0))
            balancer.bind(("127.0.0.1", 0))
            named.settimeout(10)
            datagram = bytes(3) + raw_socks.address(far.host, far.port)
            balancer.sendto(datagram + b"not mine", (reply.host, reply.port))
            named.sendto(datagram + b"mine", (reply.host, reply.port))
            assert named.recv(2048) == datagram + b"mine"
    end = server.wait_for_record(event="session.end")
    assert (end["packets_up"], end["packets_down"]) == (1, 1)
    far.close()


HAPROXY = """
global
    maxconn 100
defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s
{body}
"""


def haproxy(daemon, folder: Path, port: int, body: str):
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(body=body))
    process = daemon("haproxy", "-db", "-f", config)
    process.wait_for_port("127.0.0.1", port)
    return process


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
def test_behind_haproxy(serve, origin, daemon, tmp_path: Path, how: str) -> None:
    server, far, port = balanced(serve), origin(echo), free_port()
    body = f"listen front\n    mode tcp\n    bind 127.0.0.1:{port}\n    server stile 127.0.0.1:{server.proxy[1]} {how}\n"
    haproxy(daemon, tmp_path, port, body)
    # Only this source is allowed: the rule sees the client, not HAProxy.
    with raw_socks.dial(("127.0.0.1", port), source="127.0.0.9") as client:
        client.sendall(raw_socks.GREETING + raw_socks.request(far.host, far.port))
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 0
        client.sendall(b"x" * 300_000)
        assert raw_socks.receive(client, 300_000) == b"x" * 300_000
        assert server.wait_for_record(event="session.start")["client"] == "{}:{}".format(*client.getsockname())
    with raw_socks.dial(("127.0.0.1", port), source="127.0.0.10") as client:
        client.sendall(raw_socks.GREETING + raw_socks.request(far.host, far.port))
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 2


# --- To targets -------------------------------------------------------------------------------------------------------

TELLING = """
[[listen]]
address = "127.0.0.1:PORT"
{listen}

[[proxy_protocol_to]]
targets = ["127.0.0.1:{port}", "[::1]:{port}"]
version = {version}

[policy]
rules = "allow anyone from 127.0.0.0/8, 203.0.113.0/24 to 127.0.0.0/8, [::1]"
"""


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_header_is_first_and_whole(serve, origin, version: int, host: str) -> None:
    """Also for a client that waits for the target to speak; and it is none of the client's octets."""
    far = origin(host=host)
    server = serve(config=TELLING.format(listen="", port=far.port, version=version))
    for early in (b"", b"HI"):
        client, reply = raw_socks.ask(server.proxy, raw_socks.request(host, far.port) + early)
        assert reply.code == 0
        mapped, family = ("", "TCP4") if host == "127.0.0.1" else ("::ffff:", "TCP6")
        source = client.getsockname()
        if version == 1:
            expected = f"PROXY {family} {mapped}{source[0]} {host} {source[1]} {far.port}\r\n".encode()
        else:
            packed = [socket.inet_aton(source[0]), socket.inet_aton(host)] if not mapped else []
            if mapped:
                packed = [socket.inet_pton(socket.AF_INET6, mapped + source[0]), socket.inet_pton(socket.AF_INET6, host)]
            addresses = b"".join(packed) + source[1].to_bytes(2, "big") + far.port.to_bytes(2, "big")
            kind = b"\x21\x21" if mapped else b"\x21\x11"
            expected = bytes.fromhex("0D0A0D0A000D0A515549540A") + kind + len(addresses).to_bytes(2, "big") + addresses
        target = far.accept()
        assert raw_socks.receive(target, len(expected)) == expected
        assert raw_socks.receive(target, len(early)) == early
        client.sendall(b"more")
        assert raw_socks.receive(target, 4) == b"more"
        client.close()
        target.close()
        end = server.wait_for_record(event="session.end", client="{}:{}".format(*source))
        assert end["bytes_up"] == len(early) + 4


def test_a_target_that_is_not_listed_gets_none(serve, origin) -> None:
    far, other = origin(), origin()
    server = serve(config=TELLING.format(listen="", port=other.port, version=1))
    with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
        client.sendall(b"mine")
        assert raw_socks.receive(far.accept(), 4) == b"mine"


@pytest.mark.parametrize("version", [1, 2])
def test_haproxy_takes_it(serve, daemon, tmp_path: Path, version: int) -> None:
    port = free_port()
    what = '{\\"client\\":\\"%[src]:%[src_port]\\",\\"target\\":\\"%[dst]:%[dst_port]\\"}'
    body = (
        f"frontend telling\n    mode http\n    bind 127.0.0.1:{port} accept-proxy\n"
        f'    http-request return status 200 content-type application/json lf-string "{what}"\n'
    )
    haproxy(daemon, tmp_path, port, body)
    listen = 'proxy_protocol_from = ["127.0.0.2"]'
    server = serve(config=TELLING.format(listen=listen, port=port, version=version))
    proxy = "socks5h://{}:{}".format(*server.proxy)
    result = run("curl", "-sS", "--noproxy", "", "-x", proxy, f"http://127.0.0.1:{port}/")
    assert result.returncode == 0
    client = server.wait_for_record(event="session.start")["client"]
    assert json.loads(result.stdout) == {"client": client, "target": f"127.0.0.1:{port}"}
    # A client that a balancer has named is passed on under that name.
    with raw_socks.dial(server.proxy, source="127.0.0.2") as balancer:
        balancer.sendall(VECTORS["Y3"].octets + raw_socks.GREETING + raw_socks.request("127.0.0.1", port))
        assert raw_socks.receive(balancer, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(balancer).code == 0
        balancer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = raw_socks.receive_all(balancer)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["client"] == CLIENT
