"""UDP servers at the far end of an association."""

import socket
import struct
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


UDP_SEGMENT = 103  # udp(7); not in this Python's socket module
UDP_GRO = 104


def send_train(sender: socket.socket, datagrams: list[bytes], to: tuple[str, int] | None = None) -> None:
    """Sends datagrams of equal length, the last perhaps shorter, by one call, as senders of QUIC do."""
    segment = len(datagrams[0])
    assert all(len(one) == segment for one in datagrams[:-1]) and 0 < len(datagrams[-1]) <= segment
    control = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", segment))]
    sender.sendmsg([b"".join(datagrams)], control, 0, *([to] if to else []))


def receive_train(receiver: socket.socket) -> tuple[list[bytes], tuple[str, int]]:
    """What one call gives: a datagram, or several of a sender where the socket has UDP_GRO on."""
    octets, control, _, peer = receiver.recvmsg(65536, socket.CMSG_SPACE(4))
    segment = len(octets)
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_UDP, UDP_GRO):
            segment = struct.unpack("=i", value[:4])[0]
    return [octets[at : at + segment] for at in range(0, len(octets), segment)] or [b""], peer[:2]
