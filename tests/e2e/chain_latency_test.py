"""What a hop costs in round trips, and what they cost in time where the road to each hop is long. The round trips are counted
on the road and judged; the times are printed, and never judged.

    client ─ entry ══ hop 1 ══ hop 2 ══ hop 3 ─ target        ══ is a road of ROAD seconds one way
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import chains
import pytest
import raw_socks
from chains import entry_to, url
from delay import Delay
from logins import add_user
from origins import echo
from server import Server

ROAD = 0.020  # seconds
TIMES = 5
HANDSHAKES = ["step-by-step", "pipelined"]


@dataclass(frozen=True)
class Far:
    """An entry whose hops are each a road away from the one before."""

    entry: Server
    roads: list[Delay]

    def round_trips(self) -> list[list[int]]:
        return [[passage.round_trips for passage in road.passages] for road in self.roads]


@pytest.fixture
def build(serve, tmp_path: Path) -> Iterator[Callable[..., Far]]:
    with ExitStack() as stack:

        def make(count: int, handshake: str, login: bool) -> Far:
            listen, more, options, user = "", "", f'handshake = "{handshake}"', ""
            if login:
                users, file = tmp_path / "users", chains.secret(tmp_path, "password", "the right one")
                add_user(users, "gate", "the right one")
                listen, more, user = 'auth = ["password"]', f'[users]\nfile = "{users}"\n', "gate@"
                options += f'\npassword_file = "{file}"\nclear_password = "allow"'
            hops = [serve(config=chains.configuration(listen=listen, more=more)) for _ in range(count)]
            roads = [stack.enter_context(closing(Delay(hop.proxy, ROAD))) for hop in hops]
            return Far(entry_to(serve, *(url(road.place, user=user) for road in roads), options=options), roads)

        yield make
        raw_socks.close_all()


def seconds_to_connect(proxy: tuple[str, int], host: str, port: int) -> float:
    """From the request to the reply. Behind it, the target answers one question."""
    with raw_socks.dial(proxy) as client:
        client.sendall(raw_socks.GREETING)
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        began = time.monotonic()
        client.sendall(raw_socks.request(host, port))
        assert raw_socks.receive_reply(client).code == 0
        taken = time.monotonic() - began
        client.sendall(b"question")
        assert raw_socks.receive(client, 8) == b"question"
    return taken


@pytest.mark.parametrize("login", [False, True], ids=["open", "login"])
@pytest.mark.parametrize("handshake", HANDSHAKES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_round_trips_of_each_hop(build, origin, record_property, count: int, handshake: str, login: bool) -> None:
    """On the road to a hop: its own conversation and those of all behind it, and one for the target's answer."""
    far, way = origin(echo), build(count, handshake, login)
    times = [seconds_to_connect(way.entry.proxy, far.host, far.port) for _ in range(TIMES)]
    each = 1 if handshake == "pipelined" else 3 if login else 2
    assert way.round_trips() == [[each * (count - number) + 1] * TIMES for number in range(count)]
    called = f"{count} hop{'s' * (count > 1)}, {handshake}{', with a login' * login}"
    record_property(f"connect through {called}", f"{1000 * statistics.median(times):.0f} ms, the road to each hop {2000 * ROAD:.0f} ms there and back")
