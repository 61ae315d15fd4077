"""A router at the front of a network, with a proxy beyond it: four hosts in a row, and a counter of every packet that leaves
the router for anything but the proxy. Without a gateway the router forwards, so that whatever gets past it arrives."""

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import processes
from name_server import NameServer
from networks import Lab, Namespace
from processes import ENVIRONMENT, wait_until
from server import Server, Writings, check_records
from web import WebServer

CLIENT, CLIENT_SIX, OTHER = "10.70.0.2", "fd00:70::2", "10.70.0.3"
ROUTER, ROUTER_SIX, OUTSIDE = "10.70.0.1", "fd00:70::1", "192.0.2.2"
PROXY, PORT = "192.0.2.1", 1080
FAR, FAR_THIRD, FAR_SIX = "203.0.113.2", "203.0.113.3", "2001:db8:70::2"
BEYOND, BEYOND_SIX = "198.51.100.2", "2001:db8:72::2"  # behind the far end, where there is something
NAMES = {
    "web.far.test": [FAR],
    "six.far.test": [FAR_SIX],
    "both.far.test": [FAR, FAR_SIX],
    "nowhere.far.test": ["203.0.113.99"],
    "beyond.far.test": [BEYOND],
    "six.beyond.far.test": [BEYOND_SIX],
}
RULES = """
[[listen]]
address = "192.0.2.1:PORT"
[udp]
ports = "40000-40099"
filter = "any"
[policy]
rules = '''
no:   deny anyone to denied.far.test
far:  allow anyone from 192.0.2.0/24 to tcp udp 203.0.113.0/24:1-65535, [2001:db8:70::/64]:1-65535
echo: allow anyone from 192.0.2.0/24 to ping 203.0.113.0/24, [2001:db8:70::/64], 198.51.100.0/24, [2001:db8:72::/64]
'''
"""
# Of the router: whatever leaves it for the outside, but to the proxy.
COUNTER = """
table inet outside {
  chain leave {
    type filter hook postrouting priority 300; policy accept;
    oifname != "WAN" accept
    ip daddr 192.0.2.1 tcp dport 1080-1081 accept
    ip daddr 192.0.2.1 udp dport 40000-40099 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
    counter
  }
}
"""


class Cone:
    """Sends each datagram back, and on demand from another port, or from an address that nobody has sent to."""

    def __init__(self, port: int = 7000) -> None:
        self.places = {"own": (FAR, port), "port": (FAR, port + 1), "third": (FAR_THIRD, port + 2)}
        self.sockets = {}
        for name, place in self.places.items():
            self.sockets[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sockets[name].bind(place)
        self.heard: list[bytes] = []
        self.peers: set[tuple[str, int]] = set()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                octets, sender = self.sockets["own"].recvfrom(65536)
            except OSError:
                return
            self.heard.append(octets)
            self.peers.add(sender)
            words = octets.decode(errors="replace").split()
            for name in words if set(words) <= self.sockets.keys() else ["own"]:
                self.sockets[name].sendto(octets, sender)

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()


class Gateway(Writings):
    """`stile gateway` on the router."""

    def __init__(self, folder: Path, router: Namespace, *words: object, under: tuple[str, ...] | list[str] = ()) -> None:
        folder.mkdir()
        self.records_file, self.errors_file = folder / "records", folder / "errors"
        command = [*router.prefix(), *under, str(processes.BINARY), *map(str, words), "--log", "json"]
        with self.records_file.open("wb") as records, self.errors_file.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=records, stderr=errors, env=ENVIRONMENT)
        try:
            wait_until("the gateway serves", self.serves)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def serves(self) -> bool:
        assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.errors()}"
        return " worker" in self.errors()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self, how: int = signal.SIGTERM) -> None:
        try:
            if self.process.poll() is None:
                self.process.send_signal(how)
                assert self.process.wait(30) == 0, f"exit code {self.process.returncode}"
                check_records(self.records())
            assert "Sanitizer" not in self.errors() and "runtime error" not in self.errors()
        finally:
            if self.process.poll() is None:
                self.kill()
            print(f"--- the gateway's messages\n{self.errors()[-6000:]}")
            print(f"--- its last records\n{''.join(self.records_file.read_text().splitlines(keepends=True)[-20:])}")


@dataclass
class Site:
    client: Namespace
    router: Namespace
    proxy: Namespace
    far: Namespace
    lan: str
    server: Server
    names: NameServer
    web: WebServer
    start: Callable[..., Gateway]

    @property
    def url(self) -> str:
        return f"socks5h://{PROXY}:{PORT}"

    def gateway(self, *words: object) -> Gateway:
        """By flags: through the proxy, its rules in force."""
        return self.start("gateway", "--lan", self.lan, "--via", self.url, "--apply", *words)

    def run(self, *command: object, **options) -> subprocess.CompletedProcess[str]:
        """On the client."""
        return processes.run(*self.client.prefix(), *command, **options)

    def on_router(self, *command: object) -> str:
        return processes.run(*self.router.prefix(), *command).stdout

    def rules(self) -> str:
        """All that is in force on the router and was not there before: packet rules, routing rules and routes."""
        shown = [self.on_router("nft", "--stateless", "list", "table", "inet", "stile_gateway")]
        for family in ("-4", "-6"):
            shown.append(self.on_router("ip", family, "rule", "show", "pref", "7374"))
            shown.append(self.on_router("ip", family, "route", "show", "table", "7374"))
        return "".join(shown)

    def leaked(self) -> int:
        told = self.on_router("nft", "--json", "list", "table", "inet", "outside")
        rules = [entry["rule"] for entry in json.loads(told)["nftables"] if "rule" in entry]
        return next(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)

    def asked(self) -> set[str]:
        """Names that the proxy asked DNS for."""
        return {name for name, _ in self.names.asked}

    def saw(self, *targets: str) -> bool:
        """The proxy was asked for each of these, and for nothing else."""
        for target in targets:
            self.server.wait_for_record(target=target)
        return {record["target"] for record in self.server.records()} == set(targets)


def lead_on(lab: Lab, here: Site) -> None:
    """The far end is a router, with a host behind it that the proxy has a way to."""
    beyond = lab.host("beyond")
    lab.cable(here.far, ["198.51.100.1/24", "2001:db8:72::1/64"], beyond, [f"{BEYOND}/24", f"{BEYOND_SIX}/64"])
    here.far.set("net.ipv4.ip_forward", 1)
    here.far.set("net.ipv6.conf.all.forwarding", 1)
    for host in (here.far, beyond):  # they answer however fast they are asked
        host.set("net.ipv4.icmp_ratemask", 0)
        host.set("net.ipv6.icmp.ratelimit", 0)
    for host, way, way_six, there in ((here.proxy, FAR, FAR_SIX, True), (beyond, "198.51.100.1", "2001:db8:72::1", False)):
        host.run("ip", "-4", "route", "add", "198.51.100.0/24" if there else "default", "via", way)
        host.run("ip", "-6", "route", "add", "2001:db8:72::/64" if there else "default", "via", way_six)


def site(lab: Lab, serve: Callable[..., Server], stack: ExitStack, folder: Path) -> Site:
    client, router, proxy, far = (lab.host(role) for role in ("client", "router", "proxy", "far"))
    lab.cable(client, [f"{CLIENT}/24", f"{OTHER}/24", f"{CLIENT_SIX}/64"], router, [f"{ROUTER}/24", f"{ROUTER_SIX}/64"])
    lab.cable(router, [f"{OUTSIDE}/24", "2001:db8:71::2/64"], proxy, [f"{PROXY}/24", "2001:db8:71::1/64"])
    far_addresses = [f"{FAR}/24", f"{FAR_THIRD}/24", f"{FAR_SIX}/64"]
    lab.cable(proxy, ["203.0.113.1/24", "2001:db8:70::1/64"], far, far_addresses)
    for host in (router, proxy):
        host.set("net.ipv4.ip_forward", 1)
        host.set("net.ipv6.conf.all.forwarding", 1)
    routes = {
        client: (ROUTER, ROUTER_SIX),
        router: (PROXY, "2001:db8:71::1"),
        proxy: (OUTSIDE, "2001:db8:71::2"),
        far: ("203.0.113.1", "2001:db8:70::1"),
    }
    for host, gateways in routes.items():
        for way in gateways:
            host.run("ip", "-6" if ":" in way else "-4", "route", "add", "default", "via", way)
    client.file("resolv.conf", f"nameserver {ROUTER}\n")
    proxy.file("resolv.conf", "nameserver 127.0.0.1\n")
    (folder / "counter.nft").write_text(COUNTER.replace("WAN", f"s{lab.tag}2a"))
    router.run("nft", "-f", folder / "counter.nft")
    with proxy.inside():
        names = stack.enter_context(closing(NameServer("127.0.0.1", dict(NAMES))))
    with far.inside():
        web = stack.enter_context(closing(WebServer("::", folder / "repositories", port=80)))
    server = serve(config=RULES, host=PROXY, port=PORT, namespace=proxy)
    gateways: list[Gateway] = []

    def start(*words: object, under: tuple[str, ...] | list[str] = ()) -> Gateway:
        gateways.append(Gateway(folder / f"gateway-{len(gateways)}", router, *words, under=under))
        stack.callback(gateways[-1].finish)
        return gateways[-1]

    return Site(client, router, proxy, far, f"s{lab.tag}1b", server, names, web, start)
