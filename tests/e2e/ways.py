"""Ways through the proxy of a fence (fenced.py) for programs that are not changed: Stile's own, and those of others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dante_client import behind
from fenced import PORT, PROXY, Fenced
from processes import BINARY, stile

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
    before: Callable[[Fenced, Path], list[str]]  # the words before a command, given a folder for what they need
    known: Callable[[], bool] = lambda: True  # whether this executable has it
    lacks: tuple[str, ...] = ()  # programs that it does not carry: they fail, and nothing leaves


def run_knows(flag: str) -> bool:
    return "run" in stile("--version").stdout.split() and flag in stile("run", "--help").stdout


def proxychains(_: Fenced, folder: Path) -> list[str]:
    (folder / "proxychains.conf").write_text(PROXYCHAINS)
    return ["proxychains4", "-q", "-f", str(folder / "proxychains.conf")]


def torsocks(_: Fenced, folder: Path) -> list[str]:
    (folder / "torsocks.conf").write_text(TORSOCKS)
    return ["env", f"TORSOCKS_CONF_FILE={folder}/torsocks.conf", "torsocks"]


def socksify(fenced: Fenced, folder: Path) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in behind(fenced.server, folder).items()), "socksify"]


# What `stile` itself has.
OWN = {
    "stile run": Way(
        before=lambda fenced, _: [str(BINARY), "run", "--via", fenced.url, "--"],
        known=lambda: run_knows("--via"),
        lacks=("ftp, active", "traceroute", "forking server"),
    ),
    "stile run --preload": Way(
        before=lambda fenced, _: [str(BINARY), "run", "--preload", "--via", fenced.url, "--"],
        known=lambda: run_knows("--preload"),
        lacks=("ping", "traceroute", "static C", "Go", "io_uring"),
    ),
}
# Debian packages of the same names, socksify in dante-client.
OTHERS = {"proxychains4": Way(proxychains), "torsocks": Way(torsocks), "socksify": Way(socksify)}
