"""An echo server for thousands of connections, in a process of its own: a process may hold 20,000 descriptors at most
on small machines, and a tunnel's two ends need one each.

usage: echo_farm.py ADDRESS...    prints the port that it listens on at every address; ends when its input does

One thread, epoll, nothing kept per connection.
"""

import resource
import select
import socket
import sys


def listeners(addresses: list[str]) -> tuple[int, list[socket.socket]]:
    first = socket.create_server((addresses[0], 0), backlog=4096)
    port = first.getsockname()[1]
    return port, [first, *(socket.create_server((address, port), backlog=4096) for address in addresses[1:])]


def serve(listening: list[socket.socket]) -> None:
    epoll = select.epoll()
    doors = {door.fileno(): door for door in listening}
    connections: dict[int, socket.socket] = {}
    for descriptor in (*doors, sys.stdin.fileno()):
        epoll.register(descriptor, select.EPOLLIN)
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == sys.stdin.fileno():
                return
            if door := doors.get(descriptor):
                connection = door.accept()[0]
                connections[connection.fileno()] = connection
                epoll.register(connection.fileno(), select.EPOLLIN)
            elif not answer(connections[descriptor]):
                connections.pop(descriptor).close()


def answer(connection: socket.socket) -> bool:
    try:
        octets = connection.recv(4096)
        connection.sendall(octets)
        return bool(octets)
    except OSError:
        return False


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, open_doors = listeners(sys.argv[1:])
    print(port, flush=True)
    serve(open_doors)
