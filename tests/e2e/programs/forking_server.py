"""A server that forks for each caller, as inetd's do. It tells a service where it listens, by the address that the connection
there has, as FTP does; two callers come back, and a child of its own answers each."""

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
with socket.create_connection((host, int(port))) as control, Server(("0.0.0.0", 0), Answer) as server:
    server.timeout = 20
    control.sendall(b"%s %d\n" % (control.getsockname()[0].encode(), server.server_address[1]))
    for _ in range(2):
        server.handle_request()
    heard = control.makefile().read()
    children = {line.split()[0] for line in heard.splitlines()}
    print(len(children - {str(os.getpid())}), "children answered")
