"""Every frame that a host's network devices carry, for tests that look at the wire itself."""

import ipaddress
import select
import socket
import threading

from networks import Namespace

ETH_P_ALL = 3


class WireTap:
    """Copies all frames in and out of a namespace from when it is made until `frames` is asked for."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.octets: list[bytes] = []
        self.closed = False
        self.thread = threading.Thread(target=self.copy, daemon=True)
        self.thread.start()

    def copy(self) -> None:
        while not self.closed:
            if select.select([self.socket], [], [], 0.05)[0]:
                self.octets.append(self.socket.recv(65536))

    def frames(self) -> list[bytes]:
        if not self.closed:
            self.closed = True
            self.thread.join()
            self.socket.close()
        return self.octets


def shows(frames: list[bytes], address: str) -> list[bytes]:
    """The frames in which the address stands, in binary or in any usual text."""
    parsed = ipaddress.ip_address(address)
    forms = {parsed.packed, str(parsed).encode(), parsed.exploded.encode(), parsed.packed.hex().encode()}
    forms |= {parsed.reverse_pointer.encode(), "-".join(str(octet) for octet in parsed.packed).encode()}
    return [frame for frame in frames if any(form in frame.lower() or form in frame for form in forms)]
