#!/usr/bin/python3
"""Which unchanged programs get through a proxy with which help: the table of docs/run-compared.md.

    bench/run_compared.py [--only WAY] [--program NAME] [--times N] [--binary FILE] [--keep FILE]

Each program of tests/e2e/unchanged.py runs behind `stile run` and its kin, proxychains4, torsocks and socksify, in network
namespaces of its own whose only way out is one Stile server. What leaves in another way is counted there by nftables; what
went through stands in the server's records, by name or not. It needs root for the namespaces. The page is written where
nothing was left out; `--keep` writes down what each program said, to look at.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

CELL_SECONDS, RECORD_SECONDS = 15, 2
PAGE = ROOT / "docs" / "run-compared.md"
BEGIN, END = "<!-- the table: written by bench/run_compared.py -->", "<!-- the end of it -->"
PACKAGES = ("proxychains4", "torsocks", "dante-client")


@contextmanager
def on_stage(compiled: Path, routed: bool) -> Iterator:
    """A fence of one program's own, and all that it leaves is gone afterwards."""
    from fenced import FAR, NAMES, fence
    from name_server import NameServer
    from networks import Lab
    from server import Server
    from unchanged import GRANTED, Stage

    with tempfile.TemporaryDirectory(prefix="stile-compared-") as name, ExitStack() as stack:
        place, folder = Path(name), Path(name, "stage")
        folder.mkdir()
        for path in (place, folder):
            path.chmod(0o777)

        def serve(**options) -> Server:
            server = Server(place / "server", **options)
            stack.callback(end, server)
            return server

        fenced = fence(stack.enter_context(closing(Lab())), serve, stack, place, GRANTED, routed)
        stage = Stage(fenced, folder, compiled, stack.enter_context(ExitStack()))
        # A DNS server that the proxy can reach, too: who carries questions there as datagrams is to have an answer.
        fenced.client.file("resolv.conf", f"nameserver {FAR}\n")
        stage.at_far(lambda: NameServer(FAR, NAMES))
        yield stage


def end(server) -> None:
    """Who is judged here is not the server, which may still hold what a program has left."""
    with suppress(AssertionError):
        server.finish()


def one_cell(program, way, compiled: Path):
    from unchanged import attempt

    with redirect_stdout(sys.stderr), on_stage(compiled, way.routed) as stage:
        return attempt(stage, program, way.before(stage), seconds=CELL_SECONDS, patience=RECORD_SECONDS)


def verdict(outcome) -> str:
    """One cell. Packets are not counted out: how often a program tries again says nothing about who leads it."""
    words = ["works" if outcome.proved else "fails"]
    if outcome.proved and not outcome.by_name():
        words.append("name lost")
    if outcome.proved and not outcome.worked:
        words.append("ends badly")
    if outcome.leaked_names:
        words.append("leaks DNS")
    if outcome.leaked_others:
        words.append("leaks traffic")
    return "passes" if words == ["works"] else ", ".join(words)


def table(columns: list[str], rows: dict[str, dict[str, str]]) -> str:
    lines = [f"| | {' | '.join(f'`{column}`' for column in columns)} |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = ["**passes**" if row[column] == "passes" else row[column] for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    passed = [sum(row[column] == "passes" for row in rows.values()) for column in columns]
    lines.append(f"| of {len(rows)} pass | {' | '.join(map(str, passed))} |")
    return "\n".join(lines)


def versions(binary: Path) -> str:
    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    own = said(str(binary), "--version").splitlines()[0]
    packages = said("dpkg-query", "-W", "-f=${Package} ${Version}\n", *PACKAGES).split("\n")
    return ", ".join([own, *filter(None, packages), f"Linux {platform.release()}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="this way alone; may be given several times")
    parser.add_argument("--program", action="append", default=[], help="this program alone; may be given several times")
    parser.add_argument("--times", type=int, default=2, help="how often each runs; a cell shows every outcome that there was")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "stile")
    parser.add_argument("--keep", type=Path, help="a file for what the programs said")
    arguments = parser.parse_args()
    os.environ["STILE_BINARY"] = str(arguments.binary.resolve())  # read as these are imported
    from unchanged import PROGRAMS
    from ways import OTHERS, OWN

    with redirect_stdout(sys.stderr):
        known = {name: way for name, way in (OWN | OTHERS).items() if way.known()}
    ways = {name: way for name, way in known.items() if not arguments.only or name in arguments.only}
    rows: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="stile-programs-") as name, ExitStack() as stack:
        keep = stack.enter_context(arguments.keep.open("w")) if arguments.keep else None
        Path(name).chmod(0o755)
        for program in PROGRAMS:
            if arguments.program and program.name not in arguments.program:
                continue
            for label, way in ways.items():
                said = [one_cell(program, way, Path(name)) for _ in range(arguments.times)]
                verdicts = sorted({verdict(outcome) for outcome in said})
                rows.setdefault(program.name, {})[label] = " or ".join(verdicts)
                for outcome in said if keep else []:
                    seen = f"{sorted(outcome.sessions)}, asked {sorted(outcome.asked)}"
                    leaks = f"past it: {outcome.leaked_names} to DNS, {outcome.leaked_others} others"
                    title = f"=== {program.name}, {label}: {verdict(outcome)}"
                    print(f"{title}\n{outcome.said}\n{seen}, {leaks}\n", file=keep, flush=True)
    whole = table(list(ways), rows)
    print(whole)
    if not arguments.only and not arguments.program:
        head, rest = PAGE.read_text().split(BEGIN)
        made = f"{date.today().isoformat()}: {versions(arguments.binary)}."
        PAGE.write_text(f"{head}{BEGIN}\n\n{whole}\n\n{made}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
