"""The ground that a run stands on: a network namespace of its own, processes pinned to cores, and the kernel's accounts.

Processor time is read from each process's clock (every thread, living or ended, in nanoseconds) and, for children that
ended, from their parent's account. Softirq work that ran inside a process is in its clock already; what spilled over
is in ksoftirqd, which is read beside it.
"""

import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from peers import HOST, Peer, Place, Start

CLONE_NEWNET = 0x40000000
TICK = 1 / os.sysconf("SC_CLK_TCK")
READY_SECONDS = 20


class Trouble(Exception):
    """Something could not be measured; the text says what and why."""


def enter_own_network() -> str:
    """This process, and what it starts from here on, sees a loopback device that nobody else uses. Needs root.

    BBR, where it is the default, paces on loopback and costs up to a third more in bulk: cubic is set here, whatever the
    machine has. A namespace may only choose among the algorithms that the machine lets everybody use, so cubic is made
    one of them for that moment. Receive buffers may grow as far as the kernel lets them by itself: what a proxy holds for
    a reader that stops depends on it. Returns the algorithm in force.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    settings = Path("/proc/sys/net/ipv4")
    allowed = (settings / "tcp_allowed_congestion_control").read_text().strip()
    with (settings / "tcp_allowed_congestion_control").open("w") if os.geteuid() == 0 else nullcontext() as everybody:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise Trouble(f"no network namespace of its own: {os.strerror(ctypes.get_errno())} (run it as root)")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        (settings / "ip_local_port_range").write_text("16000 65535")
        (settings / "tcp_rmem").write_text("4096 131072 6291456")  # the kernel's own default, whatever the machine has
        assert everybody
        everybody.write(allowed if "cubic" in allowed.split() else f"{allowed} cubic")
        everybody.flush()
        try:
            (settings / "tcp_congestion_control").write_text("cubic")
        finally:
            everybody.seek(0)
            everybody.write(allowed)
            everybody.flush()
    return (settings / "tcp_congestion_control").read_text().strip()


def raise_descriptor_limit() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cores() -> tuple[int, int]:
    """The proxy's core and the generator's; one and the same where the machine has one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[min(1, len(allowed) - 1)]


# --- What the kernel says ---------------------------------------------------------------------------------------


def stat_fields(process: int) -> list[str]:
    """/proc/PID/stat behind the program's name: state, parent, …"""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def family(roots: list[int]) -> list[int]:
    """These processes and all that descend from them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(stat_fields(int(entry.name))[1])
            except (OSError, IndexError):
                continue
    found = [root for root in roots if root in parents]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process and child not in found]
    return found


def processor_seconds(processes: list[int]) -> float:
    """What these have used since they began, with those of their children that ended."""
    total = 0.0
    for process in processes:
        try:
            total += time.clock_gettime_ns((~process << 3) | 2) / 1e9  # CPUCLOCK_SCHED of the whole process
            fields = stat_fields(process)
        except OSError:
            continue
        total += (int(fields[13]) + int(fields[14])) * TICK
    return total


def softirq_threads() -> dict[int, int]:
    """Core -> ksoftirqd."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                name = (entry / "comm").read_text().strip()
            except OSError:
                continue
            if name.startswith("ksoftirqd/"):
                found[int(name.partition("/")[2])] = int(entry.name)
    return found


def core_seconds(used: set[int]) -> tuple[float, float]:
    """Of these cores since boot: all time, and idle time."""
    total = idle = 0.0
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0].startswith("cpu") and words[0][3:].isdecimal() and int(words[0][3:]) in used:
            ticks = [int(word) for word in words[1:9]]
            total += sum(ticks) * TICK
            idle += (ticks[3] + ticks[4]) * TICK
    return total, idle


def memory_kib(process: int) -> int:
    """The proportional set size without files: a program's text is shared with whoever runs the same one."""
    rows = (line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0] in ("Pss_Anon:", "Pss_Shmem:"))


def kernel_kib() -> int:
    """Slab memory and kernel stacks of the whole machine."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0] in ("Slab:", "KernelStack:"))


# --- Programs ---------------------------------------------------------------------------------------------------


@dataclass
class Journal:
    """Every distinct command line and configuration of a run, with its ports and folder made plain."""

    commands: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def note(self, heading: str, words: list[str], place: Place, files: tuple[Path, ...] = ()) -> None:
        line = self.plain(" ".join(words), place)
        if line not in (lines := self.commands.setdefault(heading, [])):
            lines.append(line)
        for file in files:
            if file.name not in self.files:
                text = self.plain(file.read_text(), place)
                kept = text.splitlines()
                if len(kept) > 40:  # a thousand rules: peers.py makes them
                    text = "\n".join([*kept[:12], f"… {len(kept) - 14} more lines …", *kept[-2:]]) + "\n"
                self.files[file.name] = text

    @staticmethod
    def plain(text: str, place: Place) -> str:
        names = {str(place.proxy): "1080", str(place.origin): "7000", str(place.spare): "2222"}
        for number, name in names.items():
            text = text.replace(f"{HOST}:{number}", f"{HOST}:{name}").replace(f" {number}", f" {name}")
        text = re.sub(r"(perf stat .* -p )[\d,]+", r"\1PROCESSES", text)
        scratch = str(place.folder.parent)
        for path, name in ((f"{scratch}/ssh-keys", "KEYS"), (str(place.folder), "FOLDER"), (scratch, "FOLDER")):
            text = text.replace(path, name)
        return text.replace(str(place.binary), "build/release/stile")


def pinned(core: int | None, words: list[str]) -> list[str]:
    return words if core is None else ["taskset", "-c", str(core), *words]


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def wait_for_port(program: subprocess.Popen, port: int, words: list[str], seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not accepts(port):
        if program.poll() is not None:
            raise Trouble(f"{words[0]} ended with {program.returncode} before it listened")
        if time.monotonic() > deadline:
            raise Trouble(f"{words[0]} does not listen after {seconds:.0f} s")
        time.sleep(0.002)


def end(program: subprocess.Popen, also: list[int] | None = None) -> None:
    """Ends a program as politely as it lets; `also` are descendants that must not outlive it."""
    for wait, what in ((1.0, signal.SIGTERM), (2.0, signal.SIGTERM), (5.0, signal.SIGKILL)):
        if program.poll() is not None:
            break
        program.send_signal(what)
        try:
            program.wait(wait)
        except subprocess.TimeoutExpired:
            continue
    for process in also or []:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


@dataclass
class Running:
    """A peer that serves."""

    place: Place
    roots: list[int]
    helpers: list[int]  # the origin apart: no part of the proxy

    def processes(self) -> list[int]:
        return family(self.roots)


class Bench:
    """Starts peers and generators, each start on fresh ports, and notes what it started."""

    def __init__(self, binary: Path, folder: Path, journal: Journal) -> None:
        self.binary = binary
        self.folder = folder
        self.journal = journal
        self.starts = 0
        self.proxy_core, self.generator_core = cores()

    def place(self) -> Place:
        first = 10_000 + self.starts % 1900 * 3
        self.starts += 1
        folder = self.folder / "place"
        folder.mkdir(exist_ok=True)
        return Place(folder, first, first + 1, first + 2, self.binary)

    @contextmanager
    def serving(
        self, peer: Peer, core: int | None, wrap: list[str] | None = None, apart: bool = True
    ) -> Iterator[Running]:
        """The peer on a core, with all it needs. `wrap` is a tool's words before each of its commands; without `apart`
        the caller brings the origin."""
        place = self.place()
        programs: list[subprocess.Popen] = []
        roots: list[int] = []
        try:
            if peer.apart and apart:
                words = [str(self.binary), "bench", "origin", "--listen", f"{HOST}:{place.origin}"]
                origin = Start(pinned(self.generator_core, words), place.origin)
                self.launch(programs, "the origin apart", origin, [], place)
            for start in peer.starts(place):
                program = self.launch(programs, peer.name, start, [*pinned(core, []), *(wrap or [])], place)
                roots.append(program.pid)
            helpers = [program.pid for program in programs if program.pid not in roots]
            yield Running(place, roots, helpers)
        finally:
            for program in reversed(programs):
                also = family([program.pid])[1:]
                if wrap:
                    # strace itself would let go of the program; and a tool needs time for its summary.
                    os.kill(also[0] if wrap[0] == "strace" and also else program.pid, signal.SIGTERM)
                    wait_quietly(program, 15)
                end(program, also)
            (place.folder / "access.json").unlink(missing_ok=True)

    def launch(
        self, programs: list[subprocess.Popen], heading: str, start: Start, before: list[str], place: Place
    ) -> subprocess.Popen:
        """Starts one program, behind the words `before`, and waits until it listens."""
        words = [*before, *start.words]
        self.journal.note(heading, [*words, f"> {start.output}"] if start.output else words, place, start.files)
        with start.output.open("wb") if start.output else nullcontext(subprocess.DEVNULL) as output:
            program = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
            )
        programs.append(program)
        wait_for_port(program, start.port, words)
        return program

    def generator(self, peer: Peer, place: Place, arguments: list[str], before: list[str] | None = None) -> list[str]:
        """The command line of one measurement."""
        words = [str(self.binary), "bench", arguments[0], *peer.target(place), *arguments[1:], "--json"]
        words = [*(before or []), *pinned(self.generator_core, words)]
        self.journal.note(f"measuring {peer.name}", words, place)
        return words


def wait_quietly(program: subprocess.Popen, seconds: float) -> None:
    try:
        program.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
