"""Who is measured: how each proxy is started, with what configuration, and in which modes it takes part.

Every peer runs with one worker, without authentication and without logs, from Debian's own package. The commands are
built here and nowhere else; what a run really executed is kept in its commands.txt.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modes import BULK, CONNECTIONS, HANDSHAKES, LATENCY, ROUND_TRIPS, SAME, SPLIT, UDP, Mode

HOST = "127.0.0.1"
POLICY_RULES = 1000


@dataclass(frozen=True)
class Place:
    """Where one start of a peer stands: its folder, and ports that no earlier start has used."""

    folder: Path
    proxy: int
    origin: int  # of the origin that runs apart, where the peer needs one
    spare: int
    binary: Path  # stile


@dataclass(frozen=True)
class Start:
    """One program to start. The last one of a peer is the one that listens at Place.proxy."""

    words: list[str]
    port: int
    output: Path | None = None  # where standard output goes; nowhere if none
    files: tuple[Path, ...] = ()  # its configuration, kept with the run


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    program: str  # what must be installed
    package: str
    starts: Callable[[Place], list[Start]] = lambda place: []
    socks: bool = True
    apart: bool = False  # the origin is a process of its own
    modes: frozenset[str] = frozenset()
    placements: frozenset[str] = frozenset({SAME, SPLIT})  # of modes without UDP
    absent: dict[str, str] = field(default_factory=dict)  # mode -> why it takes no part
    idle: tuple[int, ...] = (1000,)

    @property
    def direct(self) -> bool:
        return self.name == "direct"

    def target(self, place: Place) -> list[str]:
        """How `stile bench` reaches the origin through this peer."""
        if self.direct:
            return ["--direct"]
        origin = ["--origin", f"{HOST}:{place.origin}"] if self.apart else []
        if self.socks:
            return ["--via", f"socks5h://{HOST}:{place.proxy}", *origin]
        return ["--direct", "--origin", f"{HOST}:{place.proxy}"]


def configuration(place: Place, name: str, text: str) -> Path:
    path = place.folder / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def stile(place: Place) -> list[Start]:
    words = [str(place.binary), "serve", "--listen", f"{HOST}:{place.proxy}", "--workers", "1", "--log", "none"]
    return [Start(words, place.proxy)]


def policy() -> str:
    """Rules as a network would have them, none of which matches before the last one."""
    shapes = (
        "deny anyone to tcp 10.{high}.{low}.0/24:25",
        "allow anyone from 10.{high}.{low}.0/24 to public:80,443",
        "deny anyone to host-{number}.example.com",
        "allow anyone from 192.168.{low}.0/24 to tcp 172.16.{low}.0/24",
        "deny anyone to tcp udp 198.51.100.{low}:{port}",
    )
    rules = [
        f"rule-{number}: "
        + shapes[number % len(shapes)].format(number=number, high=number // 250, low=number % 250, port=1024 + number)
        for number in range(POLICY_RULES - 1)
    ]
    return "\n".join([*rules, "last: allow anyone from 127.0.0.0/8 to loopback"])


def stile_whole(place: Place) -> list[Start]:
    file = configuration(
        place, "stile.toml",
        f'workers = 1\nlog = "json"\n\n[[listen]]\naddress = "{HOST}:{place.proxy}"\n\n'
        f"[policy]\nrules = '''\n{policy()}\n'''\n",
    )  # fmt: skip
    words = [str(place.binary), "serve", "--config", str(file)]
    return [Start(words, place.proxy, output=place.folder / "access.json", files=(file,))]


def microsocks(place: Place) -> list[Start]:
    return [Start(["microsocks", "-i", HOST, "-p", str(place.proxy)], place.proxy)]


def dante(place: Place) -> list[Start]:
    file = configuration(
        place, "danted.conf",
        f"logoutput: /dev/null\ninternal: {HOST} port = {place.proxy}\nexternal: lo\n"
        "clientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n",
    )  # fmt: skip
    words = ["danted", "-N", "1", "-f", str(file), "-p", str(place.folder / "danted.pid")]
    return [Start(words, place.proxy, files=(file,))]


def haproxy(place: Place, *options: str) -> list[Start]:
    # 9,500 connections are 19,000 descriptors: all that a hard limit of 20,000 allows.
    file = configuration(
        place, "haproxy.cfg",
        "global\n  nbthread 1\n  maxconn 9500\n  maxpipes 64\ndefaults\n  mode tcp\n  retries 0\n"
        "  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten relay\n"
        f"  bind {HOST}:{place.proxy}\n{''.join(f'  option {option}{chr(10)}' for option in options)}"
        f"  server origin {HOST}:{place.origin}\n",
    )  # fmt: skip
    return [Start(["haproxy", "-db", "-q", "-f", str(file)], place.proxy, files=(file,))]


def haproxy_splice(place: Place) -> list[Start]:
    return haproxy(place, "splice-request", "splice-response")


def v2ray(place: Place) -> list[Start]:
    settings = {
        "log": {"loglevel": "none"},
        "inbounds": [
            {
                "listen": HOST,
                "port": place.proxy,
                "protocol": "socks",
                "settings": {"auth": "noauth", "udp": True, "ip": HOST},
            }
        ],
        "outbounds": [{"protocol": "freedom", "settings": {}}],
    }
    file = configuration(place, "v2ray.json", json.dumps(settings, indent=2) + "\n")
    return [Start(["env", "GOMAXPROCS=1", "v2ray", "-config", str(file)], place.proxy, files=(file,))]


def ssh(place: Place) -> list[Start]:
    """`ssh -D` and the sshd that it leads to: both are the proxy, and what passes between them is encrypted."""
    keys = place.folder.parent / "ssh-keys"
    if not keys.exists():
        keys.mkdir(mode=0o700)
        for key in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it; its service makes it elsewhere
    file = configuration(
        place, "sshd_config",
        f"Port {place.spare}\nListenAddress {HOST}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nLogLevel QUIET\n",
    )  # fmt: skip
    client = ["ssh", "-q", "-N", "-F", "none", "-i", f"{keys}/user", "-l", "root", "-p", str(place.spare)]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"):
        client += ["-o", option]
    return [
        Start(["/usr/sbin/sshd", "-D", "-e", "-f", str(file)], place.spare, files=(file,)),
        Start([*client, "-D", f"{HOST}:{place.proxy}", HOST], place.proxy),
    ]


def named(*modes: Mode) -> frozenset[str]:
    return frozenset(mode.name for mode in modes)


NO_UDP = dict.fromkeys(named(*UDP), "it relays no datagrams")
NO_SOCKS = NO_UDP | {HANDSHAKES.name: "it has no handshake: a plain TCP relay"}
RELAYED = named(BULK, ROUND_TRIPS, CONNECTIONS)
TCP = named(BULK, ROUND_TRIPS, LATENCY, CONNECTIONS, HANDSHAKES)
NOT_A_GOAL = {LATENCY.name: "left out for time: no figure is judged by it"}

PEERS = (
    Peer("stile", "Stile", "", "", stile, modes=TCP | named(*UDP), idle=(1000, 3000, 9000)),
    Peer("direct", "direct, no proxy: the generator's total", "", "", modes=TCP | named(*UDP), idle=(1000, 3000, 9000)),
    Peer(
        "microsocks", "microsocks", "microsocks", "microsocks", microsocks, modes=TCP, absent=NO_UDP,
        idle=(1000, 3000, 9000),
    ),
    Peer("dante", "Dante", "danted", "dante-server", dante, modes=TCP | named(*UDP)),
    Peer(
        "haproxy-copy", "haproxy, copy, no handshake", "haproxy", "haproxy", haproxy, socks=False, apart=True,
        modes=RELAYED, absent=NO_SOCKS | NOT_A_GOAL, idle=(1000, 3000, 9000),
    ),
    Peer(
        "haproxy-splice", "haproxy, splice, no handshake", "haproxy", "haproxy", haproxy_splice, socks=False, apart=True,
        modes=RELAYED, absent=NO_SOCKS | NOT_A_GOAL, idle=(),
    ),
    Peer(
        "stile-apart", "Stile, origin apart as haproxy's", "", "", stile, apart=True, modes=RELAYED,
        absent=dict.fromkeys(named(LATENCY, HANDSHAKES, *UDP), "only there to compare with haproxy"), idle=(),
    ),
    Peer(
        "v2ray", "v2ray, freedom outbound", "v2ray", "v2ray", v2ray, modes=TCP | named(UDP[0], UDP[1]),
        absent=dict.fromkeys(named(*UDP[2:]), "left out for time: no figure is judged by it"), placements=frozenset({SAME}),
    ),
    Peer(
        "ssh", "ssh -D, encrypted", "/usr/sbin/sshd", "openssh-server", ssh, modes=TCP, absent=NO_UDP,
        placements=frozenset({SAME}),
    ),
    Peer(
        "stile-whole", f"Stile, {POLICY_RULES} rules and JSON access log", "", "", stile_whole, modes=RELAYED,
        absent=dict.fromkeys(named(LATENCY, HANDSHAKES, *UDP), "compared with the bare relay in three modes"),
        placements=frozenset({SAME}), idle=(),
    ),
)  # fmt: skip
BY_NAME = {peer.name: peer for peer in PEERS}
EXCLUDED = {"tor": "it relays through a network of relays, and none is here: its cost would not be a proxy's alone"}


def missing(peer: Peer) -> str | None:
    """Why this peer cannot take part at all, if so."""
    if peer.program and not shutil.which(peer.program):
        return f"{peer.package} is not installed"
    return None


def left_out(peer: Peer) -> dict[str, str]:
    """What this peer takes no part in -> why."""
    reasons: dict[str, list[str]] = {}
    for mode, why in peer.absent.items():
        reasons.setdefault(why, []).append(mode)
    found = {f"{peer.name} in {', '.join(sorted(modes))}": why for why, modes in reasons.items()}
    if SPLIT not in peer.placements:
        found[f"{peer.name} in the split placement"] = "left out for time: no figure is judged by it"
    return found


def takes_part(peer: Peer, mode: Mode, placement: str) -> bool:
    if mode.name not in peer.modes:
        return False
    if peer.direct:  # it has no proxy to place: one placement is enough
        return placement == mode.placements[0]
    return placement in peer.placements or placement == mode.placements[0]
