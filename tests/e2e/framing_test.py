"""Whatever way a conversation is cut into segments, it is the same conversation (protocol reference, 0 and 11 row 1).

Among the cases are those that microsocks fails: it takes one read for one message.
"""

import socket
import time

import pytest
import raw_socks
from origins import Origin

EARLY = b"GET / HTTP/1.0\r\n\r\n"
PAUSE = 0.02  # lets the server read a segment before the next one; a longer one could not make a wrong server right


def pieces_of(octets: bytes, *cuts: int) -> list[bytes]:
    edges = [0, *cuts, len(octets)]
    return [octets[left:right] for left, right in zip(edges, edges[1:])]


def converse(proxy: tuple[str, int], far: Origin, pieces: list[bytes], early: bytes, finish: bool = False) -> None:
    """Sends the pieces, one segment each, before reading anything; then both ends must hold what is theirs."""
    client = raw_socks.dial(proxy)
    for number, piece in enumerate(pieces):
        if number:
            time.sleep(PAUSE)
        client.sendall(piece)
    if finish:
        client.shutdown(socket.SHUT_WR)
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    reply = raw_socks.receive_reply(client)
    assert reply.code == 0, reply.octets.hex(" ")
    target = far.accept()
    assert (reply.host, reply.port) == far.peers[-1]
    assert raw_socks.receive(target, len(early)) == early
    if finish:
        assert target.recv(1) == b""
    target.sendall(b"answer")
    target.shutdown(socket.SHUT_WR)
    assert raw_socks.receive_all(client) == b"answer"
    if not finish:
        client.sendall(b"more")
        client.shutdown(socket.SHUT_WR)
        assert raw_socks.receive_all(target) == b"more"
    client.close()
    target.close()


def conversation(port: int, early: bytes = b"", greeting: bytes = raw_socks.GREETING) -> bytes:
    return greeting + raw_socks.request("127.0.0.1", port) + early


def cases(port: int) -> dict[str, tuple[list[bytes], bytes, bool]]:
    """Name -> segments, what of them the target must get, and whether FIN follows at once."""
    bare, full = conversation(port), conversation(port, EARLY)
    named = raw_socks.GREETING + b"\x05\x01\x00" + raw_socks.name(b"127.0.0.1", port)
    long_greeting = b"\x05\xff" + b"\x80" * 254 + b"\x00"  # vector G5
    return {
        "greeting and request in one segment": ([bare], b"", False),
        "one octet a segment": ([bytes([octet]) for octet in full], EARLY, False),
        "early data behind the request": (pieces_of(full, 3), EARLY, False),
        "everything in one segment": ([full], EARLY, False),
        "everything in one segment, then FIN": ([full], EARLY, True),
        "greeting cut inside its methods": (pieces_of(conversation(port, b"", b"\x05\x02\x00\x02"), 3, 4), b"", False),
        "request cut inside its address": (pieces_of(bare, 3, 9), b"", False),
        "request cut inside its name": (pieces_of(named, 3, 12), b"", False),
        "the longest greeting with the request behind it": ([conversation(port, EARLY, long_greeting)], EARLY, False),
        "early data before the first answer is read": (pieces_of(full, 3, 13), EARLY, False),
        "request and FIN": (pieces_of(bare, 3), b"", True),
        "half the early data with the request": (pieces_of(full, 3, 18), EARLY, False),
        "early data and FIN after the request": (pieces_of(full, 3, 13), EARLY, True),
    }


@pytest.mark.parametrize("case", cases(1))
def test_any_cut_is_the_same_conversation(serve, origin, case: str) -> None:
    far = origin()
    pieces, early, finish = cases(far.port)[case]
    converse(serve().proxy, far, pieces, early, finish)


def test_every_cut_in_two(serve, origin) -> None:
    server, far = serve(), origin()
    full = conversation(far.port, EARLY)
    for cut in range(1, len(full)):
        converse(server.proxy, far, pieces_of(full, cut), EARLY)


def test_more_early_data_than_is_held_before_the_relay(serve, origin) -> None:
    """64 KiB are held, then the client is made to wait; nothing is lost (protocol reference, 0: framing)."""
    server, far = serve(), origin()
    early = bytes(range(256)) * 4096  # 1 MiB
    converse(server.proxy, far, [conversation(far.port, early)], early)


def test_no_octet_reaches_the_target_before_the_verdict(serve, origin) -> None:
    """Early data behind a request that is refused goes nowhere, and the reply still arrives (TP4)."""
    server, far = serve(), origin()
    client = raw_socks.dial(server.proxy)
    client.sendall(raw_socks.GREETING + raw_socks.request(far.host, far.port, command=9) + b"x" * 200_000)
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_all(client) == b"\x05\x07" + raw_socks.FAILURE_TAIL
    assert far.peers == []


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"\x05\x00", b"\x05\xff"),  # G4
        (b"\x05\x02\x80\x82", b"\x05\xff"),  # G6
        (b"\x05\x01\x02", b"\x05\xff"),  # a method that this listener has not; 00 was not offered
        (b"\x05\x02\x80\x82" + raw_socks.request("127.0.0.1", 9), b"\x05\xff"),  # nothing behind it is read
        (raw_socks.GREETING + b"\x04\x01\x00\x50", raw_socks.METHOD_NONE),  # Q17
        (raw_socks.GREETING + b"\x01\x01a\x01b", raw_socks.METHOD_NONE),  # RFC 1929 although 00 was selected
        (b"\x06\x01\x00", b""),
        (b"ehlo mail.example\r\n", b""),  # in capitals it is a malformed HTTP request: http_test.py
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
        (b"\x80\x2e\x01\x00\x02", b""),
    ],
    ids=lambda octets: octets[:8].hex() or "silent",
)
def test_what_is_no_conversation_gets_what_it_deserves(serve, octets: bytes, answer: bytes) -> None:
    """The octets of section 2.1 and 2.2, and not one more (TP5), before the connection ends."""
    client = raw_socks.dial(serve().proxy)
    client.sendall(octets)
    assert raw_socks.receive_all(client) == answer
