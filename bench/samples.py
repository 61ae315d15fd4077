"""One sample: a peer under one load, what its processors did meanwhile, and whether anybody else disturbed them."""

import json
import resource
import subprocess
from dataclasses import asdict, dataclass

import machine
from machine import Bench, Trouble
from modes import SAME, Mode
from peers import Peer

FOREIGN_SHARE_MAX = 0.10  # of the used cores' time, spent by nobody who belongs to the sample
TRIES = 3


@dataclass(frozen=True)
class Sample:
    """Seconds of processor, units as the mode counts them, latencies in µs."""

    peer: str
    mode: str
    placement: str
    round: int
    processor: float  # the proxy's processes and ksoftirqd; of direct, the generator
    softirqd: float  # ksoftirqd's part of it
    units: float
    rate: float  # units a second, while measured
    p50: float | None
    p99: float | None
    foreign: float  # share of the used cores
    disturbed: bool
    attempt: int  # the one that was kept
    errors: int
    drops: int

    @property
    def cost(self) -> float:
        """Seconds of processor for one unit."""
        return self.processor / self.units

    def row(self) -> dict:
        return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in asdict(self).items()}


def generate(words: list[str], seconds: float) -> dict:
    """Runs `stile bench`; what it printed."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            out, err = run.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Trouble(f"no figures after {seconds:.0f} s") from None
        finally:
            machine.end(run)
    if not out.strip():
        raise Trouble(err.strip().splitlines()[-1] if err.strip() else f"stile bench ended with {run.returncode}")
    return json.loads(out)


class Sampler:
    """Takes samples of one length."""

    def __init__(self, bench: Bench, seconds: float, warmup: float, repeats: int) -> None:
        self.bench = bench
        self.seconds = seconds
        self.warmup = warmup
        self.repeats = repeats  # how many disturbed samples may still be taken again
        self.softirq = machine.softirq_threads()

    def arguments(self, mode: Mode) -> list[str]:
        return [*mode.arguments, "--seconds", f"{self.seconds:g}", "--warmup", f"{self.warmup:g}"]

    def take(self, peer: Peer, mode: Mode, placement: str, number: int) -> Sample:
        """One sample; a disturbed one is repeated, the quietest is kept."""
        best = self.attempt(peer, mode, placement, number, 1)
        for attempt in range(2, TRIES + 1):
            if not best.disturbed or self.repeats == 0:
                break
            self.repeats -= 1
            best = min(best, self.attempt(peer, mode, placement, number, attempt), key=lambda sample: sample.foreign)
        return best

    def attempt(self, peer: Peer, mode: Mode, placement: str, number: int, attempt: int) -> Sample:
        generator_core = self.bench.generator_core
        proxy_core = generator_core if placement == SAME else self.bench.proxy_core
        used = {generator_core} if peer.direct else {proxy_core, generator_core}
        with self.bench.serving(peer, proxy_core) as proxy:
            words = self.bench.generator(peer, proxy.place, self.arguments(mode))
            own = generator_core if peer.direct else proxy_core
            proxy_before = machine.processor_seconds(proxy.processes())
            before = self.accounts(used, proxy.helpers)
            figures = generate(words, self.seconds + self.warmup + 30)
            after = self.accounts(used, proxy.helpers)
            proxy_spent = machine.processor_seconds(proxy.processes()) - proxy_before
        spent = {key: after[key] - before[key] for key in after} | {"proxy": proxy_spent}
        softirqd = spent[f"softirqd-{own}"]
        known = spent["proxy"] + spent["generator"] + sum(spent[f"softirqd-{core}"] for core in used)
        foreign = max(0.0, spent["all"] - spent["idle"] - known) / max(spent["all"], 1e-9)
        units, rate = counted(figures, mode)
        processor = spent["proxy"] + softirqd
        if peer.direct:
            # The measured time alone: the generator's own start is no cost of the way.
            processor = figures["cpu_seconds"] / rate_part(figures) + softirqd
        latency = figures.get("latency_us", {})
        return Sample(
            peer=peer.name, mode=mode.name, placement=placement, round=number, processor=processor, softirqd=softirqd,
            units=units, rate=rate, p50=latency.get("p50"), p99=latency.get("p99"), foreign=foreign,
            disturbed=foreign > FOREIGN_SHARE_MAX, attempt=attempt, errors=sum(figures["errors"].values()),
            drops=figures.get("drops", 0),
        )  # fmt: skip

    def accounts(self, used: set[int], helpers: list[int]) -> dict[str, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        total, idle = machine.core_seconds(used)
        accounts = {
            "generator": children.ru_utime + children.ru_stime + machine.processor_seconds(helpers),
            "all": total,
            "idle": idle,
        }
        for core in used:
            threads = [self.softirq[core]] if core in self.softirq else []
            accounts[f"softirqd-{core}"] = machine.processor_seconds(threads)
        return accounts


def rate_part(figures: dict) -> float:
    """The share of all operations that the measured time holds."""
    return figures["operations"] / figures["operations_total"]


def counted(figures: dict, mode: Mode) -> tuple[float, float]:
    """Units in all, and units a second while measured."""
    total = figures["octets_total"] if mode.bulk else figures["operations_total"]
    if not figures["operations"] or not total:
        errors = ", ".join(f"{why} ({times})" for why, times in figures["errors"].items())
        raise Trouble(f"nothing was done{': ' + errors if errors else ''}")
    if not figures["verified"]:
        raise Trouble("octets came back wrong")
    return total * mode.per_operation, figures["per_second"] * mode.per_operation
