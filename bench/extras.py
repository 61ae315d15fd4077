"""What is measured once instead of in rounds: idle tunnels, start and end, fairness, and a reader that stops."""

import os
import resource
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import machine
from conversation import swallowed
from machine import Bench, Running, Trouble
from modes import BULK, ROUND_TRIPS
from peers import Peer
from samples import generate

SETTLE_SECONDS = 1.0
STALLED_OCTETS_MAX = 2_000_000_000


def affordable(tunnels: int) -> int:
    """As many as one process may hold, with two descriptors each."""
    return min(tunnels, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2)


@contextmanager
def held(bench: Bench, peer: Peer, proxy: Running, tunnels: int) -> Iterator[int]:
    """Holds idle tunnels through a proxy; how many really stand."""
    words = bench.generator(peer, proxy.place, ["idle", "--connections", str(tunnels), "--seconds", "600"])
    run = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stderr
    try:
        ready, _, _ = select.select([run.stderr], [], [], 90)
        line = run.stderr.readline() if ready else ""
        if not line.startswith("holding "):
            raise Trouble(line.strip() or "the tunnels do not stand after 90 s")
        yield int(line.split()[1])
        run.send_signal(signal.SIGINT)
        try:
            run.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            raise Trouble("the generator does not end") from None
    finally:
        machine.end(run)
        for pipe in (run.stdout, run.stderr):
            if pipe:
                pipe.close()


def descriptors(processes: list[int]) -> int:
    return sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes)


def idle(bench: Bench, peer: Peer, tunnels: int) -> dict:
    """Octets a tunnel: user memory (proportional set size over the proxy's at rest), kernel memory of the whole
    machine (both ends of the generator included; report.py takes direct's off), and descriptors."""
    tunnels = affordable(tunnels)
    with bench.serving(peer, bench.proxy_core) as proxy:
        time.sleep(SETTLE_SECONDS / 2)
        rest = proxy.processes()
        memory, kernel, open_before = sum(map(machine.memory_kib, rest)), machine.kernel_kib(), descriptors(rest)
        with held(bench, peer, proxy, tunnels) as standing:
            time.sleep(SETTLE_SECONDS)
            processes = proxy.processes()
            figures = {
                "asked": tunnels,
                "tunnels": standing,
                "user": (sum(map(machine.memory_kib, processes)) - memory) * 1024 / standing,
                "kernel": (machine.kernel_kib() - kernel) * 1024 / standing,
                "descriptors": (descriptors(processes) - open_before) / standing,
                "processes": len(processes),
            }
    return figures


def life(bench: Bench, peer: Peer, tunnels: int, starts: int) -> dict:
    """Seconds from the start of the program until it accepts, and from the order to end until it is gone while it
    holds tunnels (a second order, as the first one lets tunnels finish)."""
    tunnels = affordable(tunnels)
    begun = []
    for _ in range(starts):
        before = time.monotonic()
        with bench.serving(peer, bench.proxy_core):
            begun.append(time.monotonic() - before)
    with bench.serving(peer, bench.proxy_core) as proxy:
        with held(bench, peer, proxy, tunnels) as standing:
            descriptor = os.pidfd_open(proxy.roots[0])
            try:
                before = time.monotonic()
                os.kill(proxy.roots[0], signal.SIGTERM)
                time.sleep(0.02)  # two signals at once would be one
                os.kill(proxy.roots[0], signal.SIGTERM)
                gone, _, _ = select.select([descriptor], [], [], 60)
                if not gone:
                    raise Trouble("it has not ended after 60 s")
                ended = time.monotonic() - before
            finally:
                os.close(descriptor)
    return {"start": statistics.median(begun), "starts": starts, "end": ended, "tunnels": standing}


def fairness(bench: Bench, peer: Peer, seconds: float, times: int) -> dict:
    """Latencies in µs of 64 tunnels with round trips, alone and beside one tunnel that takes all it gets."""
    alone, beside = [], []
    for _ in range(times):
        with bench.serving(peer, bench.proxy_core) as proxy:
            length = ["--seconds", f"{seconds:g}", "--warmup", "0.2"]
            words = bench.generator(peer, proxy.place, [*ROUND_TRIPS.arguments, *length])
            alone.append(generate(words, seconds + 30)["latency_us"])
            longer = ["--connections", "1", "--seconds", f"{seconds + 10:g}"]
            bulk = subprocess.Popen(
                bench.generator(peer, proxy.place, [BULK.arguments[0], *longer]),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                time.sleep(0.3)
                beside.append(generate(words, seconds + 30)["latency_us"])
            finally:
                machine.end(bulk)
    return {
        f"{percentile}_{name}": statistics.median(one[percentile] for one in runs)
        for name, runs in (("alone", alone), ("beside", beside))
        for percentile in ("p50", "p99")
    }


def stall(bench: Bench, peer: Peer, times: int) -> dict:
    """Octets that a far end gets rid of while the client reads none; the kernel sizes its buffers anew each time."""
    held, complete = [], True
    for _ in range(times):
        with bench.serving(peer, bench.proxy_core, apart=False) as proxy:
            place = proxy.place
            port = place.origin if peer.direct else place.proxy
            octets, whole = swallowed(port, place.origin, peer.socks and not peer.direct, STALLED_OCTETS_MAX)
        held.append(octets)
        complete = complete and whole
    return {"octets": statistics.median(held), "largest": max(held), "whole": complete}
