#!/usr/bin/env python3
"""What it costs to put an unchanged curl behind a proxy: `stile run` beside proxychains4 and beside no proxy at all.

    bench/run_times.py [--gib N] [--connections N] [--starts N] [--rounds N] [--binary FILE] > run-times.json

Three loads, each way in turn, round by round, every other round backwards:

- bulk: one download of N GiB;
- connections: one curl that fetches 64 octets N times, each over a connection of its own, one after the other;
- starts: `true`, N times.

Everything is in one network namespace, on loopback: nginx as the origin, one Stile server, and the client. Seconds are those
of the whole command, its start included; processor seconds are user and system time of all that take part, apart for the
client's side (curl, and what puts it behind the proxy), the server and the origin. Figures are medians, `spread` is the
largest less the smallest as a share of the median. `ratio` is what `stile run` takes for each that another way does. It
needs root for the namespace, and a machine that does nothing else. Not part of ./dev test: a timing is never a verdict there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from machine import processor_seconds  # noqa: E402
from networks import Lab, Namespace  # noqa: E402
from processes import accepts, wait_until  # noqa: E402

FAR, PROXY = ("203.0.113.2", 80), ("127.0.0.1", 1080)
VIA = "socks5h://{}:{}".format(*PROXY)
SERVER = """
log = "none"
[[listen]]
address = "{}:{}"
[policy]
rules = 'far: allow anyone from loopback to 203.0.113.2'
""".format(*PROXY)
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  keepalive_timeout 0;
  server {{ listen 203.0.113.2:80 backlog=4096; root {folder}; }}
}}
"""
PROXYCHAINS = """
strict_chain
proxy_dns
[ProxyList]
socks5 {} {}
""".format(*PROXY)


@dataclass(frozen=True)
class Sample:
    seconds: float
    processor: float  # of all
    client: float
    server: float
    origin: float


class Ground:
    """The namespace with its two servers."""

    def __init__(self, binary: Path, folder: Path, place: Namespace, gib: float) -> None:
        self.binary, self.folder, self.place = binary, folder, place
        place.run("ip", "address", "add", f"{FAR[0]}/32", "dev", "lo")
        files = {"stile.toml": SERVER, "nginx.conf": NGINX.format(folder=folder), "proxychains.conf": PROXYCHAINS}
        for name, text in (files | {"small": "x" * 64}).items():
            (folder / name).write_text(text)
        with (folder / "big").open("wb") as big:
            big.truncate(int(gib * (1 << 30)))  # nothing but a hole: the origin reads no disk
        self.server = self.start([str(binary), "serve", "--config", f"{folder}/stile.toml"], PROXY)
        self.origin = self.start(["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf"], FAR)

    def start(self, words: list[str], listens: tuple[str, int]) -> subprocess.Popen:
        quiet = subprocess.DEVNULL
        program = subprocess.Popen([*self.place.prefix(), *words], stdin=quiet, stdout=quiet, stderr=quiet)
        with self.place.inside():
            wait_until(f"{words[0]} listens", lambda: accepts(*listens))
        return program

    def ways(self) -> dict[str, list[str]]:
        """The words before a command."""
        run = [str(self.binary), "run", "--via", VIA]
        proxychains = ["proxychains4", "-q", "-f", f"{self.folder}/proxychains.conf"]
        ways = {"direct": [], "stile run": [*run, "--"], "proxychains4": proxychains}
        if "--preload" in subprocess.run([self.binary, "run", "--help"], capture_output=True, text=True, check=True).stdout:
            ways["stile run --preload"] = [*run, "--preload", "--"]
        return ways

    def take(self, before: list[str], command: list[str], times: int) -> Sample:
        """The command, so many times one after the other; `ip netns exec` around all of it becomes the shell."""
        loop = ["sh", "-c", 'for _ in $(seq "$0"); do "$@" || exit 1; done', str(times)] if times > 1 else []
        words = [*self.place.prefix(), *loop, *before, *command]
        before_it = self.servers_seconds()
        begun = time.perf_counter()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{' '.join(words)} ended with {process.returncode}"
        client = usage.ru_utime + usage.ru_stime
        server, origin = (after - earlier for earlier, after in zip(before_it, self.servers_seconds()))
        return Sample(seconds, client + server + origin, client, server, origin)

    def servers_seconds(self) -> list[float]:
        return [processor_seconds([program.pid]) for program in (self.server, self.origin)]

    def close(self) -> None:
        for program in (self.server, self.origin):
            program.terminate()
            program.wait()


def summary(samples: dict[str, list[Sample]]) -> dict[str, object]:
    """Of each way medians, spreads and every sample (the fields of Sample, in their order); and the ratios."""

    def figure(way: str, name: str) -> list[float]:
        return [getattr(sample, name) for sample in samples[way]]

    figures: dict[str, object] = {}
    for way in samples:
        columns = {name: figure(way, name) for name in asdict(samples[way][0])}
        medians = {name: round(statistics.median(column), 4) for name, column in columns.items()}
        spread = {name: round((max(columns[name]) - min(columns[name])) / medians[name], 3) for name in ("seconds", "processor")}
        lines = [" ".join(f"{value:.4f}" for value in asdict(one).values()) for one in samples[way]]
        figures[way] = medians | {"spread": spread, "samples": lines}
    figures["ratio"] = {
        f"{own} to {other}": {
            name: round(statistics.median(figure(own, name)) / statistics.median(figure(other, name)), 3)
            for name in ("seconds", "processor", "client")
        }
        for own in samples
        if own.startswith("stile")
        for other in samples
        if other != own
    }
    return figures


def table(run: dict) -> str:
    """Rows of Markdown: a load, a way, medians of a whole sample, and what `stile run` is to it."""
    size = {"bulk": f"{run['gib']:g} GiB", "connections": f"{run['connections']:,} connections", "starts": f"{run['starts']} starts"}
    heads = ("load", "way", "seconds", "processor", "of it the client's", "spread", "`stile run` to it: seconds", "processor")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for load, figures in run["loads"].items():
        for way, one in figures.items():
            if way == "ratio":
                continue
            ratio = figures["ratio"].get(f"stile run to {way}", {"seconds": 1, "processor": 1})
            cells = [f"{one[name]:.3f} s" for name in ("seconds", "processor", "client")]
            spread = f"{one['spread']['seconds']:.0%}, {one['spread']['processor']:.0%}"
            cells += [spread, f"{ratio['seconds']:.2f}", f"{ratio['processor']:.2f}"]
            rows.append(f"| {size[load]} | {way} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4, help="of one download")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "stile")
    parser.add_argument("--table", type=Path, metavar="FILE", help="measure nothing; print figures of this file for a document")
    arguments = parser.parse_args()
    if arguments.table:
        return print(table(json.loads(arguments.table.read_text())))
    fetch = ["curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null"]
    url = "http://{}:{}".format(*FAR)
    loads: dict[str, tuple[list[str], int]] = {
        "bulk": ([*fetch, f"{url}/big"], 1),
        "connections": ([*fetch, f"{url}/small?[1-{arguments.connections}]"], 1),
        "starts": (["true"], arguments.starts),
    }
    taken: dict[str, dict[str, list[Sample]]] = {load: {} for load in loads}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name, closing(Lab()) as lab:
        with closing(Ground(arguments.binary.resolve(), Path(name), lab.host("ground"), arguments.gib)) as ground:
            ways = ground.ways()
            for number in range(arguments.rounds):
                for load, (command, times) in loads.items():
                    for way in list(ways) if number % 2 == 0 else reversed(ways):
                        taken[load].setdefault(way, []).append(ground.take(ways[way], command, times))
    how = {"gib": arguments.gib, "connections": arguments.connections, "starts": arguments.starts, "rounds": arguments.rounds}
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "versions": versions(arguments.binary)}
    print(json.dumps(machine | how | {"loads": {load: summary(samples) for load, samples in taken.items()}}, indent=2))


def versions(binary: Path) -> list[str]:
    own = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    query = ["dpkg-query", "-W", "-f=${Package} ${Version}\n", "curl", "nginx-light", "proxychains4"]
    packages = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    return [own, *packages, f"Linux {os.uname().release}"]


if __name__ == "__main__":
    main()
