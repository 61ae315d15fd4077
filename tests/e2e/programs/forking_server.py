"""A server that forks for each caller. It tells a service at which port it listens; two callers come from there, and a child
of its own answers each."""

import os
import socket
import socketserver
import sys


class Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"%d heard %s" % (os.getpid(), self.rfile.readline()))


class Server(socketserver.ForkingTCPServer):
    def handle_timeout(self) -> None:
        sys.exit("nobody called")


host, port = sys.argv[1:]
with Server(("0.0.0.0", 0), Answer) as server, socket.create_connection((host, int(port))) as control:
    server.timeout = 20
    control.sendall(b"%d\n" % server.server_address[1])
    for _ in range(2):
        server.handle_request()
    heard = control.makefile().read()
    children = {line.split()[0] for line in heard.splitlines()}
    print(len(children - {str(os.getpid())}), "children answered")
