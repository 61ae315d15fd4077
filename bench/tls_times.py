#!/usr/bin/env python3
"""What bulk inside TLS costs: Stile's own listener beside stunnel in front of microsocks, and Stile without TLS.

    bench/tls_times.py [--seconds N] [--rounds N] [--connections N] [--binary FILE] > tls-times.json

`stile bench` loads each of them in turn, round by round, downwards, upwards and both ways; the generator, its TLS and its
checks of every octet are the same for all. One certificate (P-256) and the libraries' own choice of cipher. Processor time
is that of the servers alone, stunnel's and microsocks' together. Figures are medians of the rounds; `ratio` is what Stile
costs or moves for each that stunnel does. Loopback only. Not part of ./dev test: a timing is never a verdict there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from certificates import Authority  # noqa: E402
from processes import accepts, free_port, wait_until  # noqa: E402

MODES = ("down", "up", "both")
TICK = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
STILE = """
log = "none"
[[listen]]
address = "127.0.0.1:{port}"
{tls}
[policy]
rules = 'all: allow anyone from loopback to loopback'
"""
STUNNEL = """
foreground = yes
pid =
debug = err
[proxy]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{behind}
cert = {certificate}
key = {key}
"""


class Contender:
    """One way to the origin: its processes, and the proxy's address for the generator."""

    def __init__(self, scheme: str, *starts: tuple[int, list[str]]) -> None:
        """Commands and the ports where they listen, the client's last."""
        quiet, self.processes = subprocess.DEVNULL, []
        for port, command in starts:
            self.processes.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
            wait_until(f"{command[0]} listens", lambda: accepts("127.0.0.1", port))
        self.via = f"{scheme}://localhost:{port}"

    def processor_seconds(self) -> float:
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Sample:
    gbit_per_second: float
    cpu_seconds_per_gib: float


def contenders(binary: Path, folder: Path, ca: Authority, stack: ExitStack) -> dict[str, Contender]:
    with redirect_stdout(sys.stderr):
        certificate, key = ca.issue("server", "DNS:localhost", "IP:127.0.0.1")
    plain, inside, front, behind = (free_port() for _ in range(4))
    files = {
        "plain.toml": STILE.format(port=plain, tls=""),
        "tls.toml": STILE.format(port=inside, tls=f'tls = {{ certificate = "{certificate}", key = "{key}" }}'),
        "stunnel.conf": STUNNEL.format(port=front, behind=behind, certificate=certificate, key=key),
    }
    for name, text in files.items():
        (folder / name).write_text(text)

    def run(scheme: str, *starts: tuple[int, list[str]]) -> Contender:
        return stack.enter_context(closing(Contender(scheme, *starts)))

    serve = [str(binary), "serve", "--config"]
    return {
        "stile-tls": run("socks5h+tls", (inside, [*serve, str(folder / "tls.toml")])),
        "stunnel+microsocks": run(
            "socks5h+tls",
            (behind, ["microsocks", "-i", "127.0.0.1", "-p", str(behind)]),
            (front, ["stunnel4", str(folder / "stunnel.conf")]),
        ),
        "stile-plain": run("socks5h", (plain, [*serve, str(folder / "plain.toml")])),
    }


def measure(binary: Path, ca: Authority, contender: Contender, mode: str, arguments: argparse.Namespace) -> Sample:
    trust = ["--ca", str(ca.certificate)] if "+tls" in contender.via else []
    load = ["--seconds", str(arguments.seconds), "--connections", str(arguments.connections), "--json"]
    before = contender.processor_seconds()
    command = [str(binary), "bench", mode, "--via", contender.via, *trust, *load]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    spent = contender.processor_seconds() - before
    figures = json.loads(result.stdout)
    # Processor time counts the warming up as well, and so do these octets.
    return Sample(figures["octets"] * 8 / figures["seconds"] / 1e9, spent / (figures["octets_total"] / GIB))


def summary(samples: dict[str, list[Sample]]) -> dict[str, object]:
    def median(name: str, figure: str) -> float:
        return statistics.median(getattr(sample, figure) for sample in samples[name])

    figures = ("gbit_per_second", "cpu_seconds_per_gib")
    table: dict[str, object] = {name: {figure: round(median(name, figure), 3) for figure in figures} for name in samples}
    table["ratio"] = {
        figure: round(median("stile-tls", figure) / median("stunnel+microsocks", figure), 3) for figure in figures
    }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "stile")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        with redirect_stdout(sys.stderr):
            ca = Authority(Path(place) / "ca")
        ways = contenders(binary, Path(place), ca, stack)
        taken: dict[str, dict[str, list[Sample]]] = {mode: {name: [] for name in ways} for mode in MODES}
        for _ in range(arguments.rounds):
            for mode in MODES:
                for name, contender in ways.items():
                    taken[mode][name].append(measure(binary, ca, contender, mode, arguments))
    versions = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    how = {"seconds": arguments.seconds, "rounds": arguments.rounds, "connections": arguments.connections}
    print(json.dumps({"cores": os.cpu_count(), "library": versions, **how, "modes": {m: summary(taken[m]) for m in MODES}}, indent=2))


if __name__ == "__main__":
    main()
