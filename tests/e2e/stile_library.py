"""libstile beside the executable under test: called from Python, and linked to programs that the tests compile."""

import ctypes
import functools
import ipaddress
import os
import socket
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import BINARY, ENVIRONMENT, ROOT, run

LIBRARY = BINARY.parent / "libstile.so"
EXAMPLES = ROOT / "docs" / "examples" / "libstile"
INCLUDE = ROOT / "include"
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-g")

(
    OK, ARGUMENT, SETTINGS, NO_PROXY, SYSTEM, STATE, PROXY_NAME, TARGET_NAME, PROXY_DOWN, PROTECTION, CLEAR_PASSWORD, LOGIN,
    REFUSED, UNSUPPORTED, PROTOCOL, CLOSED, TIMEOUT, CANCELED, TOO_LONG, TARGET,
) = range(20)  # fmt: skip
SOCKS4, SOCKS5, HTTP = 4, 5, 80
CLEAR, ANY_RELAY = 1, 2


class Error(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("code", "system_error", "reply", "protocol", "hop")] + [
        ("reserved", ctypes.c_int * 3),
        ("octets", ctypes.c_char * 256),
    ]

    @property
    def text(self) -> str:
        return self.octets.decode()


class Proxy(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        *((name, ctypes.c_char_p) for name in ("url", "password", "ca", "certificate", "key", "gss_service")),
        ("flags", ctypes.c_uint),
        ("reserved", ctypes.c_uint * 5),
    ]


class Settings(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("urls", ctypes.c_char_p),
        ("chain", ctypes.POINTER(Proxy)),
        ("chain_length", ctypes.c_size_t),
        ("no_proxy", ctypes.c_char_p),
        ("timeout", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("reserved", ctypes.c_uint * 6),
    ]


class Echo(ctypes.Structure):
    _fields_ = [("sequence", ctypes.c_uint), ("microseconds", ctypes.c_int), ("ttl", ctypes.c_int), ("peer", ctypes.c_char * 48)]


class Failed(Exception):
    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code} reply {error.reply} hop {error.hop}: {error.text}")
        self.code, self.reply, self.hop, self.protocol = error.code, error.reply, error.hop, error.protocol
        self.errno, self.text = error.system_error, error.text


@functools.cache
def is_sanitized() -> bool:
    return "__asan_init" in subprocess.run(["nm", "-D", str(LIBRARY)], capture_output=True, text=True).stdout


def skip_where_python_cannot_load() -> None:
    if not LIBRARY.exists():
        pytest.skip(f"there is no {LIBRARY}")
    if is_sanitized():
        pytest.skip("a library with sanitizers is not for Python; the compiled programs show it")


@functools.cache
def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(LIBRARY), use_errno=True)
    pointers = [
        "open", "open_with", "copy", "listen", "listen_start", "listen_finish", "accept_start", "udp_open", "udp_open_start",
        "udp_open_finish", "connect_start", "resolve_start", "resolve_address_start", "ping_start", "next", "data",
    ]  # fmt: skip
    for name in pointers:
        getattr(loaded, f"stile_{name}").restype = ctypes.c_void_p
    for name in ("udp_send", "udp_receive"):
        getattr(loaded, f"stile_{name}").restype = ctypes.c_ssize_t
    loaded.stile_version.restype = ctypes.c_char_p
    loaded.stile_code_name.restype = ctypes.c_char_p
    return loaded


class Address:
    """Room for a socket address, and what was put there."""

    def __init__(self) -> None:
        self.room, self.length = ctypes.create_string_buffer(128), ctypes.c_uint(128)

    def arguments(self) -> tuple[object, object]:
        return self.room, ctypes.byref(self.length)

    def value(self) -> tuple[str, int] | None:
        family = struct.unpack("=H", self.room.raw[:2])[0]
        if family == socket.AF_UNSPEC:
            return None
        at, size = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}[family]
        return str(ipaddress.ip_address(self.room.raw[at : at + size])), struct.unpack("!H", self.room.raw[2:4])[0]


def packed(host: str) -> bytes:
    parsed = ipaddress.ip_address(host)
    if parsed.version == 4:
        return struct.pack("=HH", socket.AF_INET, 0) + parsed.packed + bytes(8)
    return struct.pack("=HHI", socket.AF_INET6, 0, 0) + parsed.packed + bytes(4)


class Library:
    """One client, closed at the end of a with statement."""

    def __init__(self, urls: str | None = None, chain: list[dict] | None = None, **settings) -> None:
        proxies = [Proxy(size=ctypes.sizeof(Proxy), **{key: text(value) for key, value in one.items()}) for one in chain or []]
        array = (Proxy * max(len(proxies), 1))(*proxies)
        given = {key: text(value) for key, value in settings.items()}
        if chain:
            given |= {"chain": array, "chain_length": len(proxies)}
        self.settings = Settings(size=ctypes.sizeof(Settings), urls=text(urls), **given)
        self.client = self.call("open_with", ctypes.byref(self.settings))

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        library().stile_close(ctypes.c_void_p(self.client))

    @staticmethod
    def call(function: str, *arguments: object):
        """A function that says why it failed; None and -1 are failures."""
        error = Error()
        result = getattr(library(), f"stile_{function}")(*arguments, ctypes.byref(error))
        if result is None or result == -1:
            assert error.code != OK and error.system_error == ctypes.get_errno() != 0 and error.text, (error.code, error.text)
            raise Failed(error)
        assert error.code == OK and not error.text
        return result

    def on_client(self, function: str, *arguments: object):
        return self.call(function, ctypes.c_void_p(self.client), *arguments)

    def connect(self, host: str, port: int) -> socket.socket:
        return adopted(self.on_client("connect", host.encode(), port))

    def resolve(self, name: str) -> str:
        address = Address()
        self.on_client("resolve", name.encode(), *address.arguments())
        found = address.value()
        assert found
        return found[0]

    def resolve_address(self, host: str) -> str:
        room = ctypes.create_string_buffer(256)
        octets = packed(host)
        self.on_client("resolve_address", octets, len(octets), room)
        return room.value.decode()

    def ping(self, host: str, count: int) -> list[Echo]:
        echoes = (Echo * count)()
        return list(echoes[: self.on_client("ping", host.encode(), count, echoes)])

    def drive(self) -> int:
        return library().stile_drive(ctypes.c_void_p(self.client))

    def descriptor(self) -> int:
        return library().stile_descriptor(ctypes.c_void_p(self.client))

    def next(self) -> int | None:
        return library().stile_next(ctypes.c_void_p(self.client))


class Udp:
    def __init__(self, client: Library) -> None:
        self.handle = client.on_client("udp_open")

    def __enter__(self) -> "Udp":
        return self

    def __exit__(self, *_: object) -> None:
        library().stile_udp_close(ctypes.c_void_p(self.handle))

    def descriptor(self) -> int:
        return library().stile_udp_descriptor(ctypes.c_void_p(self.handle))

    def send(self, datagram: bytes, host: str, port: int) -> None:
        sent = Library.call("udp_send", ctypes.c_void_p(self.handle), datagram, ctypes.c_size_t(len(datagram)), host.encode(), port)
        assert sent == len(datagram)

    def receive(self, timeout: int = 20_000, room: int = 65536) -> tuple[bytes, tuple[str, int] | None]:
        buffer, address = ctypes.create_string_buffer(room), Address()
        octets = Library.call(
            "udp_receive", ctypes.c_void_p(self.handle), buffer, ctypes.c_size_t(room), timeout, *address.arguments()
        )
        return buffer.raw[:octets], address.value()


def text(value: object) -> object:
    return os.fsencode(str(value)) if isinstance(value, (str, Path)) else value


def adopted(fd: int) -> socket.socket:
    assert os.get_blocking(fd) and not os.get_inheritable(fd)
    connection = socket.socket(fileno=fd)
    connection.settimeout(30)
    return connection


@contextmanager
def failing(code: int, **expected: object):
    """The block fails so."""
    with pytest.raises(Failed) as caught:
        yield caught
    failed = caught.value
    assert failed.code == code, failed
    for key, value in expected.items():
        assert getattr(failed, key) == value, failed


def compiled(source: Path, folder: Path, *flags: object, standard: str | None = None) -> Path:
    """A program of one file, linked to the library under test."""
    is_c = source.suffix == ".c"
    compiler = ("clang-19" if is_c else "clang++-19") if is_sanitized() else ("gcc" if is_c else "g++")
    sanitizers = ["-fsanitize=address,undefined", "-fsanitize-link-c++-runtime"] if is_sanitized() else []
    program = folder / source.stem
    result = run(
        compiler, f"-std={standard or ('c11' if is_c else 'c++17')}", *WARNINGS, *sanitizers, f"-I{INCLUDE}", *flags, source,
        f"-L{LIBRARY.parent}", "-lstile", f"-Wl,-rpath,{LIBRARY.parent}", *(["-lstdc++"] if is_sanitized() else []), "-o", program,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return program


def environment(**variables: str) -> dict[str, str]:
    return ENVIRONMENT | variables
