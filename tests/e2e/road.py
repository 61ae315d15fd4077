"""A road of three routers, for PING and TRACEROUTE.

    client ── 1 ── proxy ── 2 ── r1 ── 3 ── r2 ── 4 ── r3 ── 5 ── target

Cable N is 10.95.N.0/24 and fd95:N::/64; on each, the left host is 1 and the right one 2. What r3 does with other networks
stands in the tables below.
"""

from contextlib import ExitStack, closing

from name_server import SILENCE, NameServer
from networks import Lab

PROXY = ("10.95.1.2", 1080)
SOURCE, SOURCE6 = "10.95.2.1", "fd95:2::1"  # of the proxy, towards all of these
TARGET, TARGET6 = "10.95.5.2", "fd95:5::2"
HOPS = ["10.95.2.2", "10.95.3.2", "10.95.4.2", TARGET]
HOPS6 = ["fd95:2::2", "fd95:3::2", "fd95:4::2", TARGET6]
UNUSED = "10.95.5.99"  # nobody has it
LOSSY = "10.95.5.3"  # the target's too, but r2 drops every second request to it

HOST_UNREACHABLE, PROHIBITED = "10.95.41.1", "10.95.42.1"  # by r3's routes
PROHIBITED6 = "fd95:42::1"
REJECTED = {  # address -> how r3 rejects it
    "10.95.43.1": "icmp type net-unreachable",
    "10.95.44.1": "icmp type admin-prohibited",
    "10.95.45.1": "icmp type prot-unreachable",
    "fd95:43::1": "icmpv6 type no-route",
    "fd95:44::1": "icmpv6 type addr-unreachable",
}
NET_UNREACHABLE, ADMIN_PROHIBITED, PROTOCOL_UNREACHABLE, NO_ROUTE6, ADDRESS_UNREACHABLE6 = REJECTED
DROPPED = "10.95.46.1"  # r3 says nothing
LOOP = "10.95.47.1"  # r1 and r2 send it to each other
FORBIDDEN, FORBIDDEN6 = "10.95.48.1", "fd95:48::1"  # the proxy's own route prohibits it
ABSENT6 = "fd94::1"  # the proxy has no route

NAMES = {
    "target.example": [TARGET],
    "target6.example": [TARGET6],
    "both.example": ["127.0.0.1", TARGET],
    "2.2.95.10.in-addr.arpa": ["r1.example"],
    "2.3.95.10.in-addr.arpa": SILENCE,
}

CONFIG = f"""
[[listen]]
address = "{PROXY[0]}:{PROXY[1]}"

[policy]
rules = '''
hidden: deny  anyone to ping 10.95.4.2
probes: allow anyone from 10.95.1.0/24 to ping 10.95.0.0/16, [fd95::/16], [fd94::/16]
'''
"""
OPEN_CONFIG = CONFIG.replace("hidden: deny  anyone to ping 10.95.4.2", "")


class Road:
    def __init__(self) -> None:
        with ExitStack() as stack:
            self.lab = stack.enter_context(closing(Lab()))
            self.hosts = list(map(self.lab.host, ("C", "P", "R1", "R2", "R3", "T")))
            self.client, self.proxy, self.r1, self.r2, self.r3, self.target = self.hosts
            for number, (left, right) in enumerate(zip(self.hosts, self.hosts[1:]), 1):
                near, far = ([f"10.95.{number}.{end}/24", f"fd95:{number}::{end}/64"] for end in (1, 2))
                self.lab.cable(left, near, right, far)
            self.target.run("ip", "address", "add", f"{LOSSY}/24", "dev", self.device(self.target))
            self.route()
            self.reject()
            with self.target.inside():
                self.names = stack.enter_context(closing(NameServer(TARGET, dict(NAMES))))
            self.proxy.file("resolv.conf", f"nameserver {TARGET}\n")
            self.proxy.file("hosts", "127.0.0.1 localhost\n")
            self.cleanup = stack.pop_all()

    def device(self, host) -> str:
        """The name of its last cable's end."""
        return f"s{self.lab.tag}{self.lab.cables}b" if host is self.target else ""

    def route(self) -> None:
        for position, host in enumerate(self.hosts[1:5], 1):
            host.set("net.ipv4.ip_forward", 1)
            host.set("net.ipv6.conf.all.forwarding", 1)
            # No type is limited. A limit of 0 would leave the limit of unreachables that come from routes.
            host.set("net.ipv4.icmp_ratemask", 0)
            host.set("net.ipv6.icmp.ratelimit", 0)
            for number in range(1, 6):
                if number < position:
                    host.run("ip", "route", "add", f"10.95.{number}.0/24", "via", f"10.95.{position}.1")
                    host.run("ip", "route", "add", f"fd95:{number}::/64", "via", f"fd95:{position}::1")
            if host is not self.r3:
                host.run("ip", "route", "add", "10.95.0.0/16", "via", f"10.95.{position + 1}.2")
                host.run("ip", "route", "add", "fd95::/16", "via", f"fd95:{position + 1}::2")
        self.target.run("ip", "route", "add", "default", "via", "10.95.5.1")
        self.target.run("ip", "route", "add", "default", "via", "fd95:5::1")
        self.r3.run("ip", "route", "add", "unreachable", "10.95.41.0/24")
        self.r3.run("ip", "route", "add", "prohibit", "10.95.42.0/24")
        self.r3.run("ip", "route", "add", "prohibit", "fd95:42::/64")
        self.r2.run("ip", "route", "add", "10.95.47.0/24", "via", "10.95.3.1")
        self.proxy.run("ip", "route", "add", "prohibit", "10.95.48.0/24")
        self.proxy.run("ip", "route", "add", "prohibit", "fd95:48::/64")
        # Where r3 sends what it shall reject or drop: anywhere, or it would have no route for it.
        self.r3.run("ip", "route", "add", "default", "via", "10.95.5.2")
        self.r3.run("ip", "route", "add", "default", "via", "fd95:5::2")

    def reject(self) -> None:
        rules = [f"ip{'6' if ':' in host else ''} daddr {host} reject with {way}" for host, way in REJECTED.items()]
        rules.append(f"ip daddr {DROPPED} drop")
        forward(self.r3, rules)
        forward(self.r2, [f"ip daddr {LOSSY} icmp type echo-request numgen inc mod 2 1 drop"])

    def close(self) -> None:
        self.cleanup.close()


def forward(router, rules: list[str]) -> None:
    chain = "type filter hook forward priority 0; policy accept; " + "; ".join(rules)
    router.run("nft", f"add table inet road; add chain inet road forward {{ {chain}; }}".replace("; ", ";\n"))
