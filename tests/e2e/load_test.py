"""Many connections at once: what an idle tunnel costs, what half-open ones cannot do, and the descriptor limit.

Times and shares of the processor are printed, never judged; counts, octets and memory are judged.
"""

import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import raw_socks
from networks import reason_to_skip
from origins import Origin, echo
from processes import BINARY, wait_until
from server import Server

TUNNELS = 9_000
HALF_OPEN = 5_000
FAR = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]  # several addresses at both ends, for more ports
NEAR = [f"127.0.1.{last}" for last in range(1, 9)]
PIPELINED_ANSWER = len(raw_socks.METHOD_NONE) + 10
IDLE_OCTETS_MAX = 4096  # user memory of an idle tunnel (security reference, R7)


@pytest.fixture(autouse=True)
def all_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def affordable(wanted: int, each: int, record_property) -> int:
    """As many as the hard limit lets one process hold, said aloud where that is fewer than wanted."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    number = min(wanted, (hard - 500) // each)
    if number < wanted:
        record_property("reduced", f"{number} instead of {wanted}: the hard descriptor limit is {hard}")
    return number


@contextmanager
def farm() -> Iterator[int]:
    """The port of an echo server in another process, at every address of FAR."""
    command = [sys.executable, str(Path(__file__).with_name("echo_farm.py")), *FAR]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def open_tunnels(proxy: tuple[str, int], port: int, first: int, last: int) -> list[socket.socket]:
    """Tunnels number first to last, greeting and request in one segment so that a batch takes one round trip."""
    clients = []
    for number in range(first, last):
        client = raw_socks.dial(proxy, source=NEAR[number % len(NEAR)])
        client.sendall(raw_socks.GREETING + raw_socks.request(FAR[number % len(FAR)], port))
        clients.append(client)
    for client in clients:
        answer = raw_socks.receive(client, PIPELINED_ANSWER)
        assert answer[:4] == b"\x05\x00\x05\x00", answer.hex(" ")
    return clients


def echo_on_all(clients: list[socket.socket]) -> None:
    for number, client in enumerate(clients):
        client.sendall(number.to_bytes(4, "big"))
    for number, client in enumerate(clients):
        assert raw_socks.receive(client, 4) == number.to_bytes(4, "big")


def sanitized() -> bool:
    return b"__asan_init" in BINARY.read_bytes()


@pytest.mark.timeout(300)
def test_idle_tunnels(serve, record_property) -> None:
    """9,000 in one process, each alive, the memory of one by the slope between 1,000 and all (R7)."""
    number = affordable(TUNNELS, 2, record_property)
    server = serve()
    with farm() as port:
        clients: list[socket.socket] = []
        memory = {}
        for goal in (1_000, min(3_000, number), number):
            for start in range(len(clients), goal, 200):
                clients += open_tunnels(server.proxy, port, start, min(start + 200, goal))
            memory[goal] = server.memory()
        slope = (memory[number] - memory[1_000]) / (number - 1_000)
        sizes = ", ".join(f"{octets // 1024} KiB at {count}" for count, octets in memory.items())
        record_property("idle tunnels", f"{number} in one process, {slope:.0f} octets each ({sizes})")
        assert server.sockets() >= 2 * number
        echo_on_all(clients)
        record_property("after traffic on each", f"{server.memory() // 1024} KiB")
        raw_socks.close_all()
        wait_until("every tunnel is gone", lambda: server.sockets() <= server.sockets_at_rest, 60)
    assert sanitized() or slope <= IDLE_OCTETS_MAX


@pytest.mark.timeout(120)
def test_half_open_handshakes_stop_nobody(serve, origin, record_property) -> None:
    """5,000 that stop at every stage of the handshake; good clients are served meanwhile, and the deadline ends them."""
    number = affordable(HALF_OPEN, 1, record_property)
    server, far = serve(), origin(echo)
    stages = [b"", b"\x05", b"\x05\x01", raw_socks.GREETING, raw_socks.GREETING + b"\x05\x01\x00\x03\x20half"]
    idle = []
    for count in range(number):
        client = raw_socks.dial(server.proxy, source=NEAR[count % len(NEAR)])
        client.sendall(stages[count % len(stages)])
        idle.append(client)
    started = time.monotonic()
    for _ in range(50):
        with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
            client.sendall(b"good")
            assert raw_socks.receive(client, 4) == b"good"
    record_property("50 good clients beside half-open ones", f"{time.monotonic() - started:.2f} s with {number} half-open")
    for count, client in enumerate(idle):
        greeted = len(stages[count % len(stages)]) >= 3
        assert raw_socks.receive_all(client) == (raw_socks.METHOD_NONE if greeted else b""), "closed without a word"


@pytest.mark.timeout(120)
def test_no_octet_extends_the_deadline(serve, record_property) -> None:
    server = serve()
    started = time.monotonic()
    client = raw_socks.dial(server.proxy)
    for octet in b"\x05\xff" + b"\x80" * 255:
        client.sendall(bytes([octet]))
        if select.select([client], [], [], 1)[0]:
            break
    assert client.recv(1) == b""
    record_property("a handshake of one octet a second ended after", f"{time.monotonic() - started:.1f} s")
    assert server.wait_for_record(reason="timeout.handshake")


# --- The descriptor limit -----------------------------------------------------------------------------------------


def count_accepts(process: int, seconds: float) -> int:
    """How often the process tries to accept within some seconds, as strace counts."""
    command = ["timeout", "-s", "INT", str(seconds), "strace", "-f", "-qq", "-e", "trace=accept,accept4", "-p", str(process)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert "attach" not in run.stderr, run.stderr
    return run.stderr.count("accept")


def knock(server: Server) -> socket.socket | None:
    """A connection, or None where the server turned it away before connect() even returned."""
    try:
        return raw_socks.dial(server.proxy, timeout=2)
    except ConnectionError:
        return None


def exhaust(server: Server, far: Origin) -> list[socket.socket]:
    """Opens tunnels until one is not served; returns those that work."""
    working = []
    while client := knock(server):
        try:
            client.sendall(raw_socks.GREETING + raw_socks.request(far.host, far.port))
            answer = raw_socks.receive(client, PIPELINED_ANSWER)
        except (TimeoutError, ConnectionError):
            return working
        if answer[:4] != b"\x05\x00\x05\x00":
            return working
        working.append(client)
    return working


@pytest.mark.timeout(120)
def is_served(server: Server, far: Origin) -> bool:
    try:
        with raw_socks.tunnel(server.proxy, far.host, far.port) as client:
            client.sendall(b"again")
            return raw_socks.receive(client, 5) == b"again"
    except (OSError, AssertionError):
        return False


def test_at_the_descriptor_limit(serve, origin, record_property) -> None:
    """No spinning, live tunnels untouched, and service again when descriptors are free (R6, TX1)."""
    far = origin(echo)
    server = serve("--workers", 1, descriptors=256)
    working = exhaust(server, far)
    assert len(working) > 50
    # One is turned away every 100 ms, so that these keep the pressure up for longer than it is watched.
    waiting = [client for _ in range(200) if (client := knock(server))]
    before = server.processor_seconds()
    time.sleep(3)
    share = (server.processor_seconds() - before) / 3
    record_property("processor at the descriptor limit", f"{share:.1%} with {len(waiting)} clients waiting")
    if reason_to_skip() is None:
        accepts = count_accepts(server.process.pid, 3)
        record_property("accept calls at the descriptor limit", f"{accepts} in 3 s")
        # Every 100 ms one that fails and one by way of the reserve.
        assert 0 < accepts <= 2 * 30 + 10, "it spins"
    echo_on_all(working)
    for client in (*waiting, *working[:20]):
        client.close()
    wait_until("there is room again", lambda: is_served(server, far))
    echo_on_all(working[20:])
