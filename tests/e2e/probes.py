"""Clients that run while a test does something: `stile ping` and `stile trace` to interrupt."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from networks import HERE, Namespace
from processes import BINARY, ENVIRONMENT


class Background:
    """A client that runs while the test does something."""

    def __init__(self, *arguments: object, namespace: Namespace = HERE) -> None:
        self.process = subprocess.Popen(
            [*namespace.prefix(), str(BINARY), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            bufsize=0,
        )
        self.shown = b""

    def wait_for(self, words: bytes) -> None:
        """Reads its output up to a line that holds these words."""
        assert self.process.stdout
        while words not in self.shown:
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"it ended before {words!r}: {self.shown!r}"
            self.shown += piece

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, (self.shown + out).decode(), err.decode()


@contextmanager
def background(*arguments: object, namespace: Namespace = HERE) -> Iterator[Background]:
    """Runs stile with these arguments; ended when the test has not done so."""
    client = Background(*arguments, namespace=namespace)
    try:
        yield client
    finally:
        if client.process.poll() is None:
            client.process.kill()
        client.process.communicate()
