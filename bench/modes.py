"""What is measured: each mode of `stile bench` as it is run, the unit that its cost is counted in, and where it stands."""

from dataclasses import dataclass

SAME = "same"  # proxy and generator share one core: no wake-up crosses cores, the quieter yardstick
SPLIT = "split"  # a core each, as a server and its clients have


@dataclass(frozen=True)
class Mode:
    name: str
    title: str
    arguments: tuple[str, ...]  # of `stile bench`
    unit: str
    per_operation: float = 1.0  # units in one operation of `stile bench`
    scale: float = 1e6  # from seconds to what the table shows
    symbol: str = "µs"
    placements: tuple[str, ...] = (SAME, SPLIT)

    @property
    def bulk(self) -> bool:
        return self.arguments[0] == "down"


def _udp(name: str, title: str, associations: int, octets: int, *more: str) -> Mode:
    arguments = ("udp", "--connections", str(associations), "--size", str(octets), *more)
    # An operation is there and back: two datagrams relayed.
    return Mode(name, title, arguments, "relayed datagram", per_operation=2, placements=(SPLIT,))


BULK = Mode(
    "bulk", "octets down, 16 tunnels", ("down", "--connections", "16", "--verify", "edges"), "GB", 1e-9, 1, "s"
)
ROUND_TRIPS = Mode("rr", "64 B and their echo, 64 tunnels", ("rr", "--connections", "64", "--size", "64"), "round trip")
LATENCY = Mode("rr-1", "64 B and their echo, one tunnel", ("rr", "--connections", "1", "--size", "64"), "round trip")
CONNECTIONS = Mode(
    "connect", "new connections, 64 at once: handshake, 64 B and their echo, close",
    ("connect", "--connections", "64", "--size", "64"), "connection",
)  # fmt: skip
HANDSHAKES = Mode(
    "handshake", "handshakes, 64 at once", ("handshake", "--connections", "64"), "handshake", placements=(SAME,)
)
UDP = (
    _udp("udp-1", "datagrams of 64 B, one association", 1, 64),
    _udp("udp-64", "datagrams of 64 B, 64 associations", 64, 64),
    _udp("udp-1-1200", "datagrams of 1200 B, one association", 1, 1200),
    _udp("udp-64-1200", "datagrams of 1200 B, 64 associations", 64, 1200),
    _udp("udp-1-offload", "1200 B, one association, peers that segment as QUIC's do", 1, 1200, "--offload"),
    _udp("udp-64-offload", "1200 B, 64 associations, peers that segment", 64, 1200, "--offload"),
)
MODES = (BULK, ROUND_TRIPS, LATENCY, CONNECTIONS, HANDSHAKES, *UDP)
BY_NAME = {mode.name: mode for mode in MODES}

# Measured once, not in rounds: see idle.py and counts.py.
IDLE, LIFE, FAIRNESS, STALL, COUNTS = "idle", "life", "fairness", "stall", "counts"
EXTRAS = (IDLE, LIFE, FAIRNESS, STALL, COUNTS)
