#!/usr/bin/env python3
"""What a login tells by the time it takes, and what a storm of wrong passwords does to others (security reference, 5.4, 5.5).

    bench/login_times.py [--samples N] [--logins N] [--binary FILE] > login-times.json

Two questions, each with its goal:

- Are users who exist told apart from users who do not? N samples of each (10,000), wrong passwords, in random order, over
  SOCKS5 and over HTTP; the outer 1 % of both is left out. Welch's t must stay within ±4.5.
- Does a good user wait longer while somebody else tries a thousand wrong passwords a second? The 99th percentile of its
  logins, each with a hash, must stay within 1.2 times that of an idle server.

It needs root for its network namespaces, since loopback is exempt from penalties, and a machine that does nothing else: a
compiler beside it is a storm of its own. Not part of ./dev test: a timing is never a verdict there.
"""

import argparse
import base64
import json
import multiprocessing
import multiprocessing.synchronize
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from networks import Lab, Namespace  # noqa: E402

PROXY, GOOD, BAD = "10.79.0.1", "10.79.0.2", "10.79.0.66"
PORT = 1080
CONFIG = """log = "none"
[[listen]]
address = "{proxy}:{port}"
[users]
file = "users"
cache = "0s"
[limits]
penalty_exempt = [{exempt}]
[policy]
rules = 'allow authenticated to public'
"""
STORM_RATE = 1000


class Server:
    """A server in a namespace, with one user, alice."""

    def __init__(self, binary: Path, folder: Path, namespace: Namespace, exempt: str) -> None:
        (folder / "stile.toml").write_text(CONFIG.format(proxy=PROXY, port=PORT, exempt=exempt))
        add = [binary, "user", "add", "alice", "--file", folder / "users"]
        if not (folder / "users").exists():
            subprocess.run(add, input=b"secret\n", check=True)
        command = [*namespace.prefix(), binary, "serve", "--config", folder / "stile.toml"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        while True:
            try:
                return socket.create_connection((PROXY, PORT), 1, source_address=(GOOD, 0)).close()
            except OSError:
                time.sleep(0.05)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def dial(source: str) -> socket.socket:
    client = socket.create_connection((PROXY, PORT), 30, source_address=(source, 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def credentials(user: str, password: str) -> bytes:
    return b"\x01" + b"".join(bytes([len(field)]) + field.encode() for field in (user, password))


def answer_time(client: socket.socket, octets: bytes, expected: bytes) -> float:
    begun = time.perf_counter()
    client.sendall(octets)
    answer = client.recv(4096)
    seconds = time.perf_counter() - begun
    assert answer.startswith(expected), answer
    return seconds


def socks_time(user: str, password: str, granted: bool) -> float:
    with dial(GOOD) as client:
        client.sendall(b"\x05\x01\x02")
        assert client.recv(2) == b"\x05\x02"
        return answer_time(client, credentials(user, password), b"\x01\x00" if granted else b"\x01\x01")


def http_time(user: str, password: str) -> float:
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    head = f"GET http://192.0.2.1/ HTTP/1.1\r\nHost: 192.0.2.1\r\nProxy-Authorization: Basic {value}\r\n\r\n"
    with dial(GOOD) as client:
        return answer_time(client, head.encode(), b"HTTP/1.1 407 ")


# --- known and unknown users ----------------------------------------------------------------------------------------


def trimmed(samples: list[float]) -> list[float]:
    cut = len(samples) // 200
    return sorted(samples)[cut : len(samples) - cut]


def welch_t(one: list[float], other: list[float]) -> float:
    error = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / error**0.5


def told_apart(samples: int, protocol: str) -> dict:
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    order = ["known", "unknown"] * samples
    random.shuffle(order)
    for number, kind in enumerate(order):
        # Names of one length, so that only their being known differs; no two logins are alike.
        user, password = ("alice" if kind == "known" else "nobod"), f"wrong{number:08}"
        times[kind].append(http_time(user, password) if protocol == "http" else socks_time(user, password, False))
    known, unknown = trimmed(times["known"]), trimmed(times["unknown"])
    return {
        "protocol": protocol,
        "samples": samples,
        "known_mean_ms": round(1e3 * statistics.fmean(known), 4),
        "unknown_mean_ms": round(1e3 * statistics.fmean(unknown), 4),
        "welch_t": round(welch_t(known, unknown), 3),
    }


# --- a storm --------------------------------------------------------------------------------------------------------


def storm(namespace: str, stop: multiprocessing.synchronize.Event, counts: multiprocessing.Array) -> None:
    """Wrong passwords from one source, STORM_RATE a second as long as the machine keeps up."""
    with Namespace(namespace).inside():
        begun, tries, refused = time.perf_counter(), 0, 0
        while not stop.is_set():
            if (ahead := tries / STORM_RATE - (time.perf_counter() - begun)) > 0:
                time.sleep(ahead)
            try:
                with dial(BAD) as client:
                    client.sendall(b"\x05\x01\x02" + credentials(f"user{tries % 1000}", "wrong"))
                    answer = b""
                    while piece := client.recv(16):
                        answer += piece
                    refused += answer.endswith(b"\x01\x01")
            except OSError:
                pass
            tries += 1
        counts[0], counts[1], counts[2] = tries, refused, int(1000 * (time.perf_counter() - begun))


def logins(count: int) -> list[float]:
    return [socks_time("alice", "secret", True) for _ in range(count)]


def percentile(samples: list[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def under_storm(count: int, others: Namespace) -> dict:
    logins(20)
    idle = logins(count)
    stop, counts = multiprocessing.Event(), multiprocessing.Array("q", 3)
    attacker = multiprocessing.Process(target=storm, args=(others.name, stop, counts))
    attacker.start()
    time.sleep(1)
    stormy = logins(count)
    stop.set()
    attacker.join()
    p99 = {name: 1e3 * percentile(samples, 0.99) for name, samples in (("idle", idle), ("storm", stormy))}
    return {
        "logins": count,
        "idle_p50_ms": round(1e3 * statistics.median(idle), 3),
        "storm_p50_ms": round(1e3 * statistics.median(stormy), 3),
        "idle_p99_ms": round(p99["idle"], 3),
        "storm_p99_ms": round(p99["storm"], 3),
        "ratio": round(p99["storm"] / p99["idle"], 3),
        "wrong_passwords_a_second": round(1000 * counts[0] / counts[2]),
        "of_them_answered": counts[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000, help="logins of each kind and protocol")
    parser.add_argument("--logins", type=int, default=500, help="of the good user, idle and under the storm")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "stile")
    arguments = parser.parse_args()
    result: dict = {"load_before": os.getloadavg()[0], "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as place, closing(Lab()) as lab:
        proxy, others = lab.host("proxy"), lab.host("others")
        lab.cable(proxy, [f"{PROXY}/24"], others, [f"{GOOD}/24", f"{BAD}/24"])
        for name, exempt in (("storm", ""), ("storm_exempt_from_penalties", f'"{BAD}"'), ("told_apart", f'"{GOOD}"')):
            with closing(Server(arguments.binary, Path(place), proxy, exempt)) as server, others.inside():
                server.wait()
                if name == "told_apart":
                    result[name] = [told_apart(arguments.samples, protocol) for protocol in ("socks5", "http")]
                else:
                    result[name] = under_storm(arguments.logins, others)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
