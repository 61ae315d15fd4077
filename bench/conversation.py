"""Exact numbers of connections and round trips through a proxy, one after the other: for what is counted, not timed."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from peers import HOST

MESSAGE = bytes(64)


def receive(connection: socket.socket, octets: int) -> bytes:
    received = b""
    while len(received) < octets:
        piece = connection.recv(octets - len(received))
        if not piece:
            raise ConnectionError("the connection ended early")
        received += piece
    return received


@contextmanager
def echo_server(port: int) -> Iterator[None]:
    """Echoes one connection at a time at 127.0.0.1:port."""
    listener = socket.create_server((HOST, port))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(ConnectionError):
                    while octets := connection.recv(65536):
                        connection.sendall(octets)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def open_tunnel(proxy: int, origin: int, socks: bool) -> socket.socket:
    connection = socket.create_connection((HOST, proxy), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if socks:
        connection.sendall(b"\x05\x01\x00")
        receive(connection, 2)
        connection.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(HOST) + origin.to_bytes(2, "big"))
        if receive(connection, 10)[1] != 0:
            raise ConnectionError("the proxy refuses the target")
    return connection


def converse(proxy: int, origin: int, socks: bool, connections: int, round_trips: int) -> None:
    """Each connection ends with FIN and is over before the next one begins."""
    for _ in range(connections):
        with open_tunnel(proxy, origin, socks) as connection:
            for _ in range(round_trips):
                connection.sendall(MESSAGE)
                receive(connection, len(MESSAGE))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def swallowed(proxy: int, origin: int, socks: bool, octets_max: int) -> tuple[int, bool]:
    """How much a far end can send to a client that does not read, and whether all of it came once the client read."""
    sent = 0
    last = time.monotonic()
    stop = threading.Event()
    piece = bytes(range(256)) * 512

    def pour(listener: socket.socket) -> None:
        """A relay may still open and drop the connection that found out whether it listens: the next one counts."""
        nonlocal sent, last
        while not stop.is_set():
            connection, _ = listener.accept()
            sent = 0
            with connection, suppress(ConnectionError):
                connection.settimeout(0.05)
                while not stop.is_set() and sent < octets_max:
                    with suppress(TimeoutError):
                        sent += connection.send(piece[sent % 256 :])
                        last = time.monotonic()

    with socket.create_server((HOST, origin)) as listener:
        thread = threading.Thread(target=pour, args=(listener,), daemon=True)
        thread.start()
        with open_tunnel(proxy, origin, socks) as connection:
            while time.monotonic() - last < 0.7 and sent < octets_max:
                time.sleep(0.05)
            held = sent
            stop.set()
            whole = True
            received = 0
            while octets := connection.recv(65536):
                start = received % 256
                whole = whole and octets == piece[start : start + len(octets)]
                received += len(octets)
        thread.join(5)
    return held, whole and received == sent
