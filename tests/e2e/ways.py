"""Ways through the proxy of a fence (fenced.py) for programs that are not changed: Stile's own, and those of others."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from dante_client import behind
from fenced import PORT, PROXY
from processes import BINARY, stile, wait_until
from unchanged import Stage

PROXYCHAINS = f"""strict_chain
proxy_dns
remote_dns_subnet 224
[ProxyList]
socks5 {PROXY} {PORT}
"""
TORSOCKS = f"""TorAddress {PROXY}
TorPort {PORT}
AllowInbound 1
EnableIPv6 1
"""


@dataclass(frozen=True)
class Way:
    before: Callable[[Stage], list[str]]  # prepares what it needs, and gives the words before a command
    known: Callable[[], bool] = lambda: True  # whether this executable has it
    lacks: tuple[str, ...] = ()  # programs that it does not carry: they fail, and nothing leaves
    routed: bool = False  # it is on a router: the fence has one


def run_knows(flag: str) -> bool:
    return "run" in stile("--version").stdout.split() and flag in stile("run", "--help").stdout


def run(*flags: str) -> Callable[[Stage], list[str]]:
    return lambda stage: [str(BINARY), "run", *flags, "--via", stage.fenced.url, "--"]


def gateway(stage: Stage) -> list[str]:
    fenced = stage.fenced
    with fenced.edge.inside():
        daemon = stage.daemon(BINARY, "gateway", "--lan", fenced.inward, "--via", fenced.url, "--apply")

        def in_force() -> bool:
            assert daemon.process.poll() is None, daemon.log.read_text()
            return subprocess.run(["nft", "list", "table", "inet", "stile_gateway"], capture_output=True).returncode == 0

        wait_until("the gateway's rules are in force", in_force)
    return []


def proxychains(stage: Stage) -> list[str]:
    (stage.folder / "proxychains.conf").write_text(PROXYCHAINS)
    return ["proxychains4", "-q", "-f", f"{stage.folder}/proxychains.conf"]


def torsocks(stage: Stage) -> list[str]:
    (stage.folder / "torsocks.conf").write_text(TORSOCKS)
    return ["env", f"TORSOCKS_CONF_FILE={stage.folder}/torsocks.conf", "torsocks"]


def socksify(stage: Stage) -> list[str]:
    settings = behind(stage.fenced.server, stage.folder)
    return ["env", *(f"{name}={value}" for name, value in settings.items()), "socksify"]


LISTENING = ("ftp, active", "forking server")
# What `stile` itself has.
OWN = {
    "stile run": Way(run(), lambda: run_knows("--via")),
    "stile run --preload": Way(
        run("--preload"),
        lambda: run_knows("--preload"),
        lacks=(*LISTENING, "ping", "traceroute", "static C", "Go", "io_uring"),
    ),
    "stile gateway": Way(gateway, lambda: stile("gateway", "--help").returncode == 0, lacks=LISTENING, routed=True),
}
# Debian packages of the same names, socksify in dante-client.
OTHERS = {"proxychains4": Way(proxychains), "torsocks": Way(torsocks), "socksify": Way(socksify)}
