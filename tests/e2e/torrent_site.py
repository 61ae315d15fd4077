"""What a BitTorrent client meets for one file: a tracker over HTTP (BEP 3), the one peer that it names (BEP 23), and an HTTP
server that has the file (BEP 19). The peer says that it has everything and gives nothing: clients ask their peers for data
every ten seconds only, and the server, which waits for the peer to be called, gives at once."""

import hashlib
import http.server
import os
import socket
import struct
import threading

FILE_OCTETS, PIECE_OCTETS = 300_000, 1 << 16
TRACKER_PORT, PEER_PORT = 6969, 6881


def bencoded(value: object) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        return bencoded(value.encode())
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    assert isinstance(value, dict)
    return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"


class TorrentSite(http.server.ThreadingHTTPServer):
    """Tracker and HTTP server at `host`, which clients know by `name`. `torrent` describes the file, `content` is it."""

    daemon_threads = True

    def __init__(self, host: str, name: str) -> None:
        super().__init__((host, TRACKER_PORT), Handler)
        self.content = os.urandom(FILE_OCTETS)
        pieces = [self.content[at : at + PIECE_OCTETS] for at in range(0, FILE_OCTETS, PIECE_OCTETS)]
        digests = b"".join(hashlib.sha1(piece).digest() for piece in pieces)
        info = {"name": "shared", "length": FILE_OCTETS, "piece length": PIECE_OCTETS, "pieces": digests}
        self.digest, self.has_all = hashlib.sha1(bencoded(info)).digest(), 0x100 - (0x100 >> len(pieces))
        url = f"http://{name}:{TRACKER_PORT}"
        self.torrent = bencoded({"announce": f"{url}/announce", "info": info, "url-list": f"{url}/shared"})
        peers = socket.inet_aton(host) + struct.pack("!H", PEER_PORT)
        self.peers = bencoded({"interval": 1800, "complete": 1, "incomplete": 0, "peers": peers})
        self.called = threading.Event()  # somebody has talked to the peer
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def peer(self, connection: socket.socket) -> None:
        """The peer's side of one connection."""
        stream = connection.makefile("rb")
        assert stream.read(68)[28:48] == self.digest
        connection.sendall(b"\x13BitTorrent protocol" + bytes(8) + self.digest + b"-ST0001-" + os.urandom(12))
        connection.sendall(struct.pack("!IBB", 2, 5, self.has_all))
        self.called.set()
        while stream.read(1):
            pass

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    server: TorrentSite

    def do_GET(self) -> None:
        if self.path.startswith("/announce"):
            return self.answer(200, self.server.peers)
        self.server.called.wait(20)
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        self.answer(206, self.server.content[int(first) : int(last) + 1])

    def answer(self, status: int, octets: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, format: str, *arguments: object) -> None:
        pass
