"""HTTP origins that say exactly what a test wants, and remember exactly what they were told."""

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import raw_socks
from origins import Origin
from processes import run

CRLF = b"\r\n"


@dataclass
class Request:
    line: str
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


class Reader:
    """Reads requests from a connection: a plain reader, which a proxy must not need to trust."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.held = connection, b""

    def fill(self) -> None:
        piece = self.connection.recv(65536)
        if not piece:
            raise EOFError
        self.held += piece

    def until(self, mark: bytes) -> bytes:
        while mark not in self.held:
            self.fill()
        found, _, self.held = self.held.partition(mark)
        return found

    def take(self, size: int) -> bytes:
        pieces, got = [self.held[:size]], min(size, len(self.held))
        self.held = self.held[size:]
        while got < size:
            piece = self.connection.recv(min(65536, size - got))
            if not piece:
                raise EOFError
            pieces.append(piece)
            got += len(piece)
        return b"".join(pieces)

    def request(self) -> Request:
        head = self.until(CRLF + CRLF).decode("latin-1").split("\r\n")
        request = Request(head[0], [tuple(line.split(": ", 1)) for line in head[1:]], b"")  # type: ignore[misc]
        if request.field("Expect"):
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length := request.field("Content-Length"):
            request.body = self.take(int(length))
        elif request.field("Transfer-Encoding"):
            while size := int(self.until(CRLF).split(b";")[0], 16):
                request.body += self.take(size)
                self.take(2)
            while self.until(CRLF):
                pass
        return request


def octets(size: int) -> bytes:
    """The same body for the same size, without a period that would hide a lost block."""
    return hashlib.shake_256(str(size).encode()).digest(size)


def chunked(body: bytes, size: int = 30_000) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def respond(connection: socket.socket, request: Request) -> bool:
    """Answers by path; false when the connection ends with it.

    /sum: the digest of what came; /length/N, /chunked/N, /close/N: N octets in that framing.
    """
    kind, _, size = request.path.lstrip("/").partition("/")
    body = octets(int(size)) if size else hashlib.sha256(request.body).hexdigest().encode()
    head = b"HTTP/1.1 200 OK\r\nX-Peer: %d\r\n" % connection.getpeername()[1]
    if kind == "close":
        connection.sendall(head + CRLF + body)
        return False
    if kind == "chunked":
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(chunked(body))
        return True
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
    if not request.line.startswith("HEAD "):
        connection.sendall(body)
    return True


class HttpOrigin(Origin):
    """Answers every request with `answer`; `requests` holds them in the order in which they were complete."""

    def __init__(self, answer: Callable[[socket.socket, Request], bool] = respond, **where) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        super().__init__(self.serve_connection, **where)
        self.url = f"http://{self.host}:{self.port}"

    def serve_connection(self, connection: socket.socket) -> None:
        reader = Reader(connection)
        try:
            while True:
                request = reader.request()
                self.requests.append(request)
                if not self.answer(connection, request):
                    return
        except EOFError:
            pass


def ask(proxy: tuple[str, int], text: str | bytes) -> socket.socket:
    connection = raw_socks.dial(proxy)
    connection.sendall(text.encode("latin-1") if isinstance(text, str) else text)
    return connection


@dataclass
class Response:
    status: int
    head: str
    body: bytes


def receive_response(reader: Reader, head_only: bool = False) -> Response:
    head = reader.until(CRLF + CRLF).decode("latin-1")
    fields = {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in head.split("\r\n")[1:]}
    body = b""
    status = int(head.split(" ")[1])
    if "content-length" in fields and not head_only:
        body = reader.take(int(fields["content-length"]))
    elif "transfer-encoding" in fields:
        while size := int(reader.until(CRLF), 16):
            body += reader.take(size)
            reader.take(2)
        reader.until(CRLF)
    elif status >= 200 and "content-length" not in fields:
        try:
            while True:
                reader.fill()
        except EOFError:
            body, reader.held = reader.held, b""
    return Response(status, head, body)


class Nginx:
    """nginx with a folder, over plain HTTP and over TLS with a certificate of its own."""

    def __init__(self, folder: Path, port: int, tls_port: int) -> None:
        (folder / "www").mkdir(parents=True)
        folder.chmod(0o755)
        self.folder, self.port, self.tls_port = folder, port, tls_port
        made = run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
        )  # fmt: skip
        assert made.returncode == 0
        (folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {folder}/pid; error_log stderr;
            events {{ }}
            http {{
              access_log {folder}/access.log; client_body_temp_path {folder}/body; client_max_body_size 0;
              proxy_temp_path {folder}/a; fastcgi_temp_path {folder}/b; uwsgi_temp_path {folder}/c; scgi_temp_path {folder}/d;
              server {{
                listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
                ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
                root {folder}/www;
              }}
            }}
        """)

    def command(self) -> list[str]:
        return ["/usr/sbin/nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def requests(self) -> list[str]:
        return (self.folder / "access.log").read_text().splitlines()


