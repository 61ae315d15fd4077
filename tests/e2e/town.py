"""The laboratory in which every reply code has a real cause (protocol reference, 2.6).

    client ── 10.99.1.0/24 ── proxy ── 10.99.2.0/24 ── router ── 10.99.3.0/24 ── target
              fd99:1::/64              fd99:2::/64               fd99:3::/64

Routes of the proxy and rejections of the router are told apart by address and port; the tables below are what the
tests ask for.
"""

from contextlib import ExitStack, closing

from name_server import REFUSED, SERVER_FAILURE, SILENCE, NameServer
from networks import Lab
from origins import Origin, echo, greet
from raw_socks import Reply, ask, dial, request

PROXY = ("10.99.1.2", 1080)
TARGET, TARGET6 = "10.99.3.2", "fd99:3::2"
UNUSED, UNUSED6 = "10.99.3.99", "fd99:3::99"  # on the target's network, nobody has them

# kind of route at the proxy -> networks that it leads to; "absent" has no route at all
ROUTES = {
    "prohibit": ("10.99.40.0/24", "fd99:40::/64"),
    "unreachable": ("10.99.41.0/24", "fd99:41::/64"),
    "blackhole": ("10.99.42.0/24", "fd99:42::/64"),
}
PROHIBITED, PROHIBITED6 = "10.99.40.1", "fd99:40::1"
UNREACHABLE, UNREACHABLE6 = "10.99.41.1", "fd99:41::1"
BLACKHOLE, BLACKHOLE6 = "10.99.42.1", "fd99:42::1"
ABSENT, ABSENT6 = "10.98.0.1", "fd98::1"
FAR6 = "fd99:3::7"  # its route has hop limit 1

OPEN, GREETING, CLOSED, DENIED, DROPPED = 7000, 7001, 7002, 7003, 7004
REJECTED = {  # port at the router -> how it rejects IPv4 and IPv6
    7010: ("icmp type net-unreachable", "icmpv6 type no-route"),
    7011: ("icmp type net-prohibited", None),
    7012: ("icmp type host-unreachable", "icmpv6 type addr-unreachable"),
    7013: ("icmp type host-prohibited", None),
    7014: ("icmp type admin-prohibited", "icmpv6 type admin-prohibited"),
    7015: ("icmp type port-unreachable", "icmpv6 type port-unreachable"),
    7016: ("tcp reset", "tcp reset"),
    7017: ("icmp type prot-unreachable", "icmpv6 type policy-fail"),
    7018: (None, "icmpv6 type reject-route"),
}
NET_UNREACHABLE, NET_PROHIBITED, HOST_UNREACHABLE, HOST_PROHIBITED, ADMIN_PROHIBITED = list(REJECTED)[:5]
PORT_UNREACHABLE, RESET, OTHER, ROUTE_REJECTED = list(REJECTED)[5:]

NAMES = {
    "target.example": [TARGET],
    "target6.example": [TARGET6],
    "dead-then-live.example": [UNUSED6, TARGET],
    "inside.example": ["127.0.0.1", "::1"],
    "half-inside.example": ["127.0.0.1", TARGET],
    "broken.example": SERVER_FAILURE,
    "refused.example": REFUSED,
    "silent.example": SILENCE,
    "empty.example": [],
}

CONFIG = f"""
[[listen]]
address = "{PROXY[0]}:{PROXY[1]}"

[policy]
rules = '''
closed: deny  anyone to any:{DENIED}
lab:    allow anyone from 10.99.1.0/24 to private
'''
"""


class Town:
    """The four hosts with what runs on them. The proxy itself is a test's own (serve)."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.lab = stack.enter_context(closing(Lab()))
            self.client, self.proxy, self.router, self.target = map(self.lab.host, ("C", "P", "R", "T"))
            self.join_hosts()
            self.route()
            self.reject()
            with self.target.inside():
                self.names = stack.enter_context(closing(NameServer(TARGET, dict(NAMES))))
                # Both families at one port; :: would take the IPv4 one as well.
                self.origins = [
                    stack.enter_context(closing(Origin(handler, host, port)))
                    for handler, port in ((echo, OPEN), (greet, GREETING))
                    for host in (TARGET, TARGET6)
                ]
            self.proxy.file("resolv.conf", f"nameserver {TARGET}\n")
            self.proxy.file("hosts", "127.0.0.1 localhost\n")
            self.cleanup = stack.pop_all()

    def join_hosts(self) -> None:
        self.lab.cable(self.client, ["10.99.1.1/24", "fd99:1::1/64"], self.proxy, ["10.99.1.2/24", "fd99:1::2/64"])
        self.lab.cable(self.proxy, ["10.99.2.1/24", "fd99:2::1/64"], self.router, ["10.99.2.2/24", "fd99:2::2/64"])
        self.lab.cable(self.router, ["10.99.3.1/24", "fd99:3::1/64"], self.target, [f"{TARGET}/24", f"{TARGET6}/64"])

    def route(self) -> None:
        for kind, networks in ROUTES.items():
            for network in networks:
                self.proxy.run("ip", "route", "add", kind, network)
        self.proxy.run("ip", "route", "add", "10.99.3.0/24", "via", "10.99.2.2")
        self.proxy.run("ip", "route", "add", "fd99:3::/64", "via", "fd99:2::2")
        self.proxy.run("ip", "route", "add", f"{FAR6}/128", "via", "fd99:2::2", "hoplimit", 1)
        self.proxy.set("net.ipv4.tcp_syn_retries", 1)
        self.target.run("ip", "route", "add", "default", "via", "10.99.3.1")
        self.target.run("ip", "-6", "route", "add", "default", "via", "fd99:3::1")
        self.router.set("net.ipv4.ip_forward", 1)
        self.router.set("net.ipv6.conf.all.forwarding", 1)
        self.router.set("net.ipv4.icmp_ratelimit", 0)
        self.router.set("net.ipv6.icmp.ratelimit", 0)

    def reject(self) -> None:
        rules = [f"tcp dport {DROPPED} drop"]
        for port, ways in REJECTED.items():
            rules += [
                f"meta nfproto {family} tcp dport {port} reject with {way}" for family, way in zip(("ipv4", "ipv6"), ways) if way
            ]
        chain = "type filter hook forward priority 0; policy accept; " + "; ".join(rules)
        self.router.run("nft", f"add table inet lab; add chain inet lab forward {{ {chain}; }}".replace("; ", ";\n"))

    def ask(self, host: str, port: int) -> Reply:
        """What the proxy answers the client that asks for host:port; a failure must end the connection."""
        return self.ask_octets(request(host, port))

    def ask_octets(self, octets: bytes) -> Reply:
        with self.client.inside():
            connection, reply = ask(PROXY, octets)
        with connection:
            if reply.code != 0:
                assert connection.recv(1) == b""
        return reply

    def dial(self):
        with self.client.inside():
            return dial(PROXY)

    def close(self) -> None:
        self.cleanup.close()

