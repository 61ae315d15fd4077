"""The world that the golden vectors speak of: the documentation's addresses and names, each of them answering.

    proxy  10.77.0.1 ── cable ── 10.77.0.2  the world: clients, the name server,
           2001:db8:1::1         2001:db8:1::2        192.0.2.10, 192.0.2.53, 203.0.113.9, 198.51.100.7, 2001:db8::1
"""

import socket
from contextlib import ExitStack, closing

import raw_socks
from name_server import NameServer
from networks import Lab
from origins import Origin
from processes import wait_until

PROXY, BALANCED = ("10.77.0.1", 1080), ("10.77.0.1", 1081)  # the second takes connections from a load balancer
CLIENT = "10.77.0.2"
WEB, WEB6, NAMES, PEER, STRANGER = "192.0.2.10", "2001:db8::1", "192.0.2.53", "203.0.113.9", "198.51.100.7"

CONFIG = f"""
[[listen]]
address = "{PROXY[0]}:{PROXY[1]}"

[[listen]]
address = "{BALANCED[0]}:{BALANCED[1]}"
proxy_protocol_from = ["{CLIENT}"]

[limits]
penalty_exempt = ["10.77.0.0/24", "203.0.113.0/24"]  # many of these conversations are mistakes

[policy]
rules = '''
documentation: allow anyone from {CLIENT}, {PEER} to tcp udp bind ping resolve 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, [2001:db8::/32]
'''
"""


class Ranges:
    """Both hosts, the origins at ports 80 and 443, and datagram sockets at port 53. The server is a test's own."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.lab = stack.enter_context(closing(Lab()))
            self.proxy, self.world = map(self.lab.host, ("P", "W"))
            self.lab.cable(self.proxy, ["10.77.0.1/24", "2001:db8:1::1/64"], self.world, ["10.77.0.2/24", "2001:db8:1::2/64"])
            for address in (WEB, NAMES, PEER, STRANGER, WEB6):
                self.world.run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
            self.proxy.run("ip", "route", "add", "default", "via", "10.77.0.2")
            self.proxy.run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::2")
            # Else probes share the few raw sockets that a worker opens at its start.
            self.proxy.set("net.ipv4.ping_group_range", "0 2147483647")
            self.proxy.file("resolv.conf", f"nameserver {CLIENT}\n")
            self.proxy.file("hosts", "127.0.0.1 localhost\n")
            with self.world.inside():
                answers = {"example.com": [WEB], "10.2.0.192.in-addr.arpa": ["example.com"]}
                self.names = stack.enter_context(closing(NameServer(CLIENT, answers)))
                self.origins = [
                    stack.enter_context(closing(Origin(None, host, port)))
                    for host, port in ((WEB, 80), (WEB, 443), (WEB6, 80))
                ]
                self.datagrams = {host: stack.enter_context(self.datagram_socket(host, 53)) for host in (NAMES, WEB)}
            self.accepted: dict[tuple[str, int], socket.socket] = {}
            self.cleanup = stack.pop_all()

    def dial(self, address: tuple[str, int] = PROXY, source: str = CLIENT) -> socket.socket:
        with self.world.inside():
            return raw_socks.dial(address, source=source)

    def datagram_socket(self, host: str, port: int = 0) -> socket.socket:
        with self.world.inside():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((host, port))
            made.settimeout(10)
            return made

    def target_of(self, outgoing: tuple[str, int]) -> socket.socket:
        """The far end of the connection that the proxy made from this address; taken once."""

        def arrived() -> bool:
            for origin in self.origins:
                while not origin.waiting.empty():
                    connection = origin.accept()
                    self.accepted[origin.peers[origin.held.index(connection)]] = connection
            return outgoing in self.accepted

        wait_until(f"a connection from {outgoing} (there are {list(self.accepted)[-5:]})", arrived)
        return self.accepted.pop(outgoing)

    def next_target(self, host: str, port: int) -> socket.socket:
        """The far end of the next connection that the proxy makes to this origin."""
        origin = next(origin for origin in self.origins if (origin.host, origin.port) == (host, port))
        return origin.accept()

    def connections_made(self) -> int:
        return sum(len(origin.peers) for origin in self.origins)

    def close(self) -> None:
        self.cleanup.close()
