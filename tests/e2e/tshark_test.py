"""Every kind of message as an independent dissector reads it, on SOCKS's own port: tshark must find each field where it
was meant, no other field, and nothing malformed.
"""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import raw_socks
from networks import Lab
from origins import Origin, echo
from processes import Daemon, free_port, run, wait_until
from server import Server

PROXY = ("127.0.0.1", 1080)
BIND, ASSOCIATE, RESOLVE, RESOLVE_PTR = 2, 3, 0xF0, 0xF1
PING, TRACEROUTE = 0x80, 0x81

Message = dict[str, str]  # the fields of one message, as tshark names and shows them, without their "socks."
GREETING: Message = {"version": "5", "auth_method_count": "1", "auth_method": "0"}
CHOICE: Message = {"version": "5", "auth_accepted_method": "0"}


# --- Exchanges: each is played and says what tshark should have read ------------------------------------------------


def target_fields(host: str) -> Message:
    if not host.replace(".", "").isdigit() and ":" not in host:
        return {"address_type": "3", "remote_name": host}
    return {"address_type": "4", "dstV6": host} if ":" in host else {"address_type": "1", "dst": host}


def asked(command: int, host: str, port: int) -> Message:
    return {"version": "5", "command": str(command), "reserved": "0", **target_fields(host), "port": str(port)}


def answered(code: int, host: str, port: int) -> Message:
    return {"version": "5", "results": str(code), "reserved": "0", **target_fields(host), "port": str(port)}


def asked4(command: int, host: str, port: int, user: str, name: str | None = None) -> Message:
    request = {"version": "4", "command": str(command), "dstport": str(port), "dst": host, "username": user}
    return request | ({} if name is None else {"v4a_dns_name": name})


def answered4(code: int, host: str, port: int) -> Message:
    return {"version": "0", "results": str(code), "dstport": str(port), "dst": host}


def payload(octets: bytes) -> Message:
    return {"payload": octets.hex(":")}


class Exchange:
    """One conversation with the proxy, its messages noted as they go."""

    def __init__(self) -> None:
        self.client = raw_socks.dial(PROXY)
        self.port = self.client.getsockname()[1]
        self.expected: list[Message] = []

    def greet(self) -> None:
        self.client.sendall(raw_socks.GREETING)
        assert raw_socks.receive(self.client, 2) == raw_socks.METHOD_NONE
        self.expected += [GREETING, CHOICE]

    def ask(self, command: int, host: str, port: int) -> raw_socks.Reply:
        self.client.sendall(raw_socks.request(host, port, command))
        self.expected.append(asked(command, host, port))
        return self.hear()

    def hear(self) -> raw_socks.Reply:
        reply = raw_socks.receive_reply(self.client)
        self.expected.append(answered(reply.code, reply.host, reply.port))
        return reply

    def ask4(self, command: int, host: str, port: int, user: str, name: str | None = None) -> tuple[str, int]:
        tail = b"" if name is None else name.encode() + b"\0"
        self.client.sendall(struct.pack("!BBH4s", 4, command, port, socket.inet_aton(host)) + user.encode() + b"\0" + tail)
        self.expected.append(asked4(command, host, port, user, name))
        code, port, address = struct.unpack("!xBH4s", raw_socks.receive(self.client, 8))
        self.expected.append(answered4(code, socket.inet_ntoa(address), port))
        return socket.inet_ntoa(address), port

    def echoed(self) -> None:
        """Octets behind the replies are payload."""
        self.client.sendall(b"across")
        assert raw_socks.receive(self.client, 6) == b"across"
        self.expected += [payload(b"across"), payload(b"across")]

    def end(self) -> None:
        self.client.shutdown(socket.SHUT_WR)
        raw_socks.receive_all(self.client)


def connect(host: str) -> Callable[[Origin, Exchange], None]:
    def play(far: Origin, exchange: Exchange) -> None:
        exchange.greet()
        assert exchange.ask(1, host, far.port).code == 0
        exchange.echoed()

    return play


def refused(far: Origin, exchange: Exchange) -> None:
    exchange.greet()
    assert exchange.ask(1, "127.0.0.1", free_port()).code == 5


def no_method(far: Origin, exchange: Exchange) -> None:
    exchange.client.sendall(b"\x05\x01\x02")
    assert raw_socks.receive(exchange.client, 2) == b"\x05\xff"
    exchange.expected += [GREETING | {"auth_method": "2"}, CHOICE | {"auth_accepted_method": "255"}]


def bind(far: Origin, exchange: Exchange) -> None:
    exchange.greet()
    first = exchange.ask(BIND, "127.0.0.1", 0)
    with raw_socks.dial((first.host, first.port)) as peer:
        second = exchange.hear()
        assert (second.host, second.port) == peer.getsockname()
        exchange.expected[-1]["remote_host_port"] = exchange.expected[-1].pop("port")  # tshark's name for a peer's port


def connect4(far: Origin, exchange: Exchange) -> None:
    exchange.ask4(1, "127.0.0.1", far.port, "bob")
    exchange.echoed()


def connect4a(far: Origin, exchange: Exchange) -> None:
    exchange.ask4(1, "0.0.0.1", far.port, "bob", "localhost")
    exchange.echoed()


def rejected4(far: Origin, exchange: Exchange) -> None:
    exchange.ask4(1, "127.0.0.1", free_port(), "")
    assert exchange.expected[-1]["results"] == "91"


def bind4(far: Origin, exchange: Exchange) -> None:
    with raw_socks.dial(exchange.ask4(BIND, "127.0.0.1", 0, "bob")) as peer:
        # tshark knows of no second reply in SOCKS4: it shows the octets.
        second = struct.pack("!BBH4s", 0, 90, peer.getsockname()[1], socket.inet_aton("127.0.0.1"))
        assert raw_socks.receive(exchange.client, 8) == second
        exchange.expected.append(payload(second))


def resolve(far: Origin, exchange: Exchange) -> None:
    exchange.greet()
    assert exchange.ask(RESOLVE, "localhost", 0).host == "127.0.0.1"


def resolve4a(far: Origin, exchange: Exchange) -> None:
    assert exchange.ask4(RESOLVE, "0.0.0.1", 0, "", "localhost") == ("127.0.0.1", 0)


def resolve_ptr(far: Origin, exchange: Exchange) -> None:
    exchange.greet()
    exchange.client.sendall(raw_socks.request("127.0.0.1", 0, RESOLVE_PTR))
    assert raw_socks.receive_all(exchange.client) == b"\x05\x00\x00" + raw_socks.name(b"localhost", 0)
    exchange.expected += [asked(RESOLVE_PTR, "127.0.0.1", 0), answered(0, "localhost", 0)]


def probes(command: int, host: str, flags: int) -> Callable[[Origin, Exchange], None]:
    """Every line is a result, and the client's octet the end command. It goes out while the next line is a while away."""
    kind, first = {PING: ("ping", 2), TRACEROUTE: ("traceroute", 1)}[command]

    def results(octets: bytes) -> list[Message]:
        return [{f"{kind}_results": line} for line in octets.decode("ascii").splitlines()]

    def play(far: Origin, exchange: Exchange) -> None:
        exchange.greet()
        exchange.client.sendall(bytes([5, command, flags]) + raw_socks.address(host, 0))
        exchange.expected.append(asked(command, host, 0) | {"reserved": str(flags)})
        assert exchange.hear().code == 0
        heard = b""
        while heard.count(b"\r\n") < first:
            heard += exchange.client.recv(4096)
        exchange.client.sendall(b"\0")
        rest = raw_socks.receive_all(exchange.client)
        exchange.expected += [*results(heard), {f"{kind}_end_command": ""}, *results(rest)]

    return play


def associate(far: Origin, exchange: Exchange) -> None:
    """The request names the port that datagrams come from: tshark knows them by it."""
    with ExitStack() as stack:
        client, target = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        for end in (client, target):
            end.bind(("127.0.0.1", 0))
            end.settimeout(20)
        port = target.getsockname()[1]
        exchange.greet()
        reply = exchange.ask(ASSOCIATE, *client.getsockname())
        relay = (reply.host, reply.port)
        outgoing = relay
        for host, fragment in (("127.0.0.1", 0), ("localhost", 0), ("127.0.0.1", 1), ("127.0.0.1", 0x82)):
            client.sendto(bytes([0, 0, fragment]) + raw_socks.address(host, port) + b"ping", relay)
            exchange.expected.append(datagram_fields(host, port, fragment))
            if fragment != 1:
                octets, outgoing = target.recvfrom(100)
                assert octets == (b"pingping" if fragment else b"ping")
        target.sendto(b"pong", outgoing)
        assert client.recv(100).endswith(b"pong")
        exchange.expected.append(datagram_fields("127.0.0.1", port, 0))


def datagram_fields(host: str, port: int, fragment: int) -> Message:
    return {"reserved": "0", "fragment_number": str(fragment), **target_fields(host), "dstport": str(port)}


EXCHANGES = {
    "SOCKS5 CONNECT": connect("127.0.0.1"),
    "SOCKS5 CONNECT, IPv6": connect("::1"),
    "SOCKS5 CONNECT, name": connect("localhost"),
    "SOCKS5 CONNECT, refused": refused,
    "SOCKS5, no method": no_method,
    "SOCKS5 BIND": bind,
    "SOCKS5 UDP ASSOCIATE": associate,
    "SOCKS5 RESOLVE": resolve,
    "SOCKS5 RESOLVE_PTR": resolve_ptr,
    "SOCKS5 PING": probes(PING, "127.0.0.1", 0),
    "SOCKS5 PING, IPv6, verbose": probes(PING, "::1", 2),
    "SOCKS5 TRACEROUTE, name": probes(TRACEROUTE, "localhost", 1),
    "SOCKS4 CONNECT": connect4,
    "SOCKS4 CONNECT, rejected": rejected4,
    "SOCKS4 BIND": bind4,
    "SOCKS4a CONNECT": connect4a,
    "SOCKS4a RESOLVE": resolve4a,
}


# --- Judging ------------------------------------------------------------------------------------------------------


class Capture:
    """What passes on loopback, in the calling thread's namespace; a datagram to port 9 shows that it is being written."""

    def __init__(self, daemon: Daemon, file: Path) -> None:
        self.daemon, self.file = daemon, file
        self.marked(b"the beginning")

    def marked(self, mark: bytes) -> None:
        def written() -> bool:
            assert self.daemon.process.poll() is None, self.daemon.log.read_text()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
                marker.sendto(mark, ("127.0.0.1", 9))
            return self.file.exists() and mark in self.file.read_bytes()

        wait_until("dumpcap writes what it sees", written)

    def close(self) -> None:
        self.marked(b"the end")
        self.daemon.close()


def play(folder: Path) -> tuple[Path, dict[str, Exchange]]:
    """All exchanges, in the calling thread's namespace."""
    file, played = folder / "exchanges.pcapng", {}
    words = ("dumpcap", "-q", "-i", "lo", "-f", "tcp port 1080 or udp", "-w", file)
    with closing(Origin(echo)) as far, closing(Origin(echo, "::1", far.port)):
        with closing(Capture(Daemon(folder, *words), file)):
            for name, way in EXCHANGES.items():
                played[name] = Exchange()
                way(far, played[name])
                played[name].end()
    return file, played


def messages(packet: dict[str, dict[str, object]]) -> list[Message]:
    """Those of one packet: lines of PING or TRACEROUTE, which stand beside the layers as names; else one message."""
    for kind in ("ping", "traceroute"):
        if f"socks.{kind}_end_command" in packet:
            return [{f"{kind}_end_command": ""}]
        if f"socks.{kind}_results" in packet:
            return [{f"{kind}_results": name.removesuffix(r"\r\n")} for name in packet if name.endswith(r"\r\n")]
    return [message(packet)]


def message(packet: dict[str, dict[str, object]]) -> Message:
    """The fields of a packet without their grouping. Beside payload tshark repeats the request: that is left out."""
    fields: Message = {}
    for name, value in packet.get("socks", {}).items():
        fields.update(value if isinstance(value, dict) else {name: value})
    if octets := fields.get("tcp.payload"):
        return {"payload": octets}
    return {name.removeprefix("socks."): value for name, value in fields.items()}


@pytest.fixture(scope="module")
def judged(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[list[Message], list[Message]]]]:
    """For each exchange what was said, and what tshark read."""
    folder = tmp_path_factory.mktemp("tshark")
    with closing(Lab()) as lab:
        host = lab.host("judge")
        with host.inside():
            server = Server(folder / "server", port=PROXY[1], namespace=host)
            try:
                file, played = play(folder)
            finally:
                raw_socks.close_all()
                server.finish()
    result = run("tshark", "-r", file, "-Y", "socks || _ws.malformed || _ws.short", "-T", "json")
    assert result.returncode == 0
    packets = [packet["_source"]["layers"] for packet in json.loads(result.stdout)]
    read: dict[str, list[Message]] = {name: [] for name in played}
    names = {str(exchange.port): name for name, exchange in played.items()}
    for packet in packets:
        assert not {"_ws.malformed", "_ws.short"} & set(packet), packet
        tcp = packet.get("tcp", {})
        name = names.get(tcp.get("tcp.srcport")) or names.get(tcp.get("tcp.dstport")) or "SOCKS5 UDP ASSOCIATE"
        read[name] += messages(packet)
    yield {name: (exchange.expected, read[name]) for name, exchange in played.items()}


@pytest.mark.parametrize("name", EXCHANGES)
def test_tshark_reads_what_was_said(judged: dict[str, tuple[list[Message], list[Message]]], name: str) -> None:
    said, read = judged[name]
    assert read == said
