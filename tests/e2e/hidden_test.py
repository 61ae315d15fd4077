"""Inside stays hidden (threat TS6): what the server sends outward is captured, and no inside address stands in it.

    client and origin ── 9.9.9.0/24, 2620:fe::/64 ── server ── 10.77.5.0/24, fd77:5::/64 ── inside

The outside addresses are public ones, since what is told may depend on that; nothing of it leaves the namespaces.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import raw_socks
from datagrams import DatagramEcho
from http_origins import HttpOrigin, Reader, ask, receive_response
from name_server import NameServer
from networks import Lab
from origins import Origin, echo
from processes import BINARY, run
from wire_tap import WireTap, shows

CLIENT, CLIENT6, NAMES = "9.9.9.20", "2620:fe::20", "9.9.9.53"
PROXY, PROXY6 = "9.9.9.2", "2620:fe::2"
OWN, OWN6 = "10.77.5.3", "fd77:5::3"
INSIDE, INSIDE6, HIDDEN = "10.77.5.9", "fd77:5::9", "10.77.5.10"
SECRETS = [OWN, OWN6, INSIDE, INSIDE6, HIDDEN]
BIND, ASSOCIATE, RESOLVE, RESOLVE_PTR = 2, 3, 0xF0, 0xF1

CONFIG = f"""
[[listen]]
address = "{PROXY}:1080"
[[listen]]
address = "[{PROXY6}]:1080"
[[listen]]
address = "{OWN}:1080"
MORE
[policy]
rules = '''
db:     allow anyone from 9.9.9.0/24, 2620:fe::/64 to tcp db.corp.example, db6.corp.example
out:    allow anyone from 9.9.9.0/24, 2620:fe::/64, 10.77.5.0/24 to tcp udp bind ping resolve public
'''
"""


class Border:
    """The three hosts, with an echo, an HTTP origin and a UDP echo on either side."""

    def __init__(self, stack: ExitStack) -> None:
        lab = stack.enter_context(closing(Lab()))
        self.client, self.server, self.inside = map(lab.host, ("C", "S", "I"))
        outside = [f"{CLIENT}/24", f"{NAMES}/24", f"{CLIENT6}/64"]
        lab.cable(self.client, outside, self.server, [f"{PROXY}/24", f"{PROXY6}/64"])
        lab.cable(self.server, [f"{OWN}/24", f"{OWN6}/64"], self.inside, [f"{INSIDE}/24", f"{INSIDE6}/64", f"{HIDDEN}/24"])
        self.server.file("hosts", f"127.0.0.1 localhost\n{INSIDE} db.corp.example\n{INSIDE6} db6.corp.example\n")
        self.server.file("resolv.conf", f"nameserver {NAMES}\n")
        with self.client.inside():
            self.names = stack.enter_context(closing(NameServer(NAMES, {"origin.example": [CLIENT]})))
            self.far, self.site = (stack.enter_context(closing(kind)) for kind in (Origin(echo, CLIENT), HttpOrigin(host=CLIENT)))
            self.datagrams = DatagramEcho(CLIENT)
        with self.inside.inside():
            self.db, self.db6 = (stack.enter_context(closing(Origin(echo, host))) for host in (INSIDE, INSIDE6))
            self.web = stack.enter_context(closing(HttpOrigin(host=INSIDE)))

    def serve(self, serve, more: str = ""):
        return serve(config=CONFIG.replace("MORE", more), host=PROXY, port=1080, namespace=self.server)


@pytest.fixture
def border(namespaces) -> Iterator[Border]:
    with ExitStack() as stack:
        yield Border(stack)


def says(connection: socket.socket) -> None:
    connection.sendall(b"through")
    assert raw_socks.receive(connection, 7) == b"through"


def http(proxy: tuple[str, int], head: str) -> str:
    with ask(proxy, head + "\r\n\r\n") as client:
        return receive_response(Reader(client)).head


@pytest.mark.parametrize("proxy", [(PROXY, 1080), (PROXY6, 1080)])
def test_a_client_outside_learns_no_inside_address(serve, border: Border, proxy) -> None:
    """Not by what it may do with inside names, nor by what it may not."""
    border.serve(serve)
    tap = WireTap(border.client)
    with border.client.inside():
        for name, far in (("db.corp.example", border.db), ("db6.corp.example", border.db6)):
            connection, reply = raw_socks.ask(proxy, raw_socks.request(name, far.port))
            assert (reply.code, reply.host) == (0, proxy[0])
            says(connection)
            assert raw_socks.ask(proxy, raw_socks.request(name, 1))[1].code == 5
            for command in (BIND, RESOLVE):
                assert raw_socks.ask(proxy, raw_socks.request(name, 80 if command == BIND else 0, command))[1].code == 2
            assert raw_socks.ask(proxy, raw_socks.request(name, 80, 0x80))[1].code == 2
        socks4 = raw_socks.dial(proxy)
        socks4.sendall(bytes([4, 1]) + border.db.port.to_bytes(2) + bytes([0, 0, 0, 1]) + b"\0db.corp.example\0")
        assert raw_socks.receive(socks4, 8)[:2] == bytes([0, 90])
        says(socks4)
        url = f"http://db.corp.example:{border.web.port}"
        assert http(proxy, f"GET {url}/length/5 HTTP/1.1\r\nHost: x").startswith("HTTP/1.1 200")
        assert http(proxy, "GET http://db.corp.example:1/ HTTP/1.1\r\nHost: x").startswith("HTTP/1.1 502")
        assert http(proxy, f"OPTIONS {url} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0").startswith("HTTP/1.1 200")
        assert http(proxy, f"TRACE {url}/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0").startswith("HTTP/1.1 200")
        assert http(proxy, "GET http://other.corp.example/ HTTP/1.1\r\nHost: x").startswith("HTTP/1.1 50")
        with ask(proxy, f"CONNECT db.corp.example:{border.db.port} HTTP/1.1\r\nHost: x\r\n\r\n") as tunnel:
            assert Reader(tunnel).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    raw_socks.close_all()
    frames = tap.frames()
    assert [frame for frame in frames if b"through" in frame], "the tap sees what passes"
    for secret in SECRETS:
        assert shows(frames, secret) == [], secret


def test_every_command_between_outside_hosts_names_outside_addresses(serve, border: Border) -> None:
    border.serve(serve)
    proxy = (PROXY, 1080)
    tap = WireTap(border.client)
    with border.client.inside():
        connection, reply = raw_socks.ask(proxy, raw_socks.request("origin.example", border.far.port))
        assert (reply.code, reply.host) == (0, PROXY)
        says(connection)
        control, reply = raw_socks.ask(proxy, raw_socks.request("0.0.0.0", 0, ASSOCIATE))
        assert (reply.code, reply.host) == (0, PROXY)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            datagram = bytes(3) + raw_socks.address(CLIENT, border.datagrams.port) + b"udp"
            client.sendto(datagram, (reply.host, reply.port))
            assert client.recv(2048) == datagram
        control.close()
        waiting, reply = raw_socks.ask(proxy, raw_socks.request(CLIENT, 0, BIND))
        assert (reply.code, reply.host) == (0, PROXY)
        with socket.create_connection((reply.host, reply.port), 10, source_address=(CLIENT, 0)):
            assert raw_socks.receive_reply(waiting).host == CLIENT
        assert raw_socks.ask(proxy, raw_socks.request("origin.example", 0, RESOLVE))[1].host == CLIENT
    answer = run(*border.client.prefix(), BINARY, "ping", "--via", f"socks5h://{PROXY}:1080", "-v", "-c", 1, "origin.example")
    assert answer.returncode == 0
    raw_socks.close_all()
    frames = tap.frames()
    for secret in SECRETS:
        assert shows(frames, secret) == [], secret


def test_an_inside_client_is_hidden_from_outside_origins(serve, border: Border) -> None:
    server = border.serve(serve)
    proxy = (OWN, 1080)
    tap = WireTap(border.client)
    with border.inside.inside():
        connection, reply = raw_socks.ask(proxy, raw_socks.request("origin.example", border.far.port))
        assert reply.code == 0
        says(connection)
        fields = f"X-Forwarded-For: {INSIDE}\r\nForwarded: for={INSIDE}\r\nProxy-Authorization: Basic eDp5"
        head = f"GET {border.site.url}/length/5 HTTP/1.1\r\nHost: x\r\n{fields}"
        assert http(proxy, head).startswith("HTTP/1.1 200")
        with ask(proxy, f"CONNECT {CLIENT}:{border.far.port} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n") as tunnel:
            assert Reader(tunnel).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            says(tunnel)
        control, reply = raw_socks.ask(proxy, raw_socks.request("0.0.0.0", 0, ASSOCIATE))
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(bytes(3) + raw_socks.address(CLIENT, border.datagrams.port) + b"udp", (reply.host, reply.port))
            assert client.recv(2048).endswith(b"udp")
        control.close()
        assert raw_socks.ask(proxy, raw_socks.request("origin.example", 0, RESOLVE))[1].code == 0
    via = f"socks5h://{OWN}:1080"
    for command in (("ping", "-c", 1), ("trace",)):
        assert run(*border.inside.prefix(), BINARY, *command, "--via", via, "origin.example").returncode == 0
    raw_socks.close_all()
    frames = tap.frames()
    assert [frame for frame in frames if b"through" in frame] and [frame for frame in frames if b"Via: 1.1 stile" in frame]
    for secret in SECRETS:
        assert shows(frames, secret) == [], secret
    assert {str(record["client"]).split(":")[0] for record in server.records()} == {INSIDE}


def test_dns_is_not_asked_for_what_is_inside(serve, border: Border) -> None:
    """Neither for names that no rule admits, nor for those that this host knows itself, nor for inside addresses."""
    border.serve(serve)
    with border.client.inside():
        for host in ("db.corp.example", "db6.corp.example", "localhost", "printer.local", "secret.invalid", INSIDE, OWN):
            for command in (raw_socks.CONNECT, BIND, RESOLVE):
                raw_socks.ask((PROXY, 1080), raw_socks.request(host, 80, command))
        raw_socks.ask((PROXY, 1080), raw_socks.request(INSIDE, 0, RESOLVE_PTR))
        assert raw_socks.ask((PROXY, 1080), raw_socks.request("origin.example", 0, RESOLVE))[1].code == 0
    raw_socks.close_all()
    assert {name for name, _ in border.names.asked} == {"origin.example"}
