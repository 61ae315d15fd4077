"""Servers at the far end of a tunnel.

An origin made inside a namespace (networks.Namespace.inside) stays there: a socket belongs to where it was made.
"""

import queue
import socket
import threading
from collections.abc import Callable

Handler = Callable[[socket.socket], None]


class Origin:
    """A TCP listener. With a handler, each connection runs it in a thread; without, accept() hands connections out."""

    def __init__(self, handler: Handler | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=4096)
        self.host, self.port = self.listener.getsockname()[:2]
        self.peers: list[tuple[str, int]] = []
        self.handler = handler
        self.waiting: queue.Queue[socket.socket] = queue.Queue()
        self.held: list[socket.socket] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append((peer[0].removeprefix("::ffff:"), peer[1]))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.handler is None:
                self.held.append(connection)
                self.waiting.put(connection)
            else:
                threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection: socket.socket) -> None:
        assert self.handler
        with connection:
            try:
                self.handler(connection)
            except OSError:
                pass  # the peer went away: what that means is the test's business

    def accept(self, timeout: float = 20) -> socket.socket:
        """The next connection, in the order of their arrival."""
        connection = self.waiting.get(timeout=timeout)
        connection.settimeout(timeout)
        return connection

    def close(self) -> None:
        # shutdown wakes the accepting thread, which close alone would leave asleep.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.held:
            connection.close()


def echo(connection: socket.socket) -> None:
    while octets := connection.recv(65536):
        connection.sendall(octets)


def greet(connection: socket.socket) -> None:
    """Speaks first, as SSH, FTP and SMTP servers do."""
    connection.sendall(b"220 ready\r\n")
    echo(connection)
