"""SOCKS5 octet by octet (RFC 1928), for tests that decide what is sent in which segment.

It hides nothing and checks little: a reply comes back as the octets that arrived. Not named socks, so that PySocks,
one of the clients under test, can be imported beside it.
"""

import ipaddress
import socket
import struct
from typing import NamedTuple

GREETING = b"\x05\x01\x00"
METHOD_NONE = b"\x05\x00"
CONNECT = 1
FAILURE_TAIL = bytes.fromhex("00 01 00000000 0000")  # what stands behind REP in every failure


opened: list[socket.socket] = []  # every connection that dial made in this test


class Reply(NamedTuple):
    octets: bytes
    code: int
    host: str
    port: int


def address(host: str, port: int) -> bytes:
    """ATYP, address and port; what is no address goes as a name."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return name(host.encode(), port)
    kind = b"\x01" if parsed.version == 4 else b"\x04"
    return kind + parsed.packed + struct.pack("!H", port)


def name(octets: bytes, port: int) -> bytes:
    return b"\x03" + bytes([len(octets)]) + octets + struct.pack("!H", port)


def request(host: str, port: int, command: int = CONNECT) -> bytes:
    return bytes([5, command, 0]) + address(host, port)


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly so many octets; fewer only where the peer ended."""
    octets = b""
    while len(octets) < size and (piece := connection.recv(size - len(octets))):
        octets += piece
    return octets


def receive_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    octets = b""
    while piece := connection.recv(65536):
        octets += piece
    return octets


def receive_reply(connection: socket.socket) -> Reply:
    head = receive(connection, 4)
    assert len(head) == 4, f"the connection ended inside a reply: {head.hex(' ')!r}"
    sizes = {1: 4, 4: 16}
    assert head[3] in sizes, f"address type of the reply: {head.hex(' ')}"
    tail = receive(connection, sizes[head[3]] + 2)
    host = str(ipaddress.ip_address(tail[:-2]))
    return Reply(head + tail, head[1], host, struct.unpack("!H", tail[-2:])[0])


def dial(proxy: tuple[str, int], timeout: float = 30, source: str | None = None) -> socket.socket:
    """A connection to the proxy, nothing sent yet. Small writes leave at once."""
    connection = socket.create_connection(proxy, timeout, source_address=(source, 0) if source else None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.append(connection)
    return connection


def close_all() -> None:
    """Closes what a test has left open, so that its server can end."""
    while opened:
        opened.pop().close()


def ask(proxy: tuple[str, int], octets: bytes, timeout: float = 30) -> tuple[socket.socket, Reply]:
    """Greets, sends a request, and returns the connection with the reply to it."""
    connection = dial(proxy, timeout)
    connection.sendall(GREETING)
    assert receive(connection, 2) == METHOD_NONE
    connection.sendall(octets)
    return connection, receive_reply(connection)


def tunnel(proxy: tuple[str, int], host: str, port: int, timeout: float = 30) -> socket.socket:
    """A connection to host:port through the proxy."""
    connection, reply = ask(proxy, request(host, port), timeout)
    assert reply.code == 0, f"CONNECT {host}:{port}: {reply.octets.hex(' ')}"
    return connection
