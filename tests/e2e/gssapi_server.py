"""A SOCKS server with GSSAPI, written from RFC 1961 and python3-gssapi alone: a judge of our client that shares no line with it.

It asks nobody on: what comes through a tunnel goes back, and so does each datagram of an association.
"""

import socket
import struct
from pathlib import Path

import gssapi
import raw_socks
from gssapi_client import CONTEXT, DATA, LEVEL, frame

CONNECT, ASSOCIATE = 1, 3


class GssServer:
    """What one connection is served with. `grants`: this level, whatever is asked for."""

    def __init__(self, keytab: Path, grants: int | None = None) -> None:
        self.credentials = gssapi.Credentials(usage="accept", store={"keytab": f"FILE:{keytab}"})
        self.grants = grants
        self.asked: list[int] = []  # levels
        self.encrypted: set[bool] = set()  # of all that was wrapped behind that
        self.faults: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        if raw_socks.receive(connection, 3) != b"\x05\x01\x01":
            return self.faults.append("it offers more than GSSAPI")
        connection.sendall(b"\x05\x01")
        context = gssapi.SecurityContext(creds=self.credentials, usage="accept")
        while not context.complete:
            token = context.step(self.token(connection, CONTEXT))
            connection.sendall(frame(CONTEXT, token or b""))
        level = context.unwrap(self.token(connection, LEVEL))
        self.asked.append(level.message[0])
        granted = self.grants or level.message[0]
        connection.sendall(frame(LEVEL, context.wrap(bytes([granted]), False).message))
        request = self.plain(connection, context)
        while request and len(request) < 10:
            request += self.plain(connection, context)
        if not request:
            return
        if request[1] == ASSOCIATE:
            return self.associate(connection, context, granted)
        self.say(connection, context, granted, b"\x05\0\0\1\x7f\0\0\1\0\7")
        while octets := self.plain(connection, context):
            self.say(connection, context, granted, octets)

    def associate(self, connection: socket.socket, context: gssapi.SecurityContext, level: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
            relay.bind(("127.0.0.1", 0))
            relay.settimeout(0.05)
            port = struct.pack("!H", relay.getsockname()[1])
            self.say(connection, context, level, b"\x05\0\0\1\x7f\0\0\1" + port)
            connection.settimeout(0)
            while not self.is_over(connection):
                try:
                    datagram, sender = relay.recvfrom(65536)
                except TimeoutError:
                    continue
                version, kind, size = struct.unpack("!BBH", datagram[:4])
                if (version, kind, size) != (1, DATA, len(datagram) - 4):
                    self.faults.append(f"a datagram that is no frame: {datagram[:8].hex(' ')}")
                result = context.unwrap(datagram[4:])
                self.encrypted.add(result.encrypted)
                relay.sendto(frame(DATA, context.wrap(result.message, level == 2).message), sender)

    @staticmethod
    def is_over(connection: socket.socket) -> bool:
        try:
            return connection.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def token(self, connection: socket.socket, kind: int) -> bytes:
        version, said, size = struct.unpack("!BBH", raw_socks.receive(connection, 4))
        if (version, said) != (1, kind):
            self.faults.append(f"message {said} where {kind} was due")
        return raw_socks.receive(connection, size)

    def plain(self, connection: socket.socket, context: gssapi.SecurityContext) -> bytes:
        """Of the next frame; nothing at the end."""
        head = raw_socks.receive(connection, 4)
        if len(head) < 4:
            return b""
        if head[:2] != bytes([1, DATA]):
            self.faults.append(f"no data: {head.hex(' ')}")
        result = context.unwrap(raw_socks.receive(connection, struct.unpack("!H", head[2:])[0]))
        self.encrypted.add(result.encrypted)
        return result.message

    @staticmethod
    def say(connection: socket.socket, context: gssapi.SecurityContext, level: int, octets: bytes) -> None:
        connection.sendall(frame(DATA, context.wrap(octets, level == 2).message))
