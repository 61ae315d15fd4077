"""Every golden vector that is a conversation with the server, played to it whole, cut in two at each position, octet by
octet and behind its greeting in one segment (protocol reference, 12). Each way must have the same outcome and leave the
same record.
"""

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import golden
import pytest
import ranges
import raw_socks
from processes import wait_until
from ranges import Ranges
from raw_socks import Reply
from server import Record, Server

VECTORS = golden.read()
PAUSE = 0.004  # lets the server read a segment before the next one; a longer one could not make a wrong server right
CUT_EVERYWHERE_BELOW = 64


# --- Outcomes -----------------------------------------------------------------------------------------------------


def reply_of_4(client: socket.socket) -> Reply:
    octets = raw_socks.receive(client, 8)
    version, code, port, address = struct.unpack("!BBH4s", octets)
    assert version == 0 and code in (90, 91), octets.hex(" ")
    return Reply(octets, 0 if code == 90 else 1, socket.inet_ntoa(address), port)


def receive_reply(client: socket.socket, version: int) -> Reply:
    return reply_of_4(client) if version == 4 else raw_socks.receive_reply(client)


def exchange(client: socket.socket, far: socket.socket) -> None:
    """Both ways, to both ends."""
    far.sendall(b"answer")
    far.shutdown(socket.SHUT_WR)
    client.sendall(b"more")
    client.shutdown(socket.SHUT_WR)
    assert raw_socks.receive_all(client) == b"answer"
    assert raw_socks.receive_all(far) == b"more"
    far.close()


@dataclass(frozen=True)
class Dials:
    """The reply shows the address that the target sees; the target gets exactly what stands behind the request."""

    host: str
    port: int
    target: str  # as the record shows it
    early: bytes = b""
    version: int = 5

    def judge(self, world: Ranges, client: socket.socket) -> None:
        reply = receive_reply(client, self.version)
        assert reply.code == 0, reply.octets.hex(" ")
        far = world.target_of((reply.host, reply.port))
        assert far.getsockname()[:2] == (self.host, self.port)
        assert raw_socks.receive(far, len(self.early)) == self.early
        exchange(client, far)

    def record(self) -> Record:
        return {"event": "session.end", "command": "connect", "target": self.target}


@dataclass(frozen=True)
class Refuses:
    """One reply, then the end; no connection is made and no name asked for."""

    reason: str
    code: int = 1
    version: int = 5

    def judge(self, world: Ranges, client: socket.socket) -> None:
        failure = bytes([5, self.code]) + raw_socks.FAILURE_TAIL if self.version == 5 else VECTORS["V2"].octets
        assert raw_socks.receive_all(client) == failure

    def record(self) -> Record:
        return {"event": "denied" if self.reason.startswith("deny.") else "error", "reason": self.reason}


@dataclass(frozen=True)
class Answers:
    """Exactly these octets, then the end."""

    octets: bytes

    def judge(self, world: Ranges, client: socket.socket) -> None:
        assert raw_socks.receive_all(client) == self.octets

    def record(self) -> Record:
        return {"event": "session.end"}


@dataclass(frozen=True)
class Ends:
    """These octets if any, then the end, for a reason."""

    reason: str
    octets: bytes = b""

    def judge(self, world: Ranges, client: socket.socket) -> None:
        octets = b""
        try:
            while piece := client.recv(4096):
                octets += piece
        except ConnectionResetError:
            pass  # what came behind the end of the conversation was never read
        assert octets == self.octets

    def record(self) -> Record:
        return {"event": "error", "reason": self.reason}


@dataclass(frozen=True)
class Chooses:
    """A method, and no octet of what follows is taken for a part of the greeting."""

    method: int

    def judge(self, world: Ranges, client: socket.socket) -> None:
        assert raw_socks.receive(client, 2) == bytes([5, self.method])
        client.sendall(VECTORS["Q1"].octets)
        OUTCOMES["Q1"].judge(world, client)

    def record(self) -> Record:
        return OUTCOMES["Q1"].record()


@dataclass(frozen=True)
class Listens:
    """BIND: it listens when the first reply is there, passes strangers by, and names its peer in the second."""

    peer: str
    version: int = 5
    stranger: str | None = None

    def judge(self, world: Ranges, client: socket.socket) -> None:
        first = receive_reply(client, self.version)
        assert first.code == 0 and first.host == ranges.PROXY[0] and first.port != 0, first
        if self.stranger:
            with pytest.raises(ConnectionResetError):
                world.dial((first.host, first.port), self.stranger).recv(1)
        peer = world.dial((first.host, first.port), self.peer)
        second = receive_reply(client, self.version)
        assert (second.code, second.host, second.port) == (0, *peer.getsockname())
        exchange(client, peer)

    def record(self) -> Record:
        return {"event": "session.end", "command": "bind", "reply": 0}


@dataclass(frozen=True)
class Associates:
    """The reply says where to send; whatever was claimed, the TCP connection's peer is the only source."""

    def judge(self, world: Ranges, client: socket.socket) -> None:
        reply = raw_socks.receive_reply(client)
        assert reply.code == 0 and reply.host == ranges.PROXY[0] and reply.port != 0, reply
        relay = (reply.host, reply.port)
        with world.datagram_socket(ranges.PEER, 53) as claimed, world.datagram_socket(ranges.CLIENT) as own:
            claimed.sendto(VECTORS["U4"].octets, relay)
            claimed.sendto(VECTORS["U3"].octets, relay)
            own.sendto(VECTORS["U1"].octets, relay)
            payload, outgoing = world.datagrams[ranges.NAMES].recvfrom(65536)
            assert payload == b"\xde\xad"
            world.datagrams[ranges.NAMES].sendto(b"\xbe\xef", outgoing)
            assert own.recvfrom(65536) == (VECTORS["U12"].octets, relay)
        client.close()

    def record(self) -> Record:
        return {"event": "session.end", "command": "udp-associate", "packets_up": 1, "packets_down": 1}


@dataclass(frozen=True)
class Fails:
    """An HTTP status, then the end."""

    status: int
    reason: str

    def judge(self, world: Ranges, client: socket.socket) -> None:
        assert raw_socks.receive_all(client).startswith(f"HTTP/1.1 {self.status} ".encode())

    def record(self) -> Record:
        return {"event": "error", "protocol": "http", "reason": self.reason}


@dataclass(frozen=True)
class Tunnels:
    """HTTP's way to say that the connection is made."""

    def judge(self, world: Ranges, client: socket.socket) -> None:
        granted = b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert raw_socks.receive(client, len(granted)) == granted
        exchange(client, world.next_target(ranges.WEB, 80))

    def record(self) -> Record:
        return {"event": "session.end", "protocol": "http", "target": "192.0.2.10:80"}


@dataclass(frozen=True)
class Forwards:
    """One request to the origin, rewritten for it; its answer comes back."""

    def judge(self, world: Ranges, client: socket.socket) -> None:
        far = world.next_target(ranges.WEB, 80)
        head = b""
        while b"\r\n\r\n" not in head:
            head += far.recv(4096)
        assert head.startswith(b"GET / HTTP/1.1\r\n") and b"\r\nHost: example.com\r\n" in head and b"other" not in head
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        answer = b""
        while not answer.endswith(b"\r\n\r\nhi"):
            answer += client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
        client.close()
        far.close()

    def record(self) -> Record:
        return {"event": "session.end", "protocol": "http", "target": "example.com:80"}


@dataclass(frozen=True)
class Probes:
    """The address that probes leave from, then lines of text; one octet from the client asks for the last of them."""

    command: str
    first: bytes
    last: bytes

    def judge(self, world: Ranges, client: socket.socket) -> None:
        reply = raw_socks.receive_reply(client)
        assert (reply.code, reply.host, reply.port) == (0, ranges.PROXY[0], 0)
        assert raw_socks.receive(client, len(self.first)) == self.first
        client.sendall(b"\0")
        assert re.search(self.last, raw_socks.receive_all(client))

    def record(self) -> Record:
        return {"event": "session.end", "command": self.command, "reply": 0}


Outcome = Dials | Refuses | Answers | Ends | Chooses | Listens | Associates | Fails | Tunnels | Forwards | Probes

OUTCOMES: dict[str, Outcome] = {
    "G1": Chooses(0), "G2": Chooses(0), "G3": Chooses(0), "G4": Ends("method.none", b"\x05\xff"),
    "G5": Chooses(0), "G6": Ends("method.none", b"\x05\xff"),
    "Q1": Dials(ranges.WEB, 80, "192.0.2.10:80"),
    "Q2": Dials(ranges.WEB, 443, "example.com:443"),
    "Q3": Dials(ranges.WEB6, 80, "[2001:db8::1]:80"),
    "Q4": Dials(ranges.WEB, 80, "192.0.2.10:80"),
    "Q5": Dials(ranges.WEB, 80, "192.0.2.10:80"),
    "Q6": Refuses("request.name"),
    "Q7": Refuses("request.name"),
    "Q8": Refuses("deny.policy", 2),
    "Q9": Dials(ranges.WEB6, 80, "[2001:db8::1]:80"),
    "Q10": Refuses("name.impossible", 4),
    "Q11": Refuses("name.impossible", 4),
    "Q12": Refuses("request.port"),
    "Q13": Refuses("deny.unspecified", 2),
    "Q14": Refuses("address_type.unknown", 8),
    "Q15": Refuses("command.unknown", 7),
    "Q16": Refuses("command.unknown", 7),
    "Q17": Ends("request.version"),
    "Q18": Listens(ranges.STRANGER),
    "Q19": Listens(ranges.PEER, stranger=ranges.STRANGER),
    "Q20": Refuses("deny.policy", 2),
    "Q21": Associates(),
    "Q22": Associates(),
    "Q23": Associates(),
    "Q24": Answers(VECTORS["P6"].octets),
    "Q25": Answers(VECTORS["P7"].octets),
    "Q26": Refuses("address_type.unknown", 8),
    "Q27": Probes("ping", b"PING 192.0.2.10 (192.0.2.10) 56 data bytes\r\n", rb"\r\n\d+ sent, \d+ received, [^\r]*\r\n"),
    "Q28": Probes(
        "traceroute",
        b"traceroute to 192.0.2.10 (192.0.2.10), 30 hops max, 60 byte packets\r\n",
        rb"trace complete: (reached|ended)\r\n$",
    ),
    "C1": Dials(ranges.WEB, 80, "192.0.2.10:80", b"GET /\r\n"),
    "C4": Dials(ranges.WEB, 80, "192.0.2.10:80", b"HI", 4),
    "K1": Dials(ranges.WEB, 80, "192.0.2.10:80", version=4),
    "K2": Dials(ranges.WEB, 80, "example.com:80", version=4),
    "K3": Refuses("deny.policy", version=4),
    "K4": Refuses("request.name", version=4),
    "K5": Listens(ranges.PEER, 4),
    "K6": Answers(VECTORS["V3"].octets),
    "K7": Refuses("command.unknown", version=4),
    "H1": Fails(400, "http.host"),
    "H2": Fails(505, "http.version"),
    "H3": Fails(400, "http.target"),
    "H4": Tunnels(),
    "H5": Forwards(),
    "H6": Fails(400, "http.framing"),
    "Y1": Dials(ranges.WEB, 80, "192.0.2.10:80", b"GET /\r\n"),
    "Y2": Dials(ranges.WEB, 80, "192.0.2.10:80", b"GET /\r\n"),
    "Y3": Dials(ranges.WEB, 80, "192.0.2.10:80", b"GET /\r\n"),
    "Y4": Dials(ranges.WEB, 80, "192.0.2.10:80", b"GET /\r\n"),
    "Y5": Ends("pp.version"),
}  # fmt: skip

# Whom a record names where it is not the test's own connection.
CLIENTS = {label: "203.0.113.9:5000" for label in ("Y1", "Y3", "Y4")}

# Vectors that their codecs' tests judge, and no conversation here.
ELSEWHERE = {
    "M": "what a client reads", "P": "what a client reads", "V": "what a client reads", "B": "what a client reads",
    "R": "what an upstream answers", "L": "lines for people, not requests",
    "A": "needs a password listener", "C2": "needs a password listener", "C3": "needs a password listener",
    "T": "what a tunnel carries", "W": "needs Kerberos", "U": "datagrams, below",
    "D": "what the name server of stile run is asked",
}  # fmt: skip


def test_every_vector_is_played_or_says_why_not() -> None:
    other = {label for label in VECTORS if label in ELSEWHERE or label[0] in ELSEWHERE}
    assert set(VECTORS) - other == set(OUTCOMES)


def test_the_outcomes_are_those_of_the_files() -> None:
    """What the files say to people, where it is a code or a reason, is what is asserted here."""
    for label, outcome in OUTCOMES.items():
        expected = VECTORS[label].expected
        assert set(re.findall(r"\b(?:request|name|deny|method)\.\w+", expected)) <= {outcome.record().get("reason")}
        if label[0] == "Q" and (code := re.match(r"0[1-8]\b", expected)):
            assert outcome == Refuses(outcome.reason, int(code[0]))


# --- Playing ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(namespaces: None) -> Iterator[Ranges]:
    with closing(Ranges()) as built:
        yield built


@pytest.fixture(scope="module")
def proxy(world: Ranges, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them: what a conversation leaves behind, the next one meets."""
    folder: Path = tmp_path_factory.mktemp("vectors") / "server"
    server = Server(folder, config=ranges.CONFIG, host=ranges.PROXY[0], port=ranges.PROXY[1], namespace=world.proxy)
    yield server
    server.finish()


def ways_to_cut(octets: bytes) -> list[list[bytes]]:
    """Whole, at each position (a few of a long one's), octet by octet."""
    size = len(octets)
    cuts = range(1, size) if size < CUT_EVERYWHERE_BELOW else (1, 2, 3, 4, 5, size // 2, size - 2, size - 1)
    single = [octets[index : index + 1] for index in range(size)]
    return [[octets], *([octets[:cut], octets[cut:]] for cut in cuts), single]


def send_in_step(conversations: list[tuple[socket.socket, list[bytes]]], may_end: bool) -> None:
    """The first piece of each, a pause, the second of each, and so on."""
    for number in range(max(len(pieces) for _, pieces in conversations)):
        for client, pieces in conversations:
            try:
                client.sendall(b"".join(pieces[number : number + 1]))
            except OSError:
                assert may_end, "the server ended a conversation that it should hear to its end"
        time.sleep(PAUSE)


def records_of(proxy: Server, mark: int, count: int) -> list[Record]:
    """What so many conversations left behind."""
    found: list[Record] = []

    def complete() -> bool:
        found[:] = [record for record in proxy.records()[mark:] if record["event"] not in ("session.start", "drop")]
        return len(found) >= count

    wait_until("every conversation has its record", complete)
    return found


@dataclass(frozen=True)
class Play:
    """One way to say a vector: what is sent beforehand, in which pieces it goes, what comes before its outcome."""

    pieces: list[bytes]
    greets: bool = False
    method_due: bool = False

    def begin(self, world: Ranges, address: tuple[str, int]) -> socket.socket:
        client = world.dial(address)
        if self.greets:
            client.sendall(raw_socks.GREETING)
            assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        return client


def plays_of(label: str) -> list[Play]:
    octets = VECTORS[label].octets
    if label[0] == "Q":
        behind = Play([raw_socks.GREETING + octets], method_due=True)
        return [Play(pieces, greets=True) for pieces in ways_to_cut(octets)] + [behind]
    if label[0] == "Y" and isinstance(OUTCOMES[label], Dials):  # a whole conversation behind the header
        return [Play(pieces, method_due=True) for pieces in ways_to_cut(octets + VECTORS["C1"].octets)]
    return [Play(pieces, method_due=label == "C1") for pieces in ways_to_cut(octets)]


def play(world: Ranges, label: str, plays: list[Play]) -> None:
    """These at the same time, then each is judged."""
    outcome = OUTCOMES[label]
    address = ranges.BALANCED if label[0] == "Y" else ranges.PROXY
    conversations = [(each.begin(world, address), each) for each in plays]
    send_in_step([(client, each.pieces) for client, each in conversations], may_end=isinstance(outcome, Ends | Fails))
    for client, each in conversations:
        if each.method_due:
            assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        outcome.judge(world, client)


@pytest.mark.parametrize("label", OUTCOMES)
def test_vector(world: Ranges, proxy: Server, label: str) -> None:
    outcome, plays = OUTCOMES[label], plays_of(label)
    mark, dialled, asked = len(proxy.records()), world.connections_made(), len(world.names.asked)
    try:
        # HTTP does not say from where it connects to the target: one at a time tells whose connection is whose.
        for together in [[each] for each in plays] if label[0] == "H" else [plays]:
            play(world, label, together)
    finally:
        raw_socks.close_all()
    for record in records_of(proxy, mark, len(plays)):
        assert outcome.record().items() <= record.items(), record
        assert str(record["client"]).startswith(CLIENTS.get(label, f"{ranges.CLIENT}:")), record
    if isinstance(outcome, Refuses | Answers | Ends | Fails):
        assert world.connections_made() == dialled
    if isinstance(outcome, Refuses | Ends | Fails):
        assert len(world.names.asked) == asked


# --- Datagrams ----------------------------------------------------------------------------------------------------

# What is sent, and what then leaves for which address; nothing where it is dropped.
DATAGRAMS: list[tuple[list[str], bytes | None, str]] = [
    (["U1"], b"\xde\xad", ranges.NAMES),
    (["U2"], b"\xde\xad", ranges.WEB),
    (["U3"], b"", ranges.NAMES),
    (["U4", "U5"], b"ABCD", ranges.NAMES),
    (["U6"], b"AB", ranges.NAMES),
    (["U4", "U7", "U5"], None, ranges.NAMES),
    (["U4", "U8", "U5"], None, ranges.NAMES),
    (["U9"], None, ranges.NAMES),
    (["U10"], None, ranges.NAMES),
    (["U11"], None, ranges.NAMES),
]


def test_every_datagram_is_sent() -> None:
    sent = {label for labels, _, _ in DATAGRAMS for label in labels}
    assert sent | {"U12"} == {label for label in VECTORS if label[0] == "U"}  # U12 is the answer to each U1 below


def test_datagrams(world: Ranges, proxy: Server) -> None:
    """All through one association, which none of them ends: behind each, U1 goes through and is answered by U12."""
    control = Play([], greets=True).begin(world, ranges.PROXY)
    control.sendall(VECTORS["Q21"].octets)
    reply = raw_socks.receive_reply(control)
    with world.datagram_socket(ranges.CLIENT) as client:
        client.connect((reply.host, reply.port))
        for labels, payload, host in DATAGRAMS:
            for label in labels:
                client.send(VECTORS[label].octets)
            if payload is not None:
                assert world.datagrams[host].recv(65536) == payload, labels
            client.send(VECTORS["U1"].octets)
            marker, outgoing = world.datagrams[ranges.NAMES].recvfrom(65536)
            assert marker == b"\xde\xad", labels
            world.datagrams[ranges.NAMES].sendto(b"\xbe\xef", outgoing)
            assert client.recv(65536) == VECTORS["U12"].octets, labels
    control.close()
