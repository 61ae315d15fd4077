"""A DNS server whose every answer is chosen by the test: addresses, an error code, or silence; by datagrams, by TCP, or by
both with datagrams that are cut."""

import ipaddress
import socket
import struct
import threading

NAME_ERROR, SERVER_FAILURE, REFUSED = 3, 2, 5
SILENCE = -1
A, PTR, AAAA = 1, 12, 28

Answer = int | list[str]  # an error code, SILENCE, or addresses of both families and names (PTR)


class NameServer:
    """Answers for the names that it is given, and NXDOMAIN for all others. `asked` lists every question."""

    cut = False  # every answer is said not to fit (TC), and holds nothing

    def __init__(self, host: str, names: dict[str, Answer], port: int = 53) -> None:
        self.names = names
        self.asked: list[tuple[str, int]] = []
        self.socket = self.opened(host, port)
        self.socket.settimeout(0.1)
        self.closed = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def opened(self, host: str, port: int) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((host, port))
        return opened

    def serve(self) -> None:
        while not self.closed:
            try:
                query, client = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if answer := self.answer(query):
                self.socket.sendto(answer, client)

    def answer(self, query: bytes) -> bytes:
        labels, offset = [], 12
        while length := query[offset]:
            labels.append(query[offset + 1 : offset + 1 + length].decode("latin-1"))
            offset += 1 + length
        kind = struct.unpack("!H", query[offset + 1 : offset + 3])[0]
        question = query[12 : offset + 5]
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        found = self.names.get(name, NAME_ERROR)
        if found == SILENCE:
            return b""
        records = [] if isinstance(found, int) else [record(address) for address in found if family(address) == kind]
        code = found if isinstance(found, int) else 0
        if self.cut:
            return struct.pack("!2sHHHHH", query[:2], 0x8780, 1, 0, 0, 0) + question
        header = struct.pack("!2sHHHHH", query[:2], 0x8580 | code, 1, len(records), 0, 0)
        return header + question + b"".join(records)

    def close(self) -> None:
        self.closed = True
        self.thread.join()
        self.socket.close()


class StreamNameServer(NameServer):
    """The same by TCP alone: each message behind its length (RFC 1035, section 4.2.2)."""

    def opened(self, host: str, port: int) -> socket.socket:
        return socket.create_server((host, port))

    def serve(self) -> None:
        while not self.closed:
            try:
                connection, _ = self.socket.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(None)
            while len(length := stream.read(2)) == 2:
                if answer := self.answer(stream.read(struct.unpack("!H", length)[0])):
                    connection.sendall(struct.pack("!H", len(answer)) + answer)


def family(answer: str) -> int:
    if answer.replace(".", "").isdigit():
        return A
    return AAAA if ":" in answer else PTR


def record(answer: str) -> bytes:
    kind = family(answer)
    if kind == PTR:
        data = b"".join(bytes([len(label)]) + label.encode() for label in answer.split(".")) + b"\0"
    else:
        data = ipaddress.ip_address(answer).packed
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 30, len(data)) + data
