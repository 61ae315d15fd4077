"""Unchanged programs, and what the proxy's record must show of each: one entry a program, whoever carries it.

A program runs at the client of a fence (fenced.py) and talks to servers at the far end, which its entry starts. Used by
programs_matrix_test.py and by bench/run_compared.py.
"""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from datagrams import DatagramEcho
from fenced import FAR, NOBODY, OUTSIDE, PROXY, RULES, Fenced
from ftp_site import start_vsftpd
from name_server import NameServer
from origins import Origin
from processes import ENVIRONMENT, Daemon, wait_until
from ssh_site import start_sshd
from torrent_site import PEER_PORT, TRACKER_PORT, TorrentSite
from web import PAGE

LIBURING = "/usr/include/liburing.h"
SOURCES = Path(__file__).parent / "programs"
HOST = "web.far.test"
URL = f"http://{HOST}/"

GRANTED = RULES.replace("to tcp udp 203", "to tcp udp bind 203").replace("to ping 203", "to ping resolve 203")

Done = subprocess.CompletedProcess[str]


@dataclass
class Stage:
    """Where one program runs: its far end, a folder that everybody may use, and one for what is compiled."""

    fenced: Fenced
    folder: Path
    compiled: Path
    stack: ExitStack

    def daemon(self, *command: object) -> Daemon:
        """Wherever this thread is."""
        return self.stack.enter_context(closing(Daemon(self.folder, *command)))

    def at_far(self, make: Callable):
        """A server of the tests' own, made at the far end and closed there."""

        @contextmanager
        def there() -> Iterator:
            with self.fenced.far.inside():
                server = make()
            try:
                yield server
            finally:
                with self.fenced.far.inside():
                    server.close()

        return self.stack.enter_context(there())


@dataclass(frozen=True)
class Program:
    """`words` starts what the program talks to, and gives its command; `proof` judges what it did."""

    name: str
    needs: str  # the file or executable without which it cannot run
    words: Callable[[Stage], list[object]]
    proof: Callable[[Stage, Done], bool]
    sessions: tuple[str, ...]  # "COMMAND TARGET": what the proxy's records must hold, and nothing else; regular expressions
    may: tuple[str, ...] = ()  # but for these, where the way has BIND: the program listens for a caller who does not come
    asks: frozenset[str] = frozenset({HOST})  # the names that the proxy asks DNS for
    user: str = "nobody"
    typed: str = ""  # its input, which stays open until it ends


def found(needs: str) -> bool:
    """An executable, or a file by its whole path."""
    return shutil.which(needs) is not None or Path(needs).exists()


UDP = ("udp-associate .*",)  # its target is the client's; which name it sent to is seen by what the proxy asks DNS for
ECHO_PORT, CALLER_PORT, NAME_PORT, GIT_PORT, FTP_PORT, TELNET_PORT = 7000, 7001, 5300, 9418, 21, 23


def has_page(_: Stage, done: Done) -> bool:
    return PAGE.decode() in done.stdout


def says(text: str) -> Callable[[Stage, Done], bool]:
    return lambda _, done: text in done.stdout


def compiled(source: str, compiler: str, *words: object) -> Callable[[Stage], list[object]]:
    """Compiled once for all ways."""

    def command(stage: Stage) -> list[object]:
        program = stage.compiled / Path(source).stem
        if not program.exists():
            go = {"CGO_ENABLED": "0", "GOCACHE": f"{stage.compiled}/cache", "GOPATH": f"{stage.compiled}/path"}
            line = compiler.format(source=SOURCES / source, program=program)
            subprocess.run(line.split(), check=True, env=ENVIRONMENT | go)
        return [program, *words]

    return command


def always(*words: object) -> Callable[[Stage], list[object]]:
    return lambda _: list(words)


# --- git ---


def repository(stage: Stage) -> None:
    project = stage.fenced.web.repositories / "project"
    git = ["git", "-C", project, "-c", "user.name=a", "-c", "user.email=a@example"]
    subprocess.run(["git", "init", "--quiet", project], check=True)
    (project / "read-me").write_text("cloned")
    subprocess.run([*git, "add", "read-me"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)


def git_http(stage: Stage) -> list[object]:
    repository(stage)
    return ["git", "clone", "--quiet", f"{URL}git/project", stage.folder / "clone"]


def git_daemon(stage: Stage) -> list[object]:
    repository(stage)
    place = [f"--base-path={stage.fenced.web.repositories}", f"--listen={FAR}", f"--port={GIT_PORT}"]
    # Not by `git daemon`, which would leave it behind when it is ended itself.
    folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    with stage.fenced.far.inside():
        stage.daemon(f"{folder}/git-daemon", "--export-all", *place).wait_for_port(FAR, GIT_PORT)
    return ["git", "clone", "--quiet", f"git://{HOST}/project", stage.folder / "clone"]


def is_cloned(stage: Stage, _: Done) -> bool:
    file = stage.folder / "clone" / "read-me"
    return file.exists() and file.read_text() == "cloned"


# --- Logins and files ---


def ssh(stage: Stage) -> list[object]:
    port, options = start_sshd(stage.daemon, stage.folder / "ssh", FAR, stage.fenced.far)
    return ["ssh", *options, "-p", port, HOST, "echo", "through the fence"]


def ftp(mode: str) -> Callable[[Stage], list[object]]:
    """Active (-A) or passive (-p), for the anonymous user (-a)."""

    def words(stage: Stage) -> list[object]:
        start_vsftpd(stage.daemon, stage.folder, mode == "-p", (stage.fenced.far, FAR, FTP_PORT))
        return ["tnftp", "-a", mode, "-o", stage.folder / "got", f"ftp://{HOST}/large"]

    return words


def has_file(stage: Stage, _: Done) -> bool:
    got, site = stage.folder / "got", stage.folder / "ftp" / "large"
    return got.exists() and got.read_bytes() == site.read_bytes()


def telnet(stage: Stage) -> list[object]:
    def shell(connection: socket.socket) -> None:
        connection.sendall(b"welcome\r\n")
        line = connection.makefile("rb").readline()
        connection.sendall(b"you said " + line)

    stage.at_far(lambda: Origin(shell, FAR, TELNET_PORT))
    return ["telnet", HOST]


# --- Datagrams and pings ---


def dig_elsewhere(stage: Stage) -> list[object]:
    stage.at_far(lambda: NameServer(FAR, {"asked.test": ["192.0.2.77"]}, NAME_PORT))
    return ["dig", "+short", "+tries=2", "+time=5", "-p", NAME_PORT, f"@{HOST}", "asked.test", "A"]


def sendmmsg(stage: Stage) -> list[object]:
    stage.at_far(lambda: DatagramEcho(FAR, ECHO_PORT))
    return compiled("sendmmsg.c", "gcc {source} -o {program}", HOST, ECHO_PORT)(stage)


# --- Peers ---


def aria2(stage: Stage) -> list[object]:
    return ["aria2c", "--no-conf=true", "--quiet=true", f"--dir={stage.folder}", "--out=page", "--max-tries=1", URL]


def has_download(stage: Stage, _: Done) -> bool:
    got = stage.folder / "page"
    return got.exists() and got.read_bytes() == PAGE


def transmission(stage: Stage) -> list[object]:
    site = stage.at_far(lambda: TorrentSite(FAR, HOST))
    stage.at_far(lambda: Origin(site.peer, FAR, PEER_PORT))
    settings, torrent, finish = (stage.folder / name for name in ("settings", "shared.torrent", "finish"))
    settings.mkdir()
    # What would look for other peers by itself is off: there is the tracker and the peer that it names.
    off = [f'"{one}-enabled": false' for one in ("dht", "lpd", "pex", "utp", "port-forwarding")]
    (settings / "settings.json").write_text("{" + ", ".join([*off, '"encryption": 0']) + "}")
    torrent.write_bytes(site.torrent)
    (stage.folder / "expected").write_bytes(site.content)
    finish.write_text("#!/bin/sh\nkill -INT $PPID\n")  # it would share the file for ever
    for path in (settings, settings / "settings.json", finish):
        path.chmod(0o777)
    return ["transmission-cli", "-g", settings, "-w", stage.folder, "-f", finish, torrent]


def has_shared(stage: Stage, _: Done) -> bool:
    got = stage.folder / "shared"
    return got.exists() and got.read_bytes() == (stage.folder / "expected").read_bytes()


def is_address(_: Stage, done: Done) -> bool:
    return re.fullmatch(r"[\d.]+\n", done.stdout) is not None


def is_traced(_: Stage, done: Done) -> bool:
    """A line with a number shows the address that the first one has in brackets."""
    return re.search(r"\((.*?)\).*\n *\d+ +\1 ", done.stdout, re.DOTALL) is not None


# --- Callers ---


def called(place: tuple[str, int], control: socket.socket) -> socket.socket:
    """A connection to there, as soon as somebody listens: between two callers there is a moment in which the proxy does not.
    It is given up when the control connection ends."""
    while True:
        try:
            return socket.create_connection(place, 20)
        except ConnectionRefusedError:
            if select.select([control], [], [], 0.01)[0]:
                raise


def forking_server(stage: Stage) -> list[object]:
    def call_back(control: socket.socket) -> None:
        port = int(control.makefile().readline())
        for word in (b"one\n", b"two\n"):
            with called((PROXY, port), control) as caller:
                caller.sendall(word)
                control.sendall(caller.makefile("rb").readline())

    stage.fenced.far.run("ip", "route", "add", f"{PROXY}/32", "via", OUTSIDE)  # where the proxy listens for everybody
    stage.at_far(lambda: Origin(call_back, FAR, CALLER_PORT))
    return ["/usr/bin/python3", SOURCES / "forking_server.py", HOST, CALLER_PORT]


def named(command: str, port: int | str) -> str:
    return f"{command} web[.]far[.]test:{port}"


def fetches(name: str, needs: str, words: Callable[[Stage], list[object]]) -> Program:
    return Program(name, needs, words, has_page, (named("connect", 80),))


PROGRAMS = [
    fetches("curl", "curl", always("curl", "-sS", URL)),
    fetches("wget", "wget", always("wget", "-q", "-O-", "--tries=1", URL)),
    Program("git, http://", "git", git_http, is_cloned, (named("connect", 80),)),
    Program("git, git://", "git", git_daemon, is_cloned, (named("connect", GIT_PORT),)),
    Program("ssh", "/usr/sbin/sshd", ssh, says("through the fence"), (named("connect", r"\d+"),), user="root"),
    Program("ftp, active", "tnftp", ftp("-A"), has_file, (named("connect", FTP_PORT), named("bind", FTP_PORT))),
    Program("ftp, passive", "tnftp", ftp("-p"), has_file, (named("connect", r"\d+"),), (named("bind", FTP_PORT),)),
    Program("telnet", "telnet", telnet, says("you said by hand"), (named("connect", TELNET_PORT),), typed="by hand\n"),
    Program("dig", "dig", always("dig", "+short", "+tries=1", HOST, "A"), is_address, (), asks=frozenset()),
    Program("dig, port 5300", "dig", dig_elsewhere, says("192.0.2.77"), UDP),
    Program("ping", "ping", always("ping", "-n", "-c", 2, "-i", 0.3, "-W", 20, HOST), says("2 received"), (named("ping", 0),)),
    Program("traceroute", "traceroute", always("traceroute", "-n", "-q", 1, "-m", 4, HOST), is_traced, (named("traceroute", 0),)),
    fetches("python", "/usr/bin/python3", always("/usr/bin/python3", SOURCES / "fetch.py", URL)),
    fetches("node", "node", always("node", SOURCES / "fetch.js", URL)),
    fetches("java", "java", always("java", "-Xshare:auto", SOURCES / "Fetch.java", URL)),
    fetches("static C", "gcc", compiled("static_fetch.c", "gcc -static {source} -o {program}", HOST)),
    fetches("Go", "go", compiled("fetch.go", "go build -o {program} {source}", URL)),
    fetches("io_uring", LIBURING, compiled("io_uring_fetch.c", "gcc {source} -luring -o {program}", HOST, 80)),
    Program("sendmmsg", "gcc", sendmmsg, says("3 came back"), UDP),
    Program("aria2", "aria2c", aria2, has_download, (named("connect", 80),)),
    Program(
        "transmission", "transmission-cli", transmission, has_shared,
        (named("connect", TRACKER_PORT), f"connect {FAR}:{PEER_PORT}"), ("bind .*",),
    ),
    Program(
        "forking server", "/usr/bin/python3", forking_server, says("2 children answered"),
        (named("connect", CALLER_PORT), "bind 0[.]0[.]0[.]0:.*"),
    ),
]


@dataclass(frozen=True)
class Outcome:
    """What one program did, and what the proxy and the counters saw of it."""

    program: Program
    worked: bool
    proved: bool  # it did what it was for, whatever its exit code
    sessions: frozenset[str]  # "COMMAND TARGET" of the proxy's records
    asked: frozenset[str]  # names that the proxy asked DNS for
    leaked_names: int  # packets that went past the proxy: to DNS servers
    leaked_others: int
    said: str

    def by_name(self) -> bool:
        """The proxy's records hold what they must, and nothing else."""
        expected = self.program.sessions
        known = all(any(re.fullmatch(one, session) for one in expected + self.program.may) for session in self.sessions)
        return known and shown(expected, self.sessions) and self.asked == self.program.asks


def shown(expected: tuple[str, ...], sessions: frozenset[str]) -> bool:
    return all(any(re.fullmatch(one, session) for session in sessions) for one in expected)


def attempt(stage: Stage, program: Program, before: list[str], seconds: float = 60, patience: float = 20) -> Outcome:
    """Runs it at the client behind these words, for so long at most; records are waited for with this patience."""
    fenced, words = stage.fenced, [str(word) for word in program.words(stage)]
    as_user = NOBODY if program.user == "nobody" else []
    done = finished([*fenced.client.prefix(), *as_user, *before, *words], stage.folder, program.typed, seconds)
    proved = program.proof(stage, done)
    if proved:
        with suppress(AssertionError):
            wait_until("records", lambda: shown(program.sessions, fenced.sessions()), patience)
    names, others = fenced.leaks()
    said = f"$ {' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}[exit {done.returncode}]"
    worked = proved and done.returncode == 0
    return Outcome(program, worked, proved, fenced.sessions(), frozenset(fenced.asked()), names, others, said)


def finished(command: list[str], folder: Path, typed: str, seconds: float) -> Done:
    """The program's end, or that of all that it started when the time is over (returncode -9). What it writes goes to files: a
    pipe would be held open by whoever it leaves behind."""
    out, err = folder / "stdout", folder / "stderr"
    plain = {"HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin"}
    reading, writing = os.pipe()
    os.write(writing, typed.encode())
    if not typed:
        os.close(writing)
    with out.open("wb") as stdout, err.open("wb") as stderr, subprocess.Popen(
        command, stdin=reading, stdout=stdout, stderr=stderr, env=plain, cwd=folder, start_new_session=True
    ) as process:
        os.close(reading)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if typed:
        os.close(writing)
    return Done(command, process.returncode, out.read_text(errors="replace"), err.read_text(errors="replace"))
