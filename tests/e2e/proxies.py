"""Other people's proxies, each started once in a host of its own and asked by every protocol that it speaks, at both of the
host's loopback addresses. What they are to be asked is their own configuration's affair: each lets everybody to everywhere."""

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from networks import Namespace
from processes import Daemon
from ssh_site import start_sshd

IPV4, IPV6 = "127.0.0.1", "::1"


@dataclass(frozen=True)
class Facts:
    """What a proxy is, whoever asks it."""

    schemes: tuple[str, ...]  # of URLs by which Stile can ask it
    half_close: bool = True  # who has ended still hears the other
    grants_first: bool = False  # it grants before it has tried, and closes where that comes to nothing
    pipelined: bool = True  # of SOCKS5: it takes octets behind the greeting


FACTS = {
    "dante": Facts(("socks5h", "socks5", "socks4")),
    "microsocks": Facts(("socks5h", "socks5"), half_close=False, pipelined=False),
    "ssh": Facts(("socks5h", "socks5", "socks4a", "socks4")),
    "v2ray": Facts(("socks5h", "socks5", "socks4a", "socks4", "http"), half_close=False, grants_first=True),
    "squid": Facts(("http",), half_close=False),
}

Start = Callable[..., Daemon]
Ports = dict[str, int]  # by scheme


def dante(start: Start, folder: Path) -> Ports:
    file, port = folder / "danted.conf", 2001
    file.write_text(
        f"logoutput: stderr\ninternal: {IPV4} port = {port}\ninternal: {IPV6} port = {port}\n"
        "external: lo\nexternal.rotation: route\n"
        "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nclient pass { from: ::/0 to: ::/0 }\n"
        "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: bind connect bindreply }\n"
        "socks pass { from: 0.0.0.0/0 to: ::/0 }\nsocks pass { from: ::/0 to: 0.0.0.0/0 }\nsocks pass { from: ::/0 to: ::/0 }\n"
    )
    start("danted", "-N", "1", "-f", file, "-p", folder / "danted.pid", ports=[port])
    return {"socks5": port, "socks4": port}


def microsocks(start: Start, folder: Path) -> Ports:
    start("microsocks", "-i", "::", "-p", 2002, ports=[2002])
    return {"socks5": 2002}


def ssh(start: Start, folder: Path) -> Ports:
    """`ssh -D` and the sshd that it leads to: both are the proxy."""
    sshd, options = start_sshd(start, folder / "sshd")
    addresses = ["-D", f"{IPV4}:2003", "-D", f"[{IPV6}]:2003"]
    start("ssh", "-N", *options, "-p", sshd, *addresses, IPV4, ports=[2003])
    return {"socks5": 2003, "socks4": 2003}


def v2ray(start: Start, folder: Path) -> Ports:
    inbounds = [
        {"listen": host, "port": port, "protocol": protocol, "settings": {}}
        for host in (IPV4, IPV6)
        for port, protocol in ((2004, "socks"), (2005, "http"))
    ]
    ends = {"levels": {"0": {"uplinkOnly": 0, "downlinkOnly": 0}}}  # seconds that one side's end leaves to the other
    settings = {"log": {"loglevel": "warning"}, "policy": ends, "inbounds": inbounds, "outbounds": [{"protocol": "freedom"}]}
    (folder / "v2ray.json").write_text(json.dumps(settings))
    start("v2ray", "-config", folder / "v2ray.json", ports=[2004, 2005])
    return {"socks5": 2004, "socks4": 2004, "http": 2005}


def squid(start: Start, folder: Path) -> Ports:
    file, port = folder / "squid.conf", 2006
    file.write_text(
        f"http_port {IPV4}:{port}\nhttp_port [{IPV6}]:{port}\nhttp_access allow all\ncache deny all\ncache_mem 8 MB\n"
        "pid_filename none\naccess_log none\ncache_log /dev/null\nlogfile_rotate 0\nnetdb_filename none\npinger_enable off\n"
        "visible_hostname squid.example\nshutdown_lifetime 0 seconds\nmax_filedescriptors 4096\ncoredump_dir none\n"
    )
    start("squid", "-N", "-f", file, ports=[port])
    return {"http": port}


def tor(start: Start, folder: Path) -> Ports:
    """Without a network: what it refuses by itself is all that it can say."""
    file, port = folder / "torrc", 2007
    places = "".join(
        f"SocksPort {host}:{port} ExtendedErrors\nHTTPTunnelPort {host}:{port + 1}\n" for host in (IPV4, f"[{IPV6}]")
    )
    file.write_text(f"DataDirectory {folder}/tor\n{places}Log notice stdout\nAvoidDiskWrites 1\n")
    start("tor", "-f", file, "--defaults-torrc", folder / "none", "--ignore-missing-torrc", ports=[port, port + 1])
    return {"socks5": port, "socks4": port, "http": port + 1}


STARTS = {"dante": dante, "microsocks": microsocks, "ssh": ssh, "v2ray": v2ray, "squid": squid, "tor": tor}


class Proxies:
    """Those that were asked for, in one host. Each runs until all are closed."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host, self.folder, self.stack = host, folder, ExitStack()
        self.ports: dict[str, Ports] = {}

    def where(self, name: str, scheme: str, host: str = IPV4) -> tuple[str, int]:
        """Where it is asked by this scheme; started where it does not run yet."""
        if name not in self.ports:
            folder = self.folder / name
            folder.mkdir()
            with self.host.inside():
                self.ports[name] = STARTS[name](lambda *command, ports=(): self.start(folder, *command, ports=ports), folder)
        return host, self.ports[name][scheme.removesuffix("h").removesuffix("a")]

    def start(self, folder: Path, *command: object, ports: list[int]) -> Daemon:
        home = folder / Path(str(command[0])).name
        home.mkdir(exist_ok=True)
        daemon = self.stack.enter_context(closing(Daemon(home, *self.host.prefix(), *command)))
        for port in ports:
            for address in (IPV4, IPV6):
                daemon.wait_for_port(address, port)
        return daemon

    def close(self) -> None:
        self.stack.close()
