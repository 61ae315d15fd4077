"""A proxy that plays the octets of PING and TRACEROUTE (protocol reference, 9.2) as a test writes them, hostile ones too."""

import socket
import threading
from collections.abc import Callable

import raw_socks

PING, TRACEROUTE = 0x80, 0x81
GRANTED = bytes.fromhex("05 00 00 01 C6336407 0000")
COMMAND_UNKNOWN = bytes.fromhex("05 07 00 01 00000000 0000")

PING_START = b"PING 192.0.2.10 (192.0.2.10) 56 data bytes\r\n"
TRACE_START = b"traceroute to 192.0.2.10 (192.0.2.10), 30 hops max, 60 byte packets\r\n"


def ping_statistics(sent: int, received: int, milliseconds: int) -> bytes:
    loss = 100 * (sent - received) / sent
    lines = f"--- 192.0.2.10 ping statistics ---\r\n{sent} sent, {received} received, {loss:.1f}% loss, time {milliseconds} ms\r\n"
    if received:
        lines += "rtt min/avg/max/mdev = 0.500/0.500/0.500/0.000 ms\r\n"
    return lines.encode()


def answer(sequence: int) -> bytes:
    return f"64 bytes from 192.0.2.10: icmp_seq={sequence} ttl=61 time=0.500 ms\r\n".encode()


class ScriptedProxy:
    """What `play` says behind a granted request; `reply` and `method` for another handshake than the usual one.

    Made as an origin's handler: origin(ScriptedProxy(...)). It remembers the greeting, the login, the request and what came
    behind it.
    """

    def __init__(
        self,
        play: Callable[[socket.socket], None] = lambda connection: None,
        reply: bytes = GRANTED,
        method: bytes = raw_socks.METHOD_NONE,
        login: tuple[int, bytes] | None = None,
    ) -> None:
        self.play, self.reply, self.method, self.login = play, reply, method, login
        self.greeting, self.credentials, self.request, self.behind = b"", b"", b"", b""
        self.over = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        try:
            self.serve(connection)
        finally:
            self.over.set()

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        head = raw_socks.receive(connection, 2)
        self.greeting = head + raw_socks.receive(connection, head[1])
        connection.sendall(self.method)
        if self.login:
            size, verdict = self.login
            self.credentials = raw_socks.receive(connection, size)
            connection.sendall(verdict)
        head = raw_socks.receive(connection, 5)
        if len(head) < 5:
            return
        self.request = head + raw_socks.receive(connection, {1: 5, 3: head[4] + 2, 4: 17}[head[3]])
        connection.sendall(self.reply)
        self.play(connection)

    def hear_the_end(self, connection: socket.socket) -> None:
        """Waits for the client's end octet, or its FIN."""
        self.behind += connection.recv(1)


def saying(octets: bytes) -> Callable[[socket.socket], None]:
    """All at once, then FIN, then whatever the client does."""

    def play(connection: socket.socket) -> None:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        raw_socks.receive_all(connection)

    return play
