"""`stile serve` under test: started on a port of its own, watched, and judged when it ends.

Whatever a test is about, each server must end cleanly on SIGTERM, give back every socket, and have written a consistent
record of each session (design 5.4).
"""

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

from networks import HERE, Namespace
from processes import BINARY, ENVIRONMENT, accepts, free_port, wait_until

Record = dict[str, object]

OUTCOMES = {"denied", "auth.failed", "error"}


class Writings:
    """What a process of Stile has written to its files: records, and messages for people."""

    records_file: Path
    errors_file: Path

    def errors(self) -> str:
        return self.errors_file.read_text(errors="replace")

    def records(self) -> list[Record]:
        """Every whole record that it has written."""
        return [json.loads(line) for line in self.records_file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for_record(self, **expected: object) -> Record:
        """The first record that has these keys; a key that is no Python word is given with _ for its dot."""
        found: list[Record] = []

        def arrived() -> bool:
            found[:] = [record for record in self.records() if expected.items() <= record.items()]
            return bool(found)

        wait_until(f"a record with {expected} (there are {self.records()[-5:]})", arrived)
        return found[0]


class Server(Writings):
    """A running server. `proxy` is where it listens: a free port of loopback unless told otherwise.

    The word PORT in a configuration stands for the port. With listen=False and no configuration nothing tells the
    server where to listen. `under`: a command that is to run it.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        config: str | None = None,
        listen: bool = True,
        log: str = "json",
        host: str = "127.0.0.1",
        port: int | None = None,
        namespace: Namespace = HERE,
        descriptors: int | str | None = None,
        under: list[str] | None = None,
    ) -> None:
        folder.mkdir()
        self.proxy = (host, port or free_port(host))
        self.namespace, self.log = namespace, log
        self.records_file, self.errors_file = folder / "records", folder / "errors"
        command = [*namespace.prefix(), *(under or []), *limited(descriptors), str(BINARY), "serve", "--log", log]
        self.config_file = folder / "stile.toml"
        if config is not None:
            (folder / "stile.toml").write_text(config.replace("PORT", str(self.proxy[1])))
            command += ["--config", str(folder / "stile.toml")]
        elif listen:
            command += ["--listen", self.address()]
        with self.records_file.open("wb") as records, self.errors_file.open("wb") as errors:
            self.process = subprocess.Popen(
                command + [str(word) for word in arguments],
                stdin=subprocess.DEVNULL,
                stdout=records,
                stderr=errors,
                env=ENVIRONMENT,
            )
        try:
            with namespace.inside():
                wait_until("the server listens", self.listens)
            self.sockets_at_rest = self.settled_sockets()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def address(self) -> str:
        return "[{}]:{}".format(*self.proxy) if ":" in self.proxy[0] else "{}:{}".format(*self.proxy)

    def listens(self) -> bool:
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.errors()}"
        # The kernel takes connections before the server does; its messages end when it serves.
        return accepts(*self.proxy) and "; try: " in self.errors()

    # --- What it shows ---

    def sockets(self) -> int:
        """How many sockets the process holds."""
        folder, count = f"/proc/{self.process.pid}/fd", 0
        for entry in os.listdir(folder):
            try:
                count += os.readlink(f"{folder}/{entry}").startswith("socket:")
            except FileNotFoundError:
                pass  # closed between the two calls
        return count

    def settled_sockets(self) -> int:
        """The number once two looks in a row agree: the probe that found the listener may still be open."""
        looks = [-1, self.sockets()]

        def settled() -> bool:
            looks.append(self.sockets())
            return looks[-1] == looks[-2] == looks[-3]

        wait_until("the sockets settle", settled)
        return looks[-1]

    def memory(self) -> int:
        """Proportional set size in octets: what this process alone makes the machine hold."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- How it ends ---

    def finish(self) -> None:
        """Ends the server unless the test did, and judges what it leaves."""
        leak = ""
        try:
            if self.process.poll() is None:
                leak = self.leaked_sockets()
                self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0, f"exit code {self.process.returncode}"
            assert not leak, leak
            assert "Sanitizer" not in self.errors() and "runtime error" not in self.errors()
            if self.log == "json":
                check_records(self.records())
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            print(f"--- the server's messages\n{self.errors()[-6000:]}")
            print(f"--- its last records\n{''.join(self.records_file.read_text().splitlines(keepends=True)[-20:])}")

    def leaked_sockets(self) -> str:
        try:
            wait_until("", lambda: self.sockets() <= self.sockets_at_rest, 15)
        except AssertionError:
            return f"{self.sockets()} sockets are open, {self.sockets_at_rest} were before the first client"
        return ""


def limited(descriptors: int | str | None) -> list[str]:
    """One number for both descriptor limits, or "SOFT:HARD"."""
    return ["prlimit", f"--nofile={descriptors}"] if descriptors else []


def check_records(records: list[Record]) -> None:
    """Exactly one start and one end for an admitted session, exactly one outcome for any other (design 5.4); of dropped
    datagrams, one record a session and reason at most."""
    drops = Counter((record["session"], record["reason"]) for record in records if record["event"] == "drop")
    assert not drops or max(drops.values()) == 1, f"drops were recorded more than once: {drops}"
    events: dict[object, Counter[object]] = {}
    for record in records:
        if record["event"] in ("drop", "request"):
            continue
        events.setdefault(record["session"], Counter())[record["event"]] += 1
    for session, seen in events.items():
        admitted = seen == Counter({"session.start": 1, "session.end": 1})
        turned_away = sum(seen.values()) == 1 and set(seen) <= OUTCOMES
        assert admitted or turned_away, f"records of session {session}: {dict(seen)}"
