"""What many samples come down to: medians, and ratios to Stile within the same run."""

import statistics
from dataclasses import dataclass

from modes import BY_NAME, MODES, SAME, SPLIT, Mode
from peers import BY_NAME as PEER
from peers import PEERS
from samples import Sample

NOISE = 0.05  # smaller differences are none


@dataclass(frozen=True)
class Median:
    mode: str
    placement: str
    peer: str
    cost: float  # seconds of processor a unit
    rate: float  # units a second
    p50: float | None  # µs
    p99: float | None
    spread: float  # between the largest and the smallest cost, as a share of the median
    samples: int
    disturbed: int


Key = tuple[str, str, str]  # mode, placement, peer
Medians = dict[Key, Median]


def median_of(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def medians(samples: list[Sample]) -> Medians:
    """In the order of the tables. Disturbed samples count only where there is no other."""
    groups: dict[Key, list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.mode, sample.placement, sample.peer), []).append(sample)
    found: Medians = {}
    for mode in MODES:
        for placement in (SAME, SPLIT):
            for peer in PEERS:
                group = groups.get((mode.name, placement, peer.name), [])
                if group:
                    found[mode.name, placement, peer.name] = median(group)
    return found


def median(group: list[Sample]) -> Median:
    quiet = [sample for sample in group if not sample.disturbed] or group
    costs = [sample.cost for sample in quiet]
    middle = statistics.median(costs)
    return Median(
        mode=group[0].mode, placement=group[0].placement, peer=group[0].peer, cost=middle,
        rate=statistics.median(sample.rate for sample in quiet), p50=median_of([sample.p50 for sample in quiet]),
        p99=median_of([sample.p99 for sample in quiet]), spread=(max(costs) - min(costs)) / middle if middle else 0.0,
        samples=len(quiet), disturbed=len(group) - len([sample for sample in group if not sample.disturbed]),
    )  # fmt: skip


def to_stile(found: Medians, one: Median) -> float | None:
    """This cost as a multiple of Stile's in the same mode and placement; with the origin apart, of Stile's likewise."""
    own = "stile-apart" if PEER[one.peer].apart else "stile"
    mine = found.get((one.mode, one.placement, own)) or found.get((one.mode, one.placement, "stile"))
    return one.cost / mine.cost if mine and mine.cost else None


def cost_text(mode: Mode, cost: float) -> str:
    """A cost as the tables show it: for bulk seconds a GB, else µs a unit."""
    return f"{cost * mode.scale:.3g} {mode.symbol}"


def rate_text(mode: Mode, rate: float) -> str:
    return f"{rate * 8:.3g} Gbit/s" if mode.bulk else f"{rate / 1000:.3g} k/s"


HEADINGS = ("mode", "cores", "proxy", "processor", "× Stile", "spread", "p50 µs", "p99 µs", "rate", "samples")


def rows(found: Medians) -> list[tuple[str, ...]]:
    """The table, one row a peer, mode and placement."""
    lines = []
    for one in found.values():
        mode = BY_NAME[one.mode]
        ratio = to_stile(found, one)
        lines.append(
            (
                one.mode,
                "–" if PEER[one.peer].direct else one.placement,
                PEER[one.peer].title,
                cost_text(mode, one.cost),
                f"{ratio:.2f}" if ratio else "–",
                f"{one.spread:.0%}" if one.samples > 1 else "–",
                f"{one.p50:,.0f}" if one.p50 is not None else "–",
                f"{one.p99:,.0f}" if one.p99 is not None else "–",
                rate_text(mode, one.rate),
                f"{one.samples}" + (f", {one.disturbed} disturbed" if one.disturbed else ""),
            )
        )
    return lines


def idle_rows(idle: dict) -> list[tuple[str, ...]]:
    lines = []
    for peer, counts in idle.items():
        for asked, one in counts.items():
            if "why" in one:
                lines.append((PEER[peer].title, asked, "–", "–", "–", one["why"]))
                continue
            direct = idle.get("direct", {}).get(asked, {}).get("kernel")
            kernel = f"{one['kernel'] - direct:,.0f}" if direct is not None and peer != "direct" else "–"
            user = f"{one['user']:,.0f}" if peer != "direct" else "–"
            descriptors = f"{one['descriptors']:.2f}" if peer != "direct" else "–"
            lines.append((PEER[peer].title, f"{one['tunnels']}", user, kernel, descriptors, f"{one['kernel']:,.0f}"))
    return lines


IDLE_HEADINGS = ("proxy", "tunnels", "user memory", "kernel, above direct", "descriptors", "kernel, in all")


def text_table(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[i]) for line in [headings, *lines]) for i in range(len(headings))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in [headings, *lines])
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def markdown_table(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    shown = [headings, tuple("---" for _ in headings), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in shown)
