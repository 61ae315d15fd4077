"""`./dev bench`: Stile, its peers from Debian's packages, and no proxy at all, in one run.

Reads as the list of its steps, at the bottom. modes.py says what is measured, peers.py who takes part, machine.py how
processes are started and accounted, samples.py, extras.py and counts.py how each figure is taken, summary.py, goals.py
and report.py what becomes of them. Needs root, for a network namespace of its own. No figure is a verdict: it exits
with 1 only where nothing could be measured.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

import counts
import extras
import machine
import modes
import peers
import report
import summary
from machine import Bench, Journal, Trouble
from modes import SAME, SPLIT, Mode
from peers import Peer
from report import Results
from samples import Sampler

Taken = TypeVar("Taken")
BESIDES_SECONDS = 0.35  # of a sample: starting and ending the peer and the generator
QUICK_PEERS = ("stile", "direct", "microsocks")
FAIRNESS_PEERS = ("direct", "stile", "microsocks")
STALL_PEERS = ("direct", "stile", "microsocks", "haproxy-copy")
COUNTED_PEERS = ("stile", "stile-whole", "microsocks", "dante", "haproxy-copy")


@dataclass(frozen=True)
class Scale:
    """How long and how much: the full run, and the quick one that only shows that everything works."""

    rounds: int
    seconds: float
    warmup: float
    repeats: float  # of disturbed samples, for each sample of the run
    idle: tuple[int, ...]  # how many tunnels; a peer holds as many of these as it can
    life_tunnels: int
    life_starts: int
    fairness_seconds: float
    fairness_times: int
    stalls: int
    conversations: int  # for system calls
    instructions: tuple[int, int]  # connections of the shorter and the longer life under callgrind


FULL = Scale(5, 0.8, 0.2, 0.4, (1000, 3000, 9000), 9000, 5, 1.0, 3, 3, 100, (200, 1200))
QUICK = Scale(1, 0.15, 0.05, 0, (200,), 200, 1, 0.15, 1, 1, 10, (10, 30))


# --- What is asked for ------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Measures Stile, its peers and no proxy at all, in one run."
    )
    names = [*modes.BY_NAME, *modes.EXTRAS]
    add = parser.add_argument
    add("--quick", action="store_true", help="Stile, microsocks and direct, one round: that it works, not how fast")
    add("--only", metavar="MODE,…", help=f"these modes alone: {', '.join(names)}")
    add("--peers", metavar="NAME,…", help=f"these peers alone: {', '.join(peers.BY_NAME)}")
    add("--rounds", type=int, metavar="N", help="samples of each figure [default: 5]")
    add("--keep", type=Path, metavar="DIR", help="where the run is kept [default: bench/runs/<date>-<processor>]")
    add("--binary", type=Path, default=report.ROOT / "build" / "release" / "stile", help="the stile to measure")
    asked = parser.parse_args()
    asked.whole = not (asked.quick or asked.only or asked.peers or asked.rounds or asked.keep)
    asked.only = listed(parser, asked.only, names) or names
    asked.peers = listed(parser, asked.peers, list(peers.BY_NAME)) or list(QUICK_PEERS if asked.quick else peers.BY_NAME)
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    return asked


def listed(parser: argparse.ArgumentParser, text: str | None, known: list[str]) -> list[str]:
    words = text.split(",") if text else []
    for word in words:
        if word not in known:
            parser.error(f"there is no '{word}': choose from {', '.join(known)}")
    return words


# --- Saying how far it is ---------------------------------------------------------------------------------------


class Progress:
    """In place on a terminal, else a line now and then."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done = 0
        self.began = self.spoke = time.monotonic()

    def step(self, what: str) -> None:
        self.done += 1
        at = time.monotonic() - self.began
        text = f"  {self.done} of {self.steps}, {at // 60:.0f}:{at % 60:02.0f}  {what}"
        if sys.stderr.isatty():
            print(f"\r{text[:110]}\033[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self.spoke > 20:
            self.spoke = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def twice(take: Callable[[], Taken]) -> Taken:
    """A busy machine can starve a short run: what fails is tried again, once."""
    try:
        return take()
    except (Trouble, OSError):
        return take()


# --- The rounds -------------------------------------------------------------------------------------------------

Job = tuple[Mode, str, Peer]  # mode, placement, peer


def plan(only: list[str], taking_part: list[Peer], one_core: bool) -> list[Job]:
    """One round: within a mode and placement the peers follow each other at once, so that they meet the same machine."""
    jobs = []
    for mode in modes.MODES:
        for placement in mode.placements:
            if mode.name in only and not (one_core and placement == SPLIT):
                jobs += [(mode, placement, peer) for peer in taking_part if peers.takes_part(peer, mode, placement)]
    return jobs


def backwards(jobs: list[Job]) -> list[Job]:
    """The peers of each mode and placement in reversed order; what drifts within a round then evens out."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job[0].name, job[1]), []).append(job)
    return [job for group in groups.values() for job in reversed(group)]


def rounds(sampler: Sampler, scale: Scale, jobs: list[Job], results: Results, progress: Progress) -> None:
    failed: Counter[str] = Counter()
    for number in range(1, scale.rounds + 1):
        for mode, placement, peer in jobs if number % 2 else backwards(jobs):
            heading = f"{peer.name}, {mode.name}, {placement}"
            progress.step(f"round {number}: {heading}")
            if failed[heading] > 1:  # it would fail again
                continue
            try:
                results.samples.append(twice(partial(sampler.take, peer, mode, placement, number)))
            except (Trouble, OSError) as trouble:
                failed[heading] += 1
                results.failures[heading] = str(trouble)


# --- What is measured once --------------------------------------------------------------------------------------

Step = tuple[str, tuple[str, ...], Callable[[], dict]]  # what it says, where the figure goes, how it is taken


def once(bench: Bench, sampler: Sampler, scale: Scale, only: list[str], taking_part: list[Peer]) -> list[Step]:
    """Each step stands for itself, so that one that fails takes nothing with it."""
    steps: list[Step] = []
    chosen = {peer.name: peer for peer in taking_part}
    if modes.IDLE in only:
        for tunnels in scale.idle:
            for peer in taking_part:
                if peer.idle and (tunnels in peer.idle or scale is QUICK):
                    take = partial(extras.idle, bench, peer, tunnels)
                    steps.append((f"{tunnels} idle tunnels", ("idle", peer.name, str(tunnels)), take))
    if modes.LIFE in only and "stile" in chosen:
        take = partial(extras.life, bench, chosen["stile"], scale.life_tunnels, scale.life_starts)
        steps.append(("start and end", ("life", "stile"), take))
    for name in FAIRNESS_PEERS:
        if modes.FAIRNESS in only and name in chosen:
            take = partial(extras.fairness, bench, chosen[name], scale.fairness_seconds, scale.fairness_times)
            steps.append(("fairness", ("fairness", name), take))
    for name in STALL_PEERS:
        if modes.STALL in only and name in chosen:
            take = partial(extras.stall, bench, chosen[name], scale.stalls)
            steps.append(("a reader that stops", ("stall", name), take))
    return steps + (counted_once(bench, sampler, scale, chosen) if modes.COUNTS in only else [])


def counted_once(bench: Bench, sampler: Sampler, scale: Scale, chosen: dict[str, Peer]) -> list[Step]:
    steps: list[Step] = []
    for peer in (chosen[name] for name in COUNTED_PEERS if name in chosen):
        take = partial(counts.system_calls, bench, peer, scale.conversations)
        steps.append(("system calls", ("system_calls", peer.name), take))
        if peer.name != "dante":  # its work is in children, which callgrind reports apart
            take = partial(counts.instructions, bench, peer, *scale.instructions)
            steps.append(("instructions", ("instructions", peer.name), take))
        for mode in (modes.ROUND_TRIPS, modes.CONNECTIONS):
            take = partial(counts.switches, sampler, peer, mode)
            steps.append((f"switches in {mode.name}", ("switches", peer.name, mode.name), take))
    return steps


def take_once(steps: list[Step], results: Results, progress: Progress) -> None:
    for what, where, take in steps:
        progress.step(f"{what}: {where[1]}")
        try:
            figures = twice(take)
        except (Trouble, OSError) as trouble:
            figures = {"why": str(trouble)}
            results.failures[", ".join(where)] = str(trouble)
        home = results.extras
        for name in where[:-1]:
            home = home.setdefault(name, {})
        home[where[-1]] = figures


# --- The run ----------------------------------------------------------------------------------------------------


def measure(bench: Bench, scale: Scale, only: list[str], taking_part: list[Peer], results: Results) -> None:
    """All of it; Ctrl-C ends it with what is there."""
    one_core = bench.proxy_core == bench.generator_core
    if one_core:
        results.absent["the split placement"] = "this machine has one core"
    jobs = plan(only, taking_part, one_core)
    sampler = Sampler(bench, scale.seconds, scale.warmup, round(scale.rounds * len(jobs) * scale.repeats))
    steps = once(bench, sampler, scale, only, taking_part)
    seconds = scale.rounds * len(jobs) * (scale.seconds + scale.warmup + BESIDES_SECONDS) + 3 * len(steps)
    say(
        f"{scale.rounds} rounds of {len(jobs)} samples, then {len(steps)} figures taken once: "
        f"about {max(seconds / 60, 1):.0f} minutes."
    )
    say("Up to 40 % more where other work disturbs samples, which are then repeated. Ctrl-C keeps what was measured.")
    progress = Progress(scale.rounds * len(jobs) + len(steps))
    try:
        rounds(sampler, scale, jobs, results, progress)
        take_once(steps, results, progress)
        results.complete = True
    except KeyboardInterrupt:
        say("\nInterrupted: what was measured is kept.")
    finally:
        progress.end()


def give_to_caller(folder: Path) -> None:
    """Under sudo the files belong to who asked."""
    if "SUDO_UID" in os.environ:
        for path in [folder, *folder.rglob("*"), report.PAGE]:
            with suppress(OSError):
                os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def show(results: Results) -> None:
    """The tables, for the terminal."""
    found = summary.medians(results.samples)
    if found:
        print(summary.text_table(summary.HEADINGS, summary.rows(found)))
    if idle := results.extras.get("idle"):
        print("\nIdle tunnels, octets each\n" + summary.text_table(summary.IDLE_HEADINGS, summary.idle_rows(idle)))
    for title, headings, lines in report.extra_tables(results.extras):
        print(f"\n{title}\n{summary.text_table(headings, lines)}")
    for who, why in (results.absent | results.failures).items():
        print(f"not measured: {who}: {why}")


def main() -> int:
    asked = arguments()
    scale = QUICK if asked.quick else FULL
    if asked.rounds:
        scale = Scale(**{**scale.__dict__, "rounds": asked.rounds})
    try:
        congestion_control = machine.enter_own_network()
    except (Trouble, OSError) as trouble:
        say(f"bench: cannot begin: {trouble}")
        return 1
    machine.raise_descriptor_limit()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing that was started stays behind
    absent = {peer: why for peer in asked.peers if (why := peers.missing(peers.BY_NAME[peer]))}
    taking_part = [peer for peer in peers.PEERS if peer.name in asked.peers and peer.name not in absent]
    settings = {
        "rounds": scale.rounds, "seconds": scale.seconds, "warmup": scale.warmup, "cores": machine.cores(),
        "congestion_control": congestion_control,
    }  # fmt: skip
    for peer in taking_part:
        absent |= peers.left_out(peer)
    results = Results(date.today().isoformat(), settings, absent=absent | peers.EXCLUDED)
    journal = Journal()
    with tempfile.TemporaryDirectory(prefix="stile-bench-") as scratch:
        measure(Bench(asked.binary.absolute(), Path(scratch), journal), scale, asked.only, taking_part, results)
    if not results.samples and not results.extras:
        say("bench: nothing was measured" + "".join(f"\n  {who}: {why}" for who, why in results.failures.items()))
        return 1
    folder = asked.keep or report.folder_for(results)
    goals = report.write(results, folder, journal, asked.binary)
    if asked.whole and results.complete:
        report.show(results, folder, goals)
    give_to_caller(folder)
    show(results)
    judged = [goal for goal in goals if goal.value is not None]
    met = sum(1 for goal in judged if goal.reaches(goal.at_least))
    say(f"\nGoals met: {met} of {len(judged)} that this run can judge ({folder}/goals.md). All of it is in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
