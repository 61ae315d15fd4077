"""Network namespaces: hosts and routers of a test's own, on one machine.

A thread that is inside a namespace makes its sockets there, and programs that it starts live there. Every namespace is
named after the process that made it, so that what a killed run left behind is found and removed by the next one.
"""

import ctypes
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
PREFIX = "stile-e2e"
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def reason_to_skip() -> str | None:
    """Why namespaces cannot be made here, if so."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"{PREFIX}-{os.getpid()}-probe"
    run = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if run.returncode != 0:
        return f"this machine cannot make a network namespace: {run.stderr.strip()}"
    ip("netns", "delete", probe)
    return None


def remove_leftovers() -> None:
    """Removes the namespaces of runs that are dead."""
    names = subprocess.run(["ip", "-br", "netns", "list"], capture_output=True, text=True).stdout
    for name, process in re.findall(rf"^({PREFIX}-(\d+)-\S+)", names, re.MULTILINE):
        if not Path(f"/proc/{process}").exists():
            Namespace(name).delete()


class Namespace:
    def __init__(self, name: str = "") -> None:
        self.name = name

    def prefix(self) -> list[str]:
        """Words before a command that make it run here, with this namespace's /etc/resolv.conf and /etc/hosts."""
        return ["ip", "netns", "exec", self.name] if self.name else []

    @contextmanager
    def inside(self) -> Iterator[None]:
        if not self.name:
            yield
            return
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            enter(there.fileno())
            try:
                yield
            finally:
                enter(home.fileno())

    def run(self, *words: object) -> None:
        subprocess.run([*self.prefix(), *map(str, words)], check=True, capture_output=True, text=True)

    def set(self, name: str, value: object) -> None:
        """Writes a kernel setting, named as sysctl does."""
        with self.inside():
            Path("/proc/sys", *name.split(".")).write_text(str(value))

    def file(self, name: str, text: str) -> None:
        """What programs started with prefix() find as /etc/NAME."""
        folder = Path("/etc/netns", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def delete(self) -> None:
        ip("netns", "delete", self.name)
        shutil.rmtree(Path("/etc/netns", self.name), ignore_errors=True)


HERE = Namespace()  # where the tests themselves run


def enter(descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Lab:
    """Namespaces of one test, and the cables between them. Gone when closed."""

    def __init__(self) -> None:
        self.tag = secrets.token_hex(3)
        self.hosts: list[Namespace] = []
        self.cables = 0

    def host(self, role: str) -> Namespace:
        host = Namespace(f"{PREFIX}-{os.getpid()}-{self.tag}-{role}")
        ip("netns", "add", host.name)
        self.hosts.append(host)
        host.set("net.ipv6.conf.default.accept_dad", 0)
        host.set("net.ipv6.conf.all.accept_dad", 0)
        host.run("ip", "link", "set", "lo", "up")
        return host

    def cable(self, left: Namespace, left_addresses: list[str], right: Namespace, right_addresses: list[str]) -> list[str]:
        """Joins two hosts; addresses carry their prefix length. Returns the names of the interfaces, left and right."""
        self.cables += 1
        ends = [f"s{self.tag}{self.cables}{side}" for side in "ab"]
        ip("link", "add", ends[0], "netns", left.name, "type", "veth", "peer", "name", ends[1], "netns", right.name)
        for host, device, addresses in ((left, ends[0], left_addresses), (right, ends[1], right_addresses)):
            for address in addresses:
                host.run("ip", "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
            host.run("ip", "link", "set", device, "up")
        return ends

    def close(self) -> None:
        for host in self.hosts:
            host.delete()
