"""A relay that stands for a long road: each octet that enters it leaves it after the road's one-way time, in either direction.

Connecting through it costs nothing, which a real road would ask one more round trip for: the kernel connects, not the relay.
"""

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Callable

PIECE = 65536


class Passage:
    """One connection through a road. `turns` has a letter for each time that the speaker changed: ^ towards the far end."""

    def __init__(self, near: socket.socket) -> None:
        self.near, self.turns = near, ""
        self.far: socket.socket | None = None

    def said(self, direction: str) -> None:
        if not self.turns.endswith(direction):
            self.turns += direction

    @property
    def round_trips(self) -> int:
        """How often the near end spoke and was answered."""
        return self.turns.count("^v")


class Delay:
    """A road of `one_way` seconds to `far`; it begins at `place`."""

    def __init__(self, far: tuple[str, int], one_way: float) -> None:
        self.far, self.one_way = far, one_way
        self.passages: list[Passage] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.place: tuple[str, int] = self.listener.getsockname()
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.waker, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.turn, daemon=True)
        self.thread.start()

    def turn(self) -> None:
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            for key, _ in self.selector.select(wait):
                if key.data is None:
                    return
                key.data()
            while self.due and self.due[0][0] <= time.monotonic():
                heapq.heappop(self.due)[2]()

    def accept(self) -> None:
        near, _ = self.listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        passage = Passage(near)
        self.passages.append(passage)
        try:
            passage.far = socket.create_connection(self.far, 20)
        except OSError:
            return near.close()
        passage.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.carry(passage, near, passage.far, "^")
        self.carry(passage, passage.far, near, "v")

    def carry(self, passage: Passage, source: socket.socket, sink: socket.socket, direction: str) -> None:
        def deliver(octets: bytes) -> None:
            try:
                sink.sendall(octets) if octets else sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it is gone; its own end comes the other way

        def read() -> None:
            try:
                octets = source.recv(PIECE)
            except OSError:
                octets = b""
            if octets:
                passage.said(direction)
            else:
                self.selector.unregister(source)
            heapq.heappush(self.due, (time.monotonic() + self.one_way, next(self.numbers), lambda: deliver(octets)))

        self.selector.register(source, selectors.EVENT_READ, read)

    def close(self) -> None:
        self.waker.close()
        self.thread.join()
        self.selector.close()
        for one in (self.listener, self.woken):
            one.close()
        for passage in self.passages:
            passage.near.close()
            if passage.far:
                passage.far.close()
