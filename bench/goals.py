"""The goals that a run can judge: what they ask for, and what the run says.

hev-socks5-server is no Debian package. It is placed by its ratio to a peer that is one, both measured on one machine
in one run (docs/benchmarks.md has the table): an estimate, good to about a tenth.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from modes import BULK, CONNECTIONS, LATENCY, ROUND_TRIPS, SAME, SPLIT
from summary import Median, Medians

# (mode, placement) -> (peer, hev's cost as a multiple of that peer's)
HEV = {
    (BULK.name, SAME): ("haproxy-splice", 1.03),
    (BULK.name, SPLIT): ("haproxy-splice", 1.08),
    (ROUND_TRIPS.name, SAME): ("microsocks", 0.97),
    (ROUND_TRIPS.name, SPLIT): ("microsocks", 0.73),
    (CONNECTIONS.name, SAME): ("microsocks", 1.28),
    (CONNECTIONS.name, SPLIT): ("microsocks", 1.11),
    ("udp-1", SPLIT): ("dante", 0.34),
    ("udp-64", SPLIT): ("dante", 0.41),
    ("udp-1-offload", SPLIT): ("dante", 0.36),
    ("udp-64-offload", SPLIT): ("dante", 0.36),
}
HEV_CONNECTION_RATE = ("microsocks", 1.0)  # its rate, both split
HEV_LATENCY = ("microsocks", 1.24)  # its p50, one tunnel, both on one core


@dataclass(frozen=True)
class Goal:
    """`value` is in the unit of the limits; None where the run cannot tell, and `note` says why."""

    what: str
    at_least: float
    better: float | None
    value: float | None
    note: str = ""
    more: bool = False  # whether larger is better
    broken: bool = False  # whatever the value, it is not reached

    def reaches(self, limit: float | None) -> bool | None:
        if self.value is None or limit is None:
            return None
        return not self.broken and (self.value >= limit if self.more else self.value <= limit)

    def row(self) -> dict:
        row = asdict(self)
        row["value"] = None if self.value is None else float(f"{self.value:.4g}")
        return row | {"met": self.reaches(self.at_least), "better_met": self.reaches(self.better)}


class Judge:
    def __init__(self, medians: Medians, extras: dict) -> None:
        self.medians = medians
        self.extras = extras
        self.goals: list[Goal] = []

    def ratio(
        self, what: str, mode: str, placement: str, other: tuple[str, float], limits: tuple[float, float | None],
        of: str = "stile", figure: Callable[[Median], float | None] = lambda median: median.cost, more: bool = False,
    ) -> None:  # fmt: skip
        """A goal that compares a figure with another peer's, which may stand for a third one by a factor."""
        peer, factor = other
        mine = self.medians.get((mode, placement, of))
        theirs = self.medians.get((mode, placement, peer))
        if not mine or not theirs or not figure(mine) or not figure(theirs):
            absent = peer if mine else of
            self.goals.append(Goal(what, *limits, None, f"{absent} was not measured there", more))
            return
        note = f"{peer} × {factor:.3g}" if factor != 1 else peer
        self.goals.append(Goal(what, *limits, figure(mine) / (figure(theirs) * factor), note, more))

    def judge(self) -> list[Goal]:
        self.tcp()
        self.connections()
        self.idle()
        self.udp()
        self.rest()
        return self.goals

    def tcp(self) -> None:
        for placement, limit in ((SAME, 0.85), (SPLIT, 0.87)):
            limits = (limit, 0.75 if placement == SAME else None)
            for whose, peer in (("hev's", HEV[BULK.name, placement]), ("haproxy's with splice", ("haproxy-splice", 1))):
                self.ratio(f"bulk, {placement}: cost to {whose}", BULK.name, placement, peer, limits, "stile-apart")
        name = ROUND_TRIPS.name
        self.ratio("round trips, same: cost to hev's", name, SAME, HEV[name, SAME], (0.45, 0.40))
        self.ratio("round trips, split: cost to hev's", name, SPLIT, HEV[name, SPLIT], (0.65, None))
        self.ratio("round trips, same: cost to haproxy's", name, SAME, ("haproxy-copy", 1), (0.80, 0.72), "stile-apart")
        self.ratio("round trips, same: cost to direct's", name, SAME, ("direct", 1), (1.10, 1.0))
        self.ratio(
            "one tunnel, same: p50 to hev's", LATENCY.name, SAME, HEV_LATENCY, (0.77, None), figure=lambda median: median.p50
        )

    def connections(self) -> None:
        name = CONNECTIONS.name
        self.ratio("new connections, same: cost to hev's", name, SAME, HEV[name, SAME], (0.43, 0.38))
        self.ratio("new connections, split: cost to hev's", name, SPLIT, HEV[name, SPLIT], (0.51, None))
        self.ratio("new connections, same: cost to microsocks'", name, SAME, ("microsocks", 1), (0.55, None))
        self.ratio("new connections, same: cost to direct's", name, SAME, ("direct", 1), (1.40, 1.30))
        self.ratio(
            "new connections, same: cost to haproxy's, which has no handshake", name, SAME, ("haproxy-copy", 1),
            (0.95, None), "stile-apart",
        )  # fmt: skip
        self.ratio(
            "connections a second, split: to hev's", name, SPLIT, HEV_CONNECTION_RATE, (1.9, 2.1),
            figure=lambda median: median.rate, more=True,
        )  # fmt: skip

    def idle(self) -> None:
        mine = self.most_idle("stile")
        theirs = self.most_idle("direct")
        kernel = mine["kernel"] - theirs["kernel"] if mine and theirs and mine["asked"] == theirs["asked"] else None
        user = mine["user"] if mine else None
        note = f"{mine['tunnels']} tunnels" if mine else "not measured"
        self.goals.append(Goal("idle tunnel: octets of user memory", 256, 170, user, note))
        both = user + kernel if user is not None and kernel is not None else None
        self.goals.append(Goal("idle tunnel: octets with the kernel's above direct", 7500, None, both, note))
        self.goals.append(Goal("idle tunnel: descriptors", 2, None, mine["descriptors"] if mine else None, note))

    def most_idle(self, peer: str) -> dict | None:
        figures = [one for one in self.extras.get("idle", {}).get(peer, {}).values() if "user" in one]
        return max(figures, key=lambda one: one["asked"], default=None)

    def udp(self) -> None:
        for name, what, limits in (
            ("udp-1", "datagrams, one association", (0.72, 0.60)),
            ("udp-64", "datagrams, 64 associations", (0.65, 0.60)),
            ("udp-1-offload", "datagrams, segmenting peers, one association", (0.15, 0.12)),
            ("udp-64-offload", "datagrams, segmenting peers, 64 associations", (0.15, 0.12)),
        ):
            peer, factor = HEV[name, SPLIT]
            self.ratio(f"{what}: cost to hev's", name, SPLIT, (peer, factor), limits)
            if name.endswith("offload"):
                # Bound by its processor, hev is faster than Dante as it is cheaper.
                self.ratio(
                    f"{what}: rate to hev's", name, SPLIT, (peer, 1 / factor), (4, 7),
                    figure=lambda median: median.rate, more=True,
                )  # fmt: skip

    def rest(self) -> None:
        stall = self.extras.get("stall", {}).get("stile", {})
        octets = stall.get("octets")
        what = "a reader that stops: MB held in all, nothing lost"
        if octets is None:
            self.goals.append(Goal(what, 10, None, None, stall.get("why", "not measured")))
        elif stall["whole"]:
            self.goals.append(Goal(what, 10, None, octets / 1e6))
        else:
            self.goals.append(Goal(what, 10, None, octets / 1e6, "octets were lost", broken=True))
        for mode, limits in ((BULK, (1.05, 1.02)), (ROUND_TRIPS, (1.05, 1.02)), (CONNECTIONS, (1.15, 1.08))):
            what = f"the whole product against its bare relay, {mode.name}: cost"
            self.ratio(what, mode.name, SAME, ("stile", 1), limits, "stile-whole")
