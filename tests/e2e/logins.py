"""Users with passwords, and the octets of a login (RFC 1929), for tests of who may use the proxy."""

import socket
from pathlib import Path

import raw_socks
from processes import stile

PASSWORD_GREETING = b"\x05\x01\x02"
GRANTED, REFUSED = b"\x01\x00", b"\x01\x01"


def add_user(file: Path, name: str, password: str, *groups: str) -> None:
    words = [word for group in groups for word in ("--group", group)]
    result = stile("user", "add", name, "--file", file, *words, input=password + "\n")
    assert result.returncode == 0, result.stderr


def credentials(user: str | bytes, password: str | bytes) -> bytes:
    fields = [text.encode() if isinstance(text, str) else text for text in (user, password)]
    return b"\x01" + b"".join(bytes([len(field)]) + field for field in fields)


def log_in(proxy: tuple[str, int], user: str | bytes, password: str | bytes, timeout: float = 30) -> tuple[socket.socket, bytes]:
    """A connection that offers a password alone, with the answer to it: nothing where the proxy closed."""
    connection = raw_socks.dial(proxy, timeout)
    connection.sendall(PASSWORD_GREETING)
    assert raw_socks.receive(connection, 2) == b"\x05\x02"
    connection.sendall(credentials(user, password))
    return connection, raw_socks.receive(connection, 2)
