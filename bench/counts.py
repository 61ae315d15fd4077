"""Figures that repeat where time is noisy: system calls, instructions, and switches of context.

System calls and instructions are those of exact conversations, one after the other; two lengths are compared, so that
start and end fall out. Single conversations show no batching: under load, one call often serves many tunnels.
"""

import os
import re
import shutil
from pathlib import Path

from conversation import converse, echo_server
from machine import Bench, Trouble
from modes import SAME, Mode
from peers import Peer
from samples import Sampler, counted, generate

ROUND_TRIPS = (1, 11)
PERF_EVENTS = ("context-switches", "cpu-migrations", "task-clock")


def watched(bench: Bench, peer: Peer, wrap: list[str], connections: int, round_trips: int) -> None:
    """A whole life of a peer under a tool. All share one core: who runs next is then no matter of luck."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {bench.generator_core})
    try:
        with (
            bench.serving(peer, bench.generator_core, wrap, apart=False) as proxy,
            echo_server(proxy.place.origin),
        ):
            converse(proxy.place.proxy, proxy.place.origin, peer.socks, connections, round_trips)
    finally:
        os.sched_setaffinity(0, everywhere)


def calls(table: Path) -> dict[str, int]:
    """System call -> times, from what `strace -c` wrote."""
    found = {}
    for line in table.read_text().splitlines():
        words = line.split()
        if len(words) in (5, 6) and words[0].replace(".", "", 1).isdecimal() and words[-1] != "total":
            found[words[-1]] = int(words[3])
    if not found:
        raise Trouble("strace wrote no table")
    return found


def system_calls(bench: Bench, peer: Peer, connections: int) -> dict:
    """System calls for a connection with its handshake and one round trip, and for each further round trip."""
    if not shutil.which("strace"):
        raise Trouble("strace is not installed")
    table = bench.folder / "strace.txt"
    few = max(connections // 5, 2)

    def count(conversations: int, round_trips: int) -> dict[str, int]:
        watched(bench, peer, ["strace", "-f", "-c", "-o", str(table)], conversations, round_trips)
        return calls(table)

    base, more, longer = count(few, ROUND_TRIPS[0]), count(connections, ROUND_TRIPS[0]), count(few, ROUND_TRIPS[1])
    per_connection = difference(base, more, connections - few)
    per_round_trip = difference(base, longer, few * (ROUND_TRIPS[1] - ROUND_TRIPS[0]))
    return {
        "connection": round(sum(per_connection.values()), 2),
        "round_trip": round(sum(per_round_trip.values()), 2),
        "calls_connection": per_connection,
        "calls_round_trip": per_round_trip,
    }


def difference(base: dict[str, int], other: dict[str, int], units: int) -> dict[str, float]:
    """Calls a unit; what start and end did by chance differently (under a twentieth of a call) is left out."""
    each = {name: (other.get(name, 0) - base.get(name, 0)) / units for name in base.keys() | other.keys()}
    return {name: round(value, 2) for name, value in sorted(each.items(), key=lambda item: -item[1]) if abs(value) >= 0.05}


def instructions(bench: Bench, peer: Peer, few: int, many: int) -> dict:
    """Instructions outside the kernel for a connection with its handshake and no payload."""
    if not shutil.which("valgrind"):
        raise Trouble("valgrind is not installed")
    totals = []
    for connections in (few, many):
        # A file for each process of the peer: those that only stand beside the server count no connections.
        for old in bench.folder.glob("callgrind.out.*"):
            old.unlink()
        # Stile's sandbox knows no calls of valgrind's.
        tool = ["env", "STILE_SANDBOX=off", "valgrind", "-q", "--tool=callgrind"]
        watched(bench, peer, [*tool, f"--callgrind-out-file={bench.folder}/callgrind.out.%p"], connections, 0)
        texts = [file.read_text() for file in bench.folder.glob("callgrind.out.*")]
        found = [re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE) for text in texts]
        if not any(found):
            raise Trouble("callgrind wrote no summary")
        totals.append(max(int(one[1]) for one in found if one))
    return {"connection": round((totals[1] - totals[0]) / (many - few)), "few": few, "many": many}


def switches(sampler: Sampler, peer: Peer, mode: Mode) -> dict:
    """perf's counts of a peer's processes under load, for each unit of the mode; both on one core."""
    bench = sampler.bench
    if not shutil.which("perf"):
        raise Trouble("perf is not installed")
    output = bench.folder / "perf.csv"
    with bench.serving(peer, bench.generator_core) as proxy:
        processes = ",".join(map(str, proxy.processes()))
        before = ["perf", "stat", "-x,", "-o", str(output), "-e", ",".join(PERF_EVENTS), "-p", processes, "--"]
        words = bench.generator(peer, proxy.place, sampler.arguments(mode), before)
        figures = generate(words, sampler.seconds + sampler.warmup + 30)
    units, _ = counted(figures, mode)
    found = {}
    for line in output.read_text().splitlines():
        fields = line.split(",")
        event = fields[2].partition(":")[0] if len(fields) > 2 else ""
        if event in PERF_EVENTS and fields[0].replace(".", "", 1).isdecimal():
            found[event] = float(f"{float(fields[0]) / units:.4g}")
    if not found:
        raise Trouble("perf counts nothing here")
    return found | {"placement": SAME}
