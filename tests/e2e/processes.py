"""Programs beside the tests: the executable under test, and the daemons and clients of the interoperability tests."""

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("STILE_BINARY", ROOT / "build" / "release" / "stile")).absolute()
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy") and not key.startswith("STILE_")}


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits on state instead of sleeping; the time is a bound for a test that has failed, never a measure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


# Each lane of tests has ports of its own, below those that the kernel gives to whoever asks for none: what is free stays free
# until the program that was told of it is there.
LANE_PORTS = 5_000
LANE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
PORTS = itertools.cycle(range(10_000 + LANE * LANE_PORTS, 10_000 + (LANE + 1) * LANE_PORTS))


def free_port(host: str = "127.0.0.1") -> int:
    family, everywhere = (socket.AF_INET6, "::") if ":" in host else (socket.AF_INET, "0.0.0.0")
    for port in itertools.islice(PORTS, LANE_PORTS):
        with socket.socket(family) as probe:
            try:
                probe.bind((everywhere, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def run(*command: object, timeout: float = 60, **options) -> subprocess.CompletedProcess[str]:
    """Runs a client to its end; its output is text, and shown where the test fails."""
    words = [str(word) for word in command]
    environment = ENVIRONMENT | options.pop("environment", {})
    result = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment, **options)
    print(f"$ {' '.join(words)}\n{result.stdout[-4000:]}{result.stderr[-4000:]}[exit {result.returncode}]")
    return result


def stile(*arguments: object, timeout: float = 30, **options) -> subprocess.CompletedProcess[str]:
    """One run of the executable that is expected to end by itself."""
    return run(BINARY, *arguments, timeout=timeout, **options)


class Daemon:
    """A server program that runs until the test is over."""

    def __init__(self, folder: Path, *command: object, **options) -> None:
        self.log = folder / f"{Path(str(command[0])).name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, **options
            )

    def wait_for_port(self, host: str, port: int) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"it ended:\n{self.log.read_text(errors='replace')}"
            return accepts(host, port)

        wait_until(f"{self.log.name} listens on {host}:{port}", ready)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        print(f"--- {self.log.name}\n{self.log.read_text(errors='replace')[-4000:]}")
