#!/usr/bin/env python3
"""How exactly a rule's rate is kept, and how evenly it is shared (docs/limits.md).

    bench/rate_times.py [--seconds N] [--rate SIZE] [--binary FILE] > rate-times.json

A rule with a rate for all its tunnels together, 1, 10 and 100 tunnels that take all they get, downwards and upwards. What the
far end of each direction received in the period (10 s) must be within 2 % of the number, and no tunnel's share far from
the others'. Loopback only. Not part of ./dev test: a timing is never a verdict there.
"""

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import raw_socks  # noqa: E402
from processes import accepts, free_port, wait_until  # noqa: E402

TUNNELS = (1, 10, 100)
PIECE = 65536


class Server:
    def __init__(self, binary: Path, folder: Path, rate: str) -> None:
        self.proxy = ("127.0.0.1", free_port("127.0.0.1"))
        rules = f"rules = 'slow: allow anyone to loopback rate {rate}'"
        (folder / "stile.toml").write_text(f'log = "none"\n[[listen]]\naddress = "127.0.0.1:{self.proxy[1]}"\n[policy]\n{rules}\n')
        command = [binary, "serve", "--config", folder / "stile.toml"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("the server listens", lambda: accepts(*self.proxy))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def measure(proxy: tuple[str, int], count: int, down: bool, seconds: float) -> list[int]:
    """What arrived through each tunnel in the period, after a second in which all have begun."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        host, port = listener.getsockname()
        clients, targets = [], []
        for _ in range(count):
            clients.append(raw_socks.tunnel(proxy, host, port))
            targets.append(listener.accept()[0])
        senders, receivers = (targets, clients) if down else (clients, targets)
        selector, received, done = selectors.DefaultSelector(), [0] * count, threading.Event()
        for number, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
            sender.setblocking(False)
            receiver.setblocking(False)
            selector.register(receiver, selectors.EVENT_READ, number)

        def fill() -> None:
            piece, ready = bytes(PIECE), selectors.DefaultSelector()
            for sender in senders:
                ready.register(sender, selectors.EVENT_WRITE)
            while not done.is_set():
                for key, _ in ready.select(0.1):
                    with suppress(OSError):
                        key.fileobj.send(piece)

        filler = threading.Thread(target=fill)
        filler.start()
        begun, counting = time.perf_counter() + 1, False
        while (now := time.perf_counter()) < begun + seconds:
            if not counting and now >= begun:
                received, counting, begun = [0] * count, True, now
            for key, _ in selector.select(0.01):
                received[key.data] += len(key.fileobj.recv(PIECE))
        done.set()
        filler.join()
        for connection in clients + targets:
            connection.close()
        return received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", default="20MB/s", help="of the rule, each way")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "stile")
    arguments = parser.parse_args()
    wanted = int(arguments.rate.removesuffix("MB/s")) * 1_000_000 * arguments.seconds
    results = []
    with tempfile.TemporaryDirectory() as place, closing(Server(arguments.binary, Path(place), arguments.rate)) as server:
        for count in TUNNELS:
            for down in (True, False):
                received = measure(server.proxy, count, down, arguments.seconds)
                share = sum(received) / count
                results.append(
                    {
                        "tunnels": count,
                        "direction": "down" if down else "up",
                        "of_the_rate": round(sum(received) / wanted, 4),
                        "least_share": round(min(received) / share, 3),
                        "largest_share": round(max(received) / share, 3),
                    }
                )
    print(json.dumps({"rate": arguments.rate, "seconds": arguments.seconds, "cores": os.cpu_count(), "runs": results}, indent=2))


if __name__ == "__main__":
    main()
