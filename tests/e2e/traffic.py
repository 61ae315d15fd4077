"""Streams whose every octet is known: what one side sends, the other side checks."""

import hashlib
import random
import socket
import struct
import threading
import time
from concurrent.futures import Future
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

BLOCK = 1 << 20
RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes close send RST

Result = TypeVar("Result")


def blocks(seed: int, size: int) -> Iterator[memoryview]:
    """The stream of a seed: one random block again and again, each time with its number at the head."""
    block = bytearray(random.Random(seed).randbytes(min(size, BLOCK) or 1))
    for number in range(0, size, BLOCK):
        struct.pack_into("!Q", block, 0, number) if len(block) >= 8 else None
        yield memoryview(block)[: min(BLOCK, size - number)]


def digest_of(seed: int, size: int) -> str:
    digest = hashlib.sha256()
    for block in blocks(seed, size):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Pace:
    """How a side writes (octets a call; 0: as much as there is) and how it reads (a pause once it has read some)."""

    write: int = 0
    pause_seconds: float = 0


def send(connection: socket.socket, seed: int, size: int, pace: Pace = Pace()) -> str:
    """Writes a stream and returns its digest."""
    digest = hashlib.sha256()
    for block in blocks(seed, size):
        step = pace.write or len(block)
        for start in range(0, len(block), step):
            connection.sendall(block[start : start + step])
        digest.update(block)
    return digest.hexdigest()


def receive(connection: socket.socket, size: int, pace: Pace = Pace()) -> str:
    """Reads exactly so many octets and returns their digest; an early end is an error."""
    digest, buffer, got = hashlib.sha256(), bytearray(BLOCK), 0
    while got < size:
        count = connection.recv_into(buffer, min(BLOCK, size - got))
        if count == 0:
            raise EOFError(f"the stream ended after {got} of {size} octets")
        digest.update(memoryview(buffer)[:count])
        if got == 0 and pace.pause_seconds:
            time.sleep(pace.pause_seconds)
        got += count
    return digest.hexdigest()


def expect_end(connection: socket.socket) -> None:
    """FIN, and not one octet before it."""
    octets = connection.recv(4096)
    assert octets == b"", f"{len(octets)} octets that nobody sent: {octets[:32].hex(' ')}"


def expect_reset(connection: socket.socket) -> None:
    """RST: the stream must not look as if it had ended well."""
    try:
        octets = connection.recv(4096)
    except ConnectionResetError:
        return
    raise AssertionError(f"expected a reset, got {'FIN' if not octets else f'{len(octets)} octets'}")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def in_thread(work: Callable[..., Result], *arguments: object) -> "Future[Result]":
    """Runs beside the caller; result() raises what the work raised."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
