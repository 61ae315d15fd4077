"""Not one octet lost, added or reordered, FIN as FIN and RST as RST, whatever the two sides do (design 4: relay)."""

import os
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import raw_socks
import traffic
from origins import Origin
from server import Server
from traffic import Pace, in_thread

GIB = 1 << 30
MIB = 1 << 20
TIMEOUT = 120


@dataclass
class Ends:
    """Both ends of one tunnel."""

    client: socket.socket
    target: socket.socket

    def side(self, name: str) -> tuple[socket.socket, socket.socket]:
        """The named end, and the other."""
        return (self.client, self.target) if name == "client" else (self.target, self.client)


def open_tunnel(server: Server, far: Origin) -> Ends:
    client = raw_socks.tunnel(server.proxy, far.host, far.port, TIMEOUT)
    return Ends(client, far.accept(TIMEOUT))


@pytest.fixture
def ends(serve, origin) -> Ends:
    return open_tunnel(serve(), origin())


def carry(sender: socket.socket, receiver: socket.socket, size: int, write: Pace = Pace(), read: Pace = Pace()) -> None:
    """One stream through the tunnel, its digest equal at both ends."""
    seed = random.randrange(1 << 32)
    sent = in_thread(traffic.send, sender, seed, size, write)
    assert traffic.receive(receiver, size, read) == sent.result(TIMEOUT)


# --- Volume -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", ["up", "down", "both at once"])
def test_one_gibibyte(ends: Ends, direction: str) -> None:
    up = in_thread(carry, ends.client, ends.target, GIB if direction != "down" else 0)
    down = in_thread(carry, ends.target, ends.client, GIB if direction != "up" else 0)
    up.result(300)
    down.result(300)


def test_the_record_counts_every_octet(serve, origin) -> None:
    server = serve()
    ends = open_tunnel(server, origin())
    carry(ends.client, ends.target, 3 * MIB + 5)
    carry(ends.target, ends.client, 2 * MIB + 7)
    ends.client.shutdown(socket.SHUT_WR)
    ends.target.close()
    record = server.wait_for_record(event="session.end")
    assert (record["bytes_up"], record["bytes_down"]) == (3 * MIB + 5, 2 * MIB + 7), record


# --- Pace ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["client", "target"])
def test_one_octet_a_write(ends: Ends, sender: str) -> None:
    carry(*ends.side(sender), 50_000, write=Pace(write=1))


@pytest.mark.parametrize("sender", ["client", "target"])
def test_a_reader_that_stops_for_two_seconds(ends: Ends, sender: str) -> None:
    """Its own writer waits; the other direction runs on meanwhile."""
    writer, reader = ends.side(sender)
    other_way = in_thread(carry, reader, writer, 64 * MIB)
    carry(writer, reader, 64 * MIB, read=Pace(pause_seconds=2))
    other_way.result(TIMEOUT)


def test_a_stopped_reader_stops_nobody_else(serve, origin) -> None:
    server, far = serve("--workers", 1), origin()
    stuck, lively = open_tunnel(server, far), open_tunnel(server, far)
    writing = in_thread(traffic.send, stuck.client, 1, 64 * MIB)
    carry(lively.client, lively.target, 8 * MIB)
    carry(lively.target, lively.client, 8 * MIB)
    assert not writing.done(), "64 MiB went to a reader that reads nothing"
    assert traffic.receive(stuck.target, 64 * MIB) == writing.result(TIMEOUT)


# --- The end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["client", "target"])
def test_fin_travels_as_fin_and_the_other_direction_runs_on(ends: Ends, first: str) -> None:
    """8 MiB one way, FIN, 8 MiB back, all intact (protocol reference, 11 row 3)."""
    one, other = ends.side(first)
    carry(one, other, 8 * MIB)
    one.shutdown(socket.SHUT_WR)
    traffic.expect_end(other)
    carry(other, one, 8 * MIB)
    other.shutdown(socket.SHUT_WR)
    traffic.expect_end(one)


@pytest.mark.parametrize("first", ["client", "target"])
def test_octets_written_just_before_the_end_arrive(ends: Ends, first: str) -> None:
    one, other = ends.side(first)
    sent = in_thread(traffic.send, one, 7, 4 * MIB)
    sent.add_done_callback(lambda _: one.shutdown(socket.SHUT_WR))
    assert traffic.receive(other, 4 * MIB, Pace(pause_seconds=0.5)) == sent.result(TIMEOUT)
    traffic.expect_end(other)


@pytest.mark.parametrize("moment", ["idle", "after octets both ways", "after the other's FIN", "after its own FIN"])
@pytest.mark.parametrize("resetting", ["client", "target"])
def test_rst_travels_as_rst(ends: Ends, resetting: str, moment: str) -> None:
    one, other = ends.side(resetting)
    if moment == "after octets both ways":
        carry(one, other, MIB)
        carry(other, one, MIB)
    elif moment == "after the other's FIN":
        other.shutdown(socket.SHUT_WR)
        traffic.expect_end(one)
    elif moment == "after its own FIN":
        one.shutdown(socket.SHUT_WR)
        traffic.expect_end(other)
        other.sendall(b"x" * MIB)  # unread at the other end when it is closed: the kernel answers with RST
        one.recv(1)
    traffic.reset(one)
    expect_reset_when_writing(other) if moment == "after its own FIN" else traffic.expect_reset(other)


def expect_reset_when_writing(connection: socket.socket) -> None:
    """A side that has read FIN learns of the reset by its next write."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            connection.sendall(b"x" * MIB)


@pytest.mark.parametrize("resetting", ["client", "target"])
def test_rst_with_octets_in_flight_is_no_clean_end(ends: Ends, resetting: str) -> None:
    """What arrives is a beginning of what was sent, and then a reset, never FIN (I1)."""
    one, other = ends.side(resetting)
    seed, size = 11, 32 * MIB
    sending = in_thread(traffic.send, one, seed, size)
    first = raw_socks.receive(other, 1000)
    expected = b"".join(bytes(block) for block in traffic.blocks(seed, size))
    traffic.reset(one)
    got = bytearray(first)
    with pytest.raises(ConnectionResetError):
        while piece := other.recv(MIB):
            got += piece
    assert expected.startswith(got)
    with pytest.raises(OSError):
        sending.result(TIMEOUT)


# --- Everything at once -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What the two sides of one tunnel do."""

    up: int
    down: int
    up_write: Pace
    up_read: Pace
    down_write: Pace
    down_read: Pace
    end: str


def make_plan(random_source: random.Random) -> Plan:
    def direction() -> tuple[int, Pace, Pace]:
        write = random_source.choice([1, 1 + random_source.randrange(3000), 65536, 0])
        size = random_source.choice([0, 1, random_source.randrange(8 * MIB)])
        pause = random_source.choice([0, 0, 0, 2])
        return min(size, 4000 * write) if write else size, Pace(write=write), Pace(pause_seconds=pause)

    (up, up_write, up_read), (down, down_write, down_read) = direction(), direction()
    end = random_source.choice(["client fin", "target fin", "both fin", "client rst", "target rst"])
    return Plan(up, down, up_write, up_read, down_write, down_read, end)


def follow(plan: Plan, ends: Ends) -> None:
    up = in_thread(carry, ends.client, ends.target, plan.up, plan.up_write, plan.up_read)
    down = in_thread(carry, ends.target, ends.client, plan.down, plan.down_write, plan.down_read)
    up.result(TIMEOUT)
    down.result(TIMEOUT)
    who, _, how = plan.end.partition(" ")
    one, other = ends.side("target" if who == "target" else "client")
    if how == "rst":
        traffic.reset(one)
        traffic.expect_reset(other)
        return
    one.shutdown(socket.SHUT_WR)
    if who != "both":
        traffic.expect_end(other)
    other.shutdown(socket.SHUT_WR)
    traffic.expect_end(one)
    if who == "both":
        traffic.expect_end(other)


def run_all(plans: list[Plan], open_one: Callable[[], Ends]) -> None:
    """All tunnels at the same time; the order of what each does is left to chance."""
    start = threading.Barrier(len(plans))
    tunnels = [open_one() for _ in plans]

    def one(plan: Plan, ends: Ends) -> None:
        start.wait(TIMEOUT)
        follow(plan, ends)

    running = [(plan, in_thread(one, plan, ends)) for plan, ends in zip(plans, tunnels)]
    for plan, future in running:
        try:
            future.result(TIMEOUT)
        except BaseException as error:
            raise AssertionError(f"{plan}: {error!r}") from error


@pytest.mark.timeout(300)
def test_64_tunnels_at_once_in_random_orders(serve, origin) -> None:
    seed = int(os.environ.get("STILE_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"STILE_SEED={seed} runs the same plans again")
    random_source = random.Random(seed)
    server, far = serve(), origin()
    run_all([make_plan(random_source) for _ in range(64)], lambda: open_tunnel(server, far))
    for _ in range(64):
        server.wait_for_record(event="session.end")
