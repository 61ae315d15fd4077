"""A tracker for peer-to-peer clients over UDP (BEP 15): it names one peer to everybody who announces."""

import socket
import struct
import threading

MAGIC = 0x41727101980
CONNECT, ANNOUNCE = 0, 1


class Tracker:
    def __init__(self, peer: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.peer = socket.inet_aton(peer[0]) + struct.pack("!H", peer[1])
        self.announced: list[tuple[str, int]] = []  # where each announcement came from
        self.closed = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while not self.closed:
            try:
                octets, client = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            self.socket.sendto(self.answer(octets, client), client)

    def answer(self, octets: bytes, client: tuple[str, int]) -> bytes:
        connection, action, transaction = struct.unpack("!QII", octets[:16])
        if action == CONNECT:
            assert connection == MAGIC
            return struct.pack("!IIQ", CONNECT, transaction, 42)
        assert action == ANNOUNCE and connection == 42
        self.announced.append(client)
        return struct.pack("!IIIII", ANNOUNCE, transaction, 1800, 0, 1) + self.peer

    def close(self) -> None:
        self.closed = True
        self.thread.join()
        self.socket.close()
