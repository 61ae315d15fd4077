"""A client whose only way out is a proxy: three hosts in a row, and a counter of every packet that takes another one. With a
router between client and proxy it is the router's way out that is counted."""

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import processes
from name_server import NameServer
from networks import Lab, Namespace
from server import Server
from web import WebServer

CLIENT, PROXY = "10.60.0.2", "10.60.0.1"
BEHIND, ROUTER = "10.61.0.2", "10.61.0.1"  # the client's address where there is a router, which then has CLIENT
OUTSIDE, OUTSIDE_SIX = "203.0.113.1", "2001:db8:60::1"  # the proxy's addresses where the far end sees it
FAR, FAR_SIX = "203.0.113.2", "2001:db8:60::2"
PORT = 1080
NAMES = {
    "web.far.test": [FAR],
    "six.far.test": [FAR_SIX],
    "both.far.test": [FAR, FAR_SIX],
    "nowhere.far.test": ["203.0.113.99"],
}
RULES = """
[[listen]]
address = "10.60.0.1:PORT"
[udp]
ports = "40000-40099"
[policy]
rules = '''
no:  deny anyone to denied.far.test
far: allow anyone from 10.60.0.0/24 to tcp udp 203.0.113.0/24:1-65535, [2001:db8:60::/64]:1-65535
echo: allow anyone from 10.60.0.0/24 to ping 203.0.113.0/24, [2001:db8:60::/64]
'''
"""
# Whatever leaves for the proxy's network but for the proxy: questions to a DNS server, and all else.
COUNTER = """
table inet outside {
  chain count {
    oifname != "OUTWARD" accept
    ip daddr 10.60.0.1 tcp dport 1080 accept
    ip daddr 10.60.0.1 udp dport 40000-40099 accept
    meta l4proto { tcp, udp } th dport 53 counter accept
    counter
  }
  chain leave { type filter hook output priority 0; policy accept; jump count; }
  chain pass { type filter hook forward priority 0; policy accept; jump count; }
}
"""
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@dataclass
class Fenced:
    client: Namespace
    edge: Namespace  # where packets leave: the router, or the client itself
    inward: str  # the router's interface for the client
    proxy: Namespace
    far: Namespace
    server: Server
    names: NameServer
    web: WebServer

    @property
    def url(self) -> str:
        return f"socks5h://{PROXY}:{PORT}"

    def words(self, *flags: str, user: str = "nobody") -> list[str]:
        """Up to the command: by an ordinary user, through the proxy."""
        as_user = NOBODY if user == "nobody" else []
        return [*self.client.prefix(), *as_user, str(processes.BINARY), "run", "--via", self.url, *flags, "--"]

    def run(self, *command: object, flags: tuple[str, ...] = (), user: str = "nobody", **options):
        environment = {"HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin"} | options.pop("environment", {})
        return processes.run(*self.words(*flags, user=user), *command, environment=environment, **options)

    def saw(self, *targets: str) -> bool:
        """The proxy was asked for each of these, and for nothing else."""
        for target in targets:
            self.server.wait_for_record(target=target)
        return {record["target"] for record in self.server.records()} == set(targets)

    def sessions(self) -> frozenset[str]:
        """Of each session that the proxy has a record of: COMMAND TARGET."""
        return frozenset(f"{record['command']} {record['target']}" for record in self.server.records())

    def leaked(self) -> int:
        return sum(self.leaks())

    def leaks(self) -> tuple[int, int]:
        """Packets that left past the proxy: questions to DNS servers, and all others."""
        with self.edge.inside():
            told = processes.run("nft", "--json", "list", "table", "inet", "outside").stdout
        rules = [entry["rule"] for entry in json.loads(told)["nftables"] if "rule" in entry]
        names, others = (part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)
        return names, others

    def asked(self) -> set[str]:
        """Names that the proxy asked DNS for."""
        return {name for name, _ in self.names.asked}


def fence(
    lab: Lab, serve: Callable[..., Server], stack: ExitStack, folder: Path, rules: str = RULES, routed: bool = False
) -> Fenced:
    """`routed`: with a router between client and proxy."""
    client, proxy, far = lab.host("client"), lab.host("proxy"), lab.host("far")
    client.set("net.ipv6.conf.all.disable_ipv6", 1)  # it would speak of itself
    edge, inward = client, ""
    if routed:
        edge = lab.host("router")
        edge.set("net.ipv6.conf.all.disable_ipv6", 1)
        edge.set("net.ipv4.ip_forward", 1)
        _, inward = lab.cable(client, [f"{BEHIND}/24"], edge, [f"{ROUTER}/24"])
        client.run("ip", "route", "add", "default", "via", ROUTER)
    outward, _ = lab.cable(edge, [f"{CLIENT}/24"], proxy, [f"{PROXY}/24"])
    lab.cable(proxy, [f"{OUTSIDE}/24", f"{OUTSIDE_SIX}/64"], far, [f"{FAR}/24", f"{FAR_SIX}/64"])
    if routed:
        proxy.run("ip", "route", "add", f"{BEHIND}/32", "via", CLIENT)
    edge.run("ip", "route", "add", "default", "via", PROXY)  # whoever goes there is counted,
    proxy.set("net.ipv4.ip_forward", 1)  # and told at once that this is no way
    for source in (CLIENT, BEHIND):
        proxy.run("ip", "rule", "add", "from", source, "priority", 100, "prohibit")
    client.file("resolv.conf", f"nameserver {PROXY}\n")
    proxy.file("resolv.conf", "nameserver 127.0.0.1\n")
    (folder / "counter.nft").write_text(COUNTER.replace("OUTWARD", outward))
    edge.run("nft", "-f", folder / "counter.nft")
    with proxy.inside():
        names = stack.enter_context(closing(NameServer("127.0.0.1", dict(NAMES))))
    with far.inside():
        web = stack.enter_context(closing(WebServer("::", folder / "repositories", port=80)))
    server = serve(config=rules, host=PROXY, port=PORT, namespace=proxy)
    return Fenced(client, edge, inward, proxy, far, server, names, web)
