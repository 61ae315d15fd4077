"""`stile forward` under test: started, asked where it listens, and judged when it ends."""

import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from networks import HERE, Namespace
from processes import BINARY, ENVIRONMENT, wait_until
from server import limited


class Place(NamedTuple):
    """A line of its standard output."""

    address: str
    kind: str
    target: str

    @property
    def endpoint(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


class Forwarder:
    def __init__(
        self,
        folder: Path,
        *words: object,
        via: list[str],
        namespace: Namespace = HERE,
        descriptors: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir()
        self.output_file, self.errors_file = folder / "output", folder / "errors"
        ways = [word for url in via for word in ("--via", url)]
        command = [*namespace.prefix(), *limited(descriptors), str(BINARY), "forward", *ways, *map(str, words)]
        with self.output_file.open("wb") as output, self.errors_file.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=ENVIRONMENT | (environment or {})
            )

    def output(self) -> str:
        return self.output_file.read_text()

    def errors(self) -> str:
        return self.errors_file.read_text()

    def places(self, count: int = 1) -> list[Place]:
        """Where it listens, once it has said so many lines."""

        def said() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.errors()}"
            return len(self.lines()) >= count

        wait_until(f"{count} lines of where it listens", said)
        return [Place(*line.split(" ")) for line in self.lines()]

    def lines(self) -> list[str]:
        return [line.rstrip("\n") for line in self.output().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for_error(self, *parts: str) -> str:
        """The first line on standard error that holds all of these."""
        found: list[str] = []

        def arrived() -> bool:
            found[:] = [line for line in self.errors().splitlines() if all(part in line for part in parts)]
            return bool(found)

        wait_until(f"an error with {parts}, among {self.errors()[-500:]}", arrived)
        return found[0]

    def sockets(self) -> int:
        folder = f"/proc/{self.process.pid}/fd"
        count = 0
        for entry in os.listdir(folder):
            try:
                count += os.readlink(f"{folder}/{entry}").startswith("socket:")
            except FileNotFoundError:
                pass
        return count

    def interrupt(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def finish(self) -> None:
        """Ends it unless the test did."""
        try:
            if self.process.poll() is None:
                assert self.interrupt() == 0, f"exit code {self.process.returncode}"
            assert "Sanitizer" not in self.errors() and "runtime error" not in self.errors()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            print(f"--- it said\n{self.output()[-2000:]}--- its errors\n{self.errors()[-4000:]}")
