"""UDP servers at the far end of an association."""

import socket
import threading


class DatagramEcho:
    """Answers each datagram with its own octets, and remembers who sent them."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.host, self.port = self.socket.getsockname()[:2]
        self.peers: list[tuple[str, int]] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.closed = False
        self.thread.start()

    def serve(self) -> None:
        while True:
            octets, peer = self.socket.recvfrom(65536)
            if self.closed:
                return
            self.peers.append(peer[:2])
            self.socket.sendto(octets, peer)

    def close(self) -> None:
        # A datagram wakes the thread, which closing alone would leave asleep.
        self.closed = True
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.host, self.port))
        self.thread.join()
        self.socket.close()
