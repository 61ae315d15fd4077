"""HTTP origins: a page, and a git repository served by git's own back end."""

import http.server
import os
import socket
import subprocess
import threading
from pathlib import Path

PAGE = b"""<!doctype html><title>Stile</title><p id=a>unwritten</p>
<script>document.getElementById("a").textContent = "written by " + "a script, " + location.host</script>
<script src="/second.js"></script>"""
SCRIPT = b'document.body.append("second file loaded")'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "WebServer"

    def do_GET(self) -> None:
        self.server.peers.append(self.client_address[:2])
        if self.path.startswith("/git/"):
            self.git()
        elif self.path == "/second.js":
            self.answer(SCRIPT, "text/javascript")
        else:
            self.answer(PAGE, "text/html")

    do_POST = do_GET

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def git(self) -> None:
        """Hands the request to `git http-backend` by the rules of CGI."""
        path, _, query = self.path.removeprefix("/git").partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        run = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment)
        head, _, content = run.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.answer(content, fields["Content-Type"], int(fields.get("Status", "200").split()[0]))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class WebServer(http.server.ThreadingHTTPServer):
    """`peers` holds the source address and port of every request."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", repositories: Path = Path("/nonexistent"), port: int = 0) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)
        self.repositories = repositories
        self.peers: list[tuple[str, int]] = []
        self.port = self.server_address[1]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
