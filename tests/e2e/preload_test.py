"""libstile-preload.so, by `stile run --preload` and by hand: unchanged programs go through the proxy by name, their connects end as they
would without one, and what the library cannot carry is refused."""

import re
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fenced import FAR, FAR_SIX, NOBODY, PORT, PROXY, RULES, Fenced
from processes import BINARY, ENVIRONMENT, ROOT, run, wait_until
from server import Server
from ssh_site import start_sshd
from stile_library import is_sanitized
from unchanged import SOURCES, URL
from web import PAGE

PYTHON = "/usr/bin/python3"
LIBRARY = BINARY.parent / "libstile-preload.so"
MAP = ROOT / "src" / "preload" / "inside" / "libstile-preload.map"
PRELOAD = ("--preload",)

if not LIBRARY.exists():
    pytest.skip(f"there is no {LIBRARY}", allow_module_level=True)
if is_sanitized():
    pytest.skip("a library with sanitizers is for programs that have them too", allow_module_level=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user may use."""
    with tempfile.TemporaryDirectory(prefix="stile-preload-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(scope="module")
def calls(place: Path) -> Path:
    """The program that makes whatever calls it is told to."""
    program = place / "preload_calls"
    source = ROOT / "tests" / "e2e" / "programs" / "preload_calls.c"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, source, "-lresolv"], check=True)
    return program


def compiled(folder: Path, program: str) -> list[str]:
    """The command that fetches the page with it, compiled where that is needed."""
    if program == "static":
        subprocess.run(["gcc", "-static", "-o", folder / "static", SOURCES / "static_fetch.c"], check=True)
        return [f"{folder}/static", "web.far.test"]
    if program == "go":
        go = ENVIRONMENT | {"CGO_ENABLED": "0", "GOCACHE": f"{folder}/cache", "GOPATH": f"{folder}/path"}
        subprocess.run(["go", "build", "-o", folder / "fetch", SOURCES / "fetch.go"], check=True, env=go)
        return [f"{folder}/fetch", URL]
    return {
        "curl": ["curl", "--silent", "--show-error", URL],
        "wget": ["wget", "--quiet", "--output-document=-", URL],
        "python": [PYTHON, str(SOURCES / "fetch.py"), URL],
        "node": ["node", str(SOURCES / "fetch.js"), URL],
        "java": ["java", "-Xshare:auto", str(SOURCES / "Fetch.java"), URL],
    }[program]


def python(fenced: Fenced, script: str, *words: object, **options) -> str:
    done = fenced.run(PYTHON, "-c", script, *words, flags=PRELOAD, **options)
    assert done.returncode == 0
    return done.stdout


# --- The library itself ---------------------------------------------------------------------------------------------


def test_it_takes_the_place_of_what_is_listed_and_of_nothing_else() -> None:
    listed = set(re.findall(r"^    (\w+);$", MAP.read_text(), re.MULTILINE))
    shown = run("nm", "-D", "--defined-only", LIBRARY).stdout.splitlines()
    assert {line.split()[-1] for line in shown} == listed
    known = run("nm", "-D", "--defined-only", "/lib/x86_64-linux-gnu/libc.so.6").stdout if LIBRARY.exists() else ""
    if known:
        assert listed <= {line.split()[-1].split("@")[0] for line in known.splitlines()}


def test_it_brings_nothing_into_programs() -> None:
    shown = run("readelf", "-d", LIBRARY).stdout
    assert set(re.findall(r"NEEDED.*\[(.*)\]", shown)) <= {"libc.so.6", "ld-linux-x86-64.so.2"}


def test_it_is_installed_where_stile_run_finds_it(tmp_path: Path) -> None:
    assert run("cmake", "--install", BINARY.parent, "--prefix", tmp_path).returncode == 0
    (library,) = tmp_path.rglob(LIBRARY.name)
    assert library.parent.name == "stile"
    script = "import os; print(os.environ['LD_PRELOAD'])"
    done = run(tmp_path / "bin" / "stile", "run", "--preload", "--via", "socks5h://127.0.0.1:9", PYTHON, "-c", script)
    assert Path(done.stdout.strip()).samefile(library)


# --- Programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["curl", "wget", "python", "node", "java"])
def test_a_program_goes_through_the_proxy_by_name(fenced: Fenced, place: Path, program: str) -> None:
    """TW2, TW6: no packet leaves but to the proxy, of either family."""
    done = fenced.run(*compiled(place, program), flags=PRELOAD)
    assert done.returncode == 0
    assert PAGE.decode() in done.stdout
    assert fenced.saw("web.far.test:80")
    assert fenced.asked() == {"web.far.test"}
    assert fenced.leaked() == 0


def test_git_clones(fenced: Fenced, tmp_path: Path, place: Path) -> None:
    project = tmp_path / "repositories" / "project"
    subprocess.run(["git", "init", "--quiet", project], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example"]
    subprocess.run(["git", "-C", project, *identity, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    with tempfile.TemporaryDirectory(dir=place) as clone:
        Path(clone).chmod(0o777)
        done = fenced.run("git", "clone", "--quiet", "http://web.far.test/git/project", f"{clone}/clone", flags=PRELOAD)
        assert done.returncode == 0
        assert Path(clone, "clone", ".git", "HEAD").exists()
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0


def test_ssh_enters(fenced: Fenced, daemon, tmp_path: Path) -> None:
    port, options = start_sshd(daemon, tmp_path / "ssh", FAR, fenced.far)
    command = ["ssh", *options, "-p", port, "web.far.test", "cat"]
    done = fenced.run(*command, flags=PRELOAD, user="root", input="through the fence")
    assert (done.returncode, done.stdout) == (0, "through the fence")
    assert fenced.saw(f"web.far.test:{port}")
    assert fenced.leaked() == 0


@pytest.mark.parametrize("what", ["syscall", "threads", "closing", "signals"])
def test_whatever_a_program_does_with_its_sockets(fenced: Fenced, calls: Path, what: str) -> None:
    """By number; in threads; duplicated, with all else closed, in children; in signal handlers that interrupt the same calls."""
    done = fenced.run(calls, what, "web.far.test", 80, flags=PRELOAD)
    assert done.returncode == 0
    assert PAGE.decode() in done.stdout
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0


ASYNC = """
import asyncio, sys
async def fetch(host):
    reader, writer = await asyncio.open_connection(host, 80)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    text = await reader.read()
    writer.close()
    return len(text)
async def main():
    print(len(set(await asyncio.gather(*[fetch("web.far.test") for _ in range(20)]))))
asyncio.run(main())
"""


def test_an_event_loop_connects_to_many_at_once(fenced: Fenced) -> None:
    assert python(fenced, ASYNC) == "1\n"
    assert fenced.saw("web.far.test:80")
    wait_until("each has ended", lambda: sum(record["event"] == "session.end" for record in fenced.server.records()) == 20)
    assert fenced.leaked() == 0


INTERLEAVED = """
import asyncio, sys
async def ask(host, port):
    reader, writer = await asyncio.open_connection(host, int(port))
    text = await reader.read()
    writer.close()
    return text == port.encode()
async def main():
    places = [("web.far.test", sys.argv[1]), ("both.far.test", sys.argv[2])] * 20
    print(all(await asyncio.gather(*[ask(*place) for place in places])))
asyncio.run(main())
"""


def test_each_connection_leads_to_its_own_origin(fenced: Fenced, origin) -> None:
    """TW7"""

    def tell_port(connection: socket.socket) -> None:
        connection.sendall(str(connection.getsockname()[1]).encode())

    with fenced.far.inside():
        ports = [origin(tell_port, FAR).port for _ in range(2)]
    assert python(fenced, INTERLEAVED, *ports) == "True\n"
    assert fenced.saw(f"web.far.test:{ports[0]}", f"both.far.test:{ports[1]}")
    assert fenced.leaked() == 0


@pytest.mark.parametrize("target", [FAR, f"[{FAR_SIX}]"])
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_addresses_go_as_they_are(fenced: Fenced, target: str, user: str) -> None:
    done = fenced.run("curl", "--silent", f"http://{target}/", user=user, flags=PRELOAD)
    assert PAGE.decode() in done.stdout
    assert fenced.saw(f"{target}:80")
    assert fenced.asked() == set()
    assert fenced.leaked() == 0


@pytest.mark.parametrize("what", ["threads", "closing", "names"])
def test_valgrind_finds_nothing(fenced: Fenced, calls: Path, what: str) -> None:
    """It is a static program itself, which loads the library into the one that it runs."""
    checked = ["valgrind", "--quiet", "--error-exitcode=99", str(calls), what, "web.far.test", "80"]
    assert fenced.run(*checked, flags=("--preload", "--lenient"), timeout=120).returncode == 0
    assert fenced.leaked() == 0


# --- What connect says ----------------------------------------------------------------------------------------------

FAILURES = [("web.far.test", 81, "ECONNREFUSED"), ("denied.far.test", 80, "EACCES"), ("missing.far.test", 80, "EHOSTUNREACH"),
            (FAR, 81, "ECONNREFUSED"), (FAR_SIX, 81, "ECONNREFUSED")]  # fmt: skip

BLOCKING = """
import errno, socket, sys
places = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_STREAM)
for family, kind, protocol, _, place in places:
    with socket.socket(family, kind, protocol) as stream:
        for _ in range(2):  # once more with the same socket
            print(errno.errorcode[stream.connect_ex(place)])
"""


@pytest.mark.parametrize(("host", "port", "error"), FAILURES)
def test_a_connect_that_waits_fails_as_it_would_without_a_proxy(fenced: Fenced, host: str, port: int, error: str) -> None:
    told = python(fenced, BLOCKING, host, port).split()
    assert set(told) == {error}
    assert len(told) == (4 if host.endswith(".test") else 2)  # of both families, where there is a name
    assert fenced.leaked() == 0


# Registered before it is connected, as event loops do it.
NOT_WAITING = """
import errno, select, socket, sys
host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
stream = socket.socket(place[0])
stream.setblocking(False)
if how == "epoll":
    epoll = select.epoll()
    epoll.register(stream, select.EPOLLOUT | select.EPOLLET)
    epoll.poll(0)
print(errno.errorcode[stream.connect_ex(place[4])])
if how == "epoll":
    assert epoll.poll(30)
elif how == "poll":
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    assert poll.poll(30000)
elif how == "select":
    assert select.select([], [stream], [], 30)[1]
elif how == "again":
    import time
    while (error := stream.connect_ex(place[4])) == errno.EALREADY: time.sleep(0.01)
    print(errno.errorcode.get(error, error))
if how != "again":
    error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    print(errno.errorcode.get(error, error))
if error == 0:
    print(stream.getpeername()[:2] == place[4][:2])
    stream.setblocking(True)
    stream.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(len(stream.makefile("rb").read()) > 100)
"""


@pytest.mark.parametrize("how", ["epoll", "poll", "select", "again"])
@pytest.mark.parametrize(("host", "port", "error"), [*FAILURES[:3], ("web.far.test", 80, "0"), (FAR_SIX, 80, "0")])
def test_a_connect_that_does_not_wait_is_ready_when_it_is_known_what_came_of_it(
    fenced: Fenced, host: str, port: int, error: str, how: str
) -> None:
    told = python(fenced, NOT_WAITING, host, port, how).split()
    assert told == ["EINPROGRESS", error, *(["True", "True"] if error == "0" else [])]
    assert fenced.leaked() == 0


def test_without_the_proxy_nothing_goes_out(fenced: Fenced) -> None:
    with fenced.proxy.inside():
        fenced.server.finish()
    assert set(python(fenced, BLOCKING, "web.far.test", 80).split()) == {"ENETUNREACH"}
    assert fenced.leaked() == 0


def until_the_end(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def test_a_time_limit_of_the_programs_own_holds(fenced: Fenced, origin) -> None:
    """A proxy that says nothing: the program's socket waits, and the program may do something else."""
    with fenced.proxy.inside():
        fenced.server.finish()
        origin(until_the_end, PROXY, PORT)
    script = """
import socket, time
for limit in (0.3, None):
    stream = socket.socket()
    if limit is None: stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes([0] * 8) + (300000).to_bytes(8, "little"))
    else: stream.settimeout(limit)
    begin = time.monotonic()
    try: stream.connect(("web.far.test", 80))
    except OSError as error: print(error.errno in (None, 11, 115), time.monotonic() - begin < 5)
    else: print("connected")
"""
    assert python(fenced, script) == "True True\nTrue True\n"


FORKING = """
import os, signal, socket, threading, time
children, over = [], threading.Event()
def fork():
    while not over.is_set() and len(children) < 300:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
        time.sleep(0.001)
thread = threading.Thread(target=fork)
thread.start()
try:
    for _ in range(150):
        with socket.socket() as stream:
            stream.settimeout(20)
            stream.connect(("203.0.113.2", 80))
    print("connected")
finally:
    over.set()
    thread.join()
    for child in children: os.kill(child, signal.SIGKILL)
"""


def test_a_child_that_is_forked_meanwhile_holds_no_connect_up(fenced: Fenced) -> None:
    """It has a copy of whatever is open in another thread at that moment."""
    assert python(fenced, FORKING) == "connected\n"


# --- Names ----------------------------------------------------------------------------------------------------------


def test_every_way_to_ask_for_a_name(fenced: Fenced, calls: Path) -> None:
    done = fenced.run(calls, "names", "web.far.test", flags=PRELOAD)
    v4, name, v6, too_small, by_query, other_type, *others = done.stdout.split()
    assert (v4, name, v6, too_small, by_query, other_type) == ("198.18.1.0", "web.far.test", "fd73:7469:6c65::100", "1", v4, "-1")
    number = "007f0100" if not Path("/etc/hostid").exists() else others[0]
    assert others == [number, "1", "1"]
    assert fenced.asked() == set()
    assert fenced.leaked() == 0


def test_names_are_the_same_for_all(fenced: Fenced) -> None:
    """A parent's, its children's, and those that its children execute."""
    script = """
import os, socket, subprocess, sys
first = socket.gethostbyname("web.far.test")
if os.fork() == 0:
    socket.gethostbyname("other.far.test")
    print(socket.gethostbyname("web.far.test") == first, flush=True)
    os._exit(0)
os.wait()
code = "import socket; print(socket.gethostbyname('web.far.test'), socket.gethostbyaddr('%s')[0])" % first
print(subprocess.run([sys.executable, "-c", code], env={}, stdout=subprocess.PIPE, text=True).stdout.split() == [first, "web.far.test"])
print(socket.getnameinfo((first, 80), 0), socket.getaddrinfo("web.far.test", "http", proto=6, flags=socket.AI_CANONNAME)[0][3])
print(socket.gethostbyname("localhost"), socket.gethostbyname(socket.gethostname()))
"""
    told = python(fenced, script).splitlines()
    assert told == ["True", "True", "('web.far.test', 'http') web.far.test", told[3]]
    assert told[3].startswith("127.0.0.1 ")
    assert fenced.leaked() == 0


def test_a_program_that_speaks_dns_by_itself_is_answered(fenced: Fenced) -> None:
    """TW5: whichever server it asks, one of this host among them, which would ask for it."""
    script = """
import socket
question = bytes.fromhex("4711010000010000000000000377656203666172047465737400" "00010001")
for server in ("127.0.0.53", "192.0.2.53", "10.60.0.1"):
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(20)
    asking.sendto(question, (server, 53))
    answer, sender = asking.recvfrom(512)
    print(socket.inet_ntoa(answer[-4:]), sender == (server, 53))
print(socket.socket().connect_ex(("127.0.0.53", 53)))
try: socket.socket(socket.AF_UNIX).connect("/run/systemd/resolve/io.systemd.Resolve")
except FileNotFoundError: print("not found")
"""
    assert python(fenced, script) == "198.18.1.0 True\n" * 3 + "111\nnot found\n"
    assert fenced.asked() == set()
    assert fenced.leaked() == 0


# --- What is not carried --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["static", "go"])
def test_a_program_without_the_library_is_refused_by_name(fenced: Fenced, place: Path, program: str) -> None:
    """TW4: as the command, and where another program executes it."""
    command = compiled(place, program)
    done = fenced.run(*command, flags=PRELOAD)
    assert done.returncode == 126
    assert done.stderr.startswith(f"stile: cannot run {command[0]}: a {'static' if program == 'static' else 'Go'} program would go past")
    done = fenced.run("sh", "-c", f"{' '.join(command)}; echo $?", flags=PRELOAD)
    assert done.stdout == "126\n"
    assert f"stile: cannot run {command[0]}: a " in done.stderr
    assert fenced.saw()
    assert fenced.leaked() == 0


def test_a_go_program_with_a_loader_is_one_all_the_same(fenced: Fenced, place: Path) -> None:
    (place / "dynamic.go").write_text('package main\nimport "C"\nimport "net"\nfunc main() { net.Dial("tcp", "203.0.113.2:80") }\n')
    go = ENVIRONMENT | {"CGO_ENABLED": "1", "GOCACHE": f"{place}/cache", "GOPATH": f"{place}/path"}
    subprocess.run(["go", "build", "-o", place / "dynamic", place / "dynamic.go"], check=True, env=go)
    assert "interpreter" in run("readelf", "-l", place / "dynamic").stdout
    done = fenced.run(place / "dynamic", flags=PRELOAD)
    assert (done.returncode, "a Go program" in done.stderr) == (126, True)
    assert fenced.leaked() == 0


HOW = ["execve", "execv", "execl", "execle", "execvp", "execlp", "execvpe", "fexecve", "execveat", "syscall", "syscall execveat",
       "vfork", "spawn", "spawnp", "system", "popen", "wordexp", "locked"]  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_no_way_of_executing_leads_past_the_library(fenced: Fenced, calls: Path, place: Path, how: str) -> None:
    """TW4: a static program is refused; any other has the library, though its environment was to be empty."""
    static = compiled(place, "static")[0]
    if how in ("execvp", "execlp", "execvpe", "spawnp"):
        search = {"environment": {"PATH": f"{place}:/usr/bin:/bin"}}
    else:
        search = {}
    done = fenced.run(calls, "executing", how, static, "web.far.test", flags=PRELOAD, **search)
    assert done.returncode == 126
    assert "is out of its reach" not in done.stderr and "a static program would go past the proxy" in done.stderr
    done = fenced.run(calls, "executing", how, "/usr/bin/curl", "http://web.far.test/", flags=PRELOAD, **search)
    assert PAGE.decode() in done.stdout
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0


@pytest.mark.parametrize("how", ["path", "descriptor"])
def test_a_program_that_starts_in_another_folder_is_not_looked_for_in_this_one(fenced: Fenced, calls: Path, place: Path, how: str) -> None:
    """TW4: posix_spawn's own change of folder comes behind the look at the file."""
    folder = place / f"spawning-{how}"
    (folder / "inside").mkdir(parents=True)
    (folder / "program").symlink_to("/usr/bin/true")
    (folder / "inside" / "program").symlink_to(compiled(place, "static")[0])
    done = fenced.run("env", "-C", folder, calls, "spawning", how, flags=PRELOAD)
    told = ["spawn: EACCES", "126"]
    assert done.stdout.splitlines() == [*told, *told, *told, "0", "0"]
    assert done.stderr.count("whether it would go past the proxy cannot be told") == 3
    assert fenced.leaked() == 0
    done = fenced.run("env", "-C", folder, calls, "spawning", how, flags=("--preload", "--lenient"))
    assert (done.stderr.count("stile: warning: "), "spawn: EACCES" in done.stdout) == (3, False)


def test_a_program_that_gains_rights_is_refused(fenced: Fenced, place: Path) -> None:
    """TW4: where rights cannot be forbidden, for none are in lenient runs, there is a warning."""
    copy = place / "gains"
    copy.write_bytes(Path("/usr/bin/env").read_bytes())
    copy.chmod(0o4755)
    done = fenced.run(copy, flags=PRELOAD)
    assert (done.returncode, "gains rights" in done.stderr) == (126, True)
    done = fenced.run("sh", "-c", str(copy), flags=("--preload", "--lenient"))
    assert "stile: warning: " in done.stderr and "goes past the proxy" in done.stderr
    assert done.returncode == 0


LEAKY = """
#include <arpa/inet.h>
int main(void) {
  struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xCB007102)};
  return sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr*)&far, sizeof far) != 1;
}
"""


def test_lenient_runs_let_programs_go_with_a_warning(fenced: Fenced, place: Path) -> None:
    (place / "leaky.c").write_text(LEAKY)
    subprocess.run(["gcc", "-static", "-o", place / "leaky", place / "leaky.c"], check=True)
    done = fenced.run("sh", "-c", f"exec {place}/leaky", flags=("--preload", "--lenient"))
    assert done.returncode == 0
    assert f"stile: warning: {place}/leaky is a static program: what it sends goes past the proxy" in done.stderr
    assert fenced.leaked() > 0  # so the counter counts


def test_sockets_of_other_kinds_are_refused(fenced: Fenced, calls: Path) -> None:
    """TW2: by root as well, who would get them."""
    told = fenced.run(calls, "sockets", flags=PRELOAD, user="root").stdout.splitlines()
    assert told == ["raw: EPERM", "ping: EPERM", "packet: EPERM", "sctp: EPROTONOSUPPORT", "vsock: EAFNOSUPPORT", "netlink: done",
                    "fast open: EOPNOTSUPP", "joining: ENODEV", "unsaid family: done", "short address: done",
                    "shorter address: EINVAL", "multicast: ENETUNREACH"]  # fmt: skip
    assert fenced.leaked() == 0


def test_there_is_no_io_uring(fenced: Fenced, calls: Path) -> None:
    """TW2: by the function, and by the machine's own instruction."""
    assert fenced.run(calls, "io_uring", flags=PRELOAD).stdout == "syscall: ENOSYS\ninstruction: ENOSYS\n"


def test_an_address_that_changes_meanwhile_leads_nowhere_else(fenced: Fenced, calls: Path) -> None:
    """TW3"""
    assert fenced.run(calls, "rewriting", 20_000, flags=PRELOAD, timeout=120).stdout == "rounds: done\n"
    assert fenced.leaked() == 0


def test_a_stand_in_of_nobodys_is_refused(fenced: Fenced) -> None:
    for address in ("198.18.7.7", "fd73:7469:6c65::707"):
        assert set(python(fenced, BLOCKING, address, 80).split()) == {"EHOSTUNREACH"}
    assert fenced.saw()
    assert fenced.leaked() == 0


def test_what_became_of_one_socket_is_not_told_of_another(fenced: Fenced, origin) -> None:
    """The next one that has its address, and connects within this host."""
    with fenced.client.inside():
        server = origin(lambda connection: connection.sendall(b"outside"))
    script = """
import errno, select, socket, sys
refused = socket.socket()
print(errno.errorcode[refused.connect_ex(("web.far.test", 81))])
place = refused.getsockname()
refused.close()
other = socket.socket()
other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
other.bind(place)
other.setblocking(False)
other.connect_ex(("127.0.0.1", int(sys.argv[1])))
select.select([], [other], [])
print(other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), other.getpeername() == ("127.0.0.1", int(sys.argv[1])))
"""
    assert python(fenced, script, server.port) == "ECONNREFUSED\n0 True\n"


def test_loopback_is_this_hosts(fenced: Fenced, origin) -> None:
    """Servers are this host's own, and nobody else's."""
    with fenced.client.inside():
        server = origin(lambda connection: connection.sendall(b"outside"))
    script = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client: print(client.recv(7).decode())
for address in ("", "10.60.0.2"):
    server = socket.create_server((address, 0))
    print(server.getsockname()[0])
    client = socket.create_connection(("localhost", server.getsockname()[1]))
    accepted, peer = server.accept()
    accepted.sendall(b"inside")
    print(client.recv(6).decode(), peer[0], client.getpeername() == server.getsockname())
"""
    assert python(fenced, script, server.port) == "outside\n" + "127.0.0.1\ninside 127.0.0.1 True\n" * 2
    assert fenced.saw()
    assert fenced.leaked() == 0


KNOCK = """
import os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.settimeout(20)
link.connect("\\0stile-preload-" + sys.argv[1])
print(link.recv(1))
"""


@pytest.mark.parametrize("user", [65533, 65534])
def test_a_link_that_says_nothing_takes_nobodys_room(fenced: Fenced, user: int) -> None:
    """Another user's is closed unheard, this user's own after a short while."""
    words = fenced.words(*PRELOAD) + ["sh", "-c", "echo $STILE_PRELOAD; read line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout
        name = process.stdout.readline()[:32]
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        knocked = run(*fenced.client.prefix(), *as_user, PYTHON, "-c", KNOCK, name)
        process.communicate("end\n")
    assert (knocked.returncode, knocked.stdout) == (0, "b''\n")


def test_a_program_that_has_no_descriptor_left_is_told_so(fenced: Fenced) -> None:
    script = """
import errno, os, resource, socket
stream = socket.socket()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
full = []
try:
    while True: full.append(os.dup(0))
except OSError: pass
try: stream.connect(("203.0.113.2", 80))
except OSError as error: print(errno.errorcode[error.errno])
for one in full: os.close(one)
print(stream.connect_ex(("203.0.113.2", 80)))
"""
    assert python(fenced, script) == "EMFILE\n0\n"


CROWD = """
import os, socket, sys
print(os.getppid(), flush=True)
sys.stdin.readline()
print(socket.gethostbyname("web.far.test"), flush=True)
"""


def test_a_carrier_that_has_no_descriptor_left_waits_for_one(fenced: Fenced) -> None:
    """It does not turn in a circle meanwhile, and answers when there is one."""

    def ticks(process: int) -> int:
        return sum(map(int, Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[11:13]))

    words = fenced.words(*PRELOAD, user="root") + [PYTHON, "-c", CROWD]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdin and process.stdout
        carrier = int(process.stdout.readline())
        before = resource.prlimit(carrier, resource.RLIMIT_NOFILE)
        resource.prlimit(carrier, resource.RLIMIT_NOFILE, (3, before[1]))
        process.stdin.write("ask\n")
        process.stdin.flush()
        begin = ticks(carrier)
        time.sleep(3)
        assert ticks(carrier) - begin < 20  # of 300
        resource.prlimit(carrier, resource.RLIMIT_NOFILE, before)
        assert process.stdout.readline() == "198.18.1.0\n"


# --- By hand --------------------------------------------------------------------------------------------------------


def hand_words(fenced: Fenced, *command: object, user: list[str] = NOBODY, **environment: str) -> list[str]:
    setting = {"LD_PRELOAD": str(LIBRARY), "ALL_PROXY": fenced.url, "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"} | environment
    words = ["env", "-i", *(f"{name}={value}" for name, value in setting.items()), *command]
    return [*fenced.client.prefix(), *user, *map(str, words)]


def by_hand(fenced: Fenced, *command: object, **options):
    return run(*hand_words(fenced, *command, **options))


def carriers() -> list[str]:
    """Those that programs have started, by number."""
    return run("pgrep", "-f", "^stile preload-carrier$").stdout.split()


def test_by_hand_it_starts_what_carries_it(fenced: Fenced) -> None:
    """One for a shell and all that it starts, which ends behind them; the proxy's variables are not for the programs, and NO_PROXY is
    not followed (TW8)."""
    script = "env | grep -ci '_proxy'; for i in 1 2 3; do curl --silent http://web.far.test/; echo; done; pgrep -fc '^stile preload-carrier$'"
    done = by_hand(fenced, "sh", "-c", script, NO_PROXY="far.test")
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("0", "1")
    assert done.stdout.count(PAGE.decode()) == 3
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0
    wait_until("it has ended", lambda: not carriers(), 60)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_by_hand_a_standard_stream_may_be_closed(fenced: Fenced, closed: int) -> None:
    """In the program that starts the carrier: none of the carrier's own descriptors has that number."""
    script = "import os, socket, sys; os.close(int(sys.argv[1])); socket.create_connection(('web.far.test', 80))"
    assert by_hand(fenced, PYTHON, "-c", script, closed).returncode == 0
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0


STAYING = """
import socket, subprocess, sys
socket.gethostbyname("web.far.test")
for _ in range(20): subprocess.run(["getent", "hosts", "web.far.test"], stdout=subprocess.DEVNULL, check=True)
print("they have ended", flush=True)
sys.stdin.readline()
"""


def test_by_hand_nothing_is_kept_of_programs_that_have_ended(fenced: Fenced) -> None:
    def watched() -> int:
        (carrier,) = set(carriers()) - others
        return sum("pidfd" in str(one.readlink()) for one in Path("/proc", carrier, "fd").iterdir())

    others = set(carriers())
    with subprocess.Popen(hand_words(fenced, PYTHON, "-c", STAYING), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "they have ended\n"
        wait_until("the one that stays is watched alone", lambda: watched() == 1)
        process.communicate("end\n")


def test_by_hand_an_address_of_one_carriers_is_nobodys_at_the_next(fenced: Fenced) -> None:
    """A program that outlives the carrier calls no other host by what it remembers."""
    script = "import socket; print(socket.gethostbyname('web.far.test'))"
    assert by_hand(fenced, PYTHON, "-c", script).stdout != by_hand(fenced, PYTHON, "-c", script).stdout


def test_by_hand_without_a_proxy_nothing_goes_out(fenced: Fenced) -> None:
    done = by_hand(fenced, "curl", "--silent", "--show-error", f"http://{FAR}/", ALL_PROXY="")
    assert (done.returncode, done.stdout) == (7, "")
    assert fenced.leaked() == 0


def test_by_hand_the_librarys_folder_is_not_that_of_the_program(fenced: Fenced, place: Path) -> None:
    """TW1: another working directory, which has a file of that name, leads to no other library."""
    hostile = place / "hostile"
    (hostile / "sub").mkdir(parents=True, exist_ok=True)
    (hostile / "sub" / LIBRARY.name).write_text("no library")
    (hostile / "stile").write_text("#!/bin/sh\ntouch here\n")
    (hostile / "stile").chmod(0o755)
    script = f"cd {hostile}/sub && cd .. && echo $LD_PRELOAD && curl --silent http://web.far.test/"
    relative = f"./{LIBRARY.relative_to('/')}"
    done = run(
        *fenced.client.prefix(), *NOBODY, "env", "-i", "-C", "/", f"LD_PRELOAD={relative}", f"ALL_PROXY={fenced.url}", "PATH=/usr/bin:/bin",
        "sh", "-c", script,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == str(LIBRARY)
    assert PAGE.decode() in done.stdout
    assert not (hostile / "here").exists()
    assert fenced.leaked() == 0


# --- Where there is no private network ------------------------------------------------------------------------------

# As a container's profile does: unshare and namespaces of clone are denied (EPERM).
FORBID = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
unshare, clone, new_user = 272, 56, 0x10000000
code = [(0x20, 0, 0, 0), (0x15, 4, 0, unshare), (0x15, 0, 2, clone), (0x20, 0, 0, 16), (0x45, 1, 0, new_user), (0x06, 0, 0, 0x7FFF0000),
        (0x06, 0, 0, 0x00050000 | 1)]
octets = b"".join(struct.pack("HBBI", *one) for one in code)
room = ctypes.create_string_buffer(octets)
program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(room))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(params=["sysctl", "seccomp"])
def forbidden(request, fenced: Fenced) -> list[str]:
    """Up to `stile`: where the system lets this user have no namespaces."""
    if request.param == "seccomp":
        return [*fenced.client.prefix(), *NOBODY, PYTHON, "-c", FORBID]
    inside = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\""
    return [*fenced.client.prefix(), "unshare", "--user", "--map-root-user", "sh", "-c", inside, "sh"]


def test_the_library_is_fallen_back_on(fenced: Fenced, forbidden: list[str]) -> None:
    done = run(*forbidden, BINARY, "run", "--via", fenced.url, "curl", "--silent", "http://web.far.test/")
    assert PAGE.decode() in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("stile: there is no private network: this system lets this user have none: ")
    assert line.endswith("; libstile-preload.so carries curl instead")
    assert fenced.saw("web.far.test:80")
    assert fenced.leaked() == 0


def test_and_a_static_program_is_refused(fenced: Fenced, forbidden: list[str], place: Path) -> None:
    static = compiled(place, "static")
    done = run(*forbidden, BINARY, "run", "--via", fenced.url, *static)
    assert done.returncode == 126
    assert done.stderr.splitlines()[-1].startswith(f"stile: cannot run {static[0]}: a static program would go past the proxy")
    assert fenced.leaked() == 0


# --- The command ----------------------------------------------------------------------------------------------------


def test_v_tells_which_way_and_of_each_connection(fenced: Fenced) -> None:
    done = fenced.run("curl", "--silent", "http://web.far.test/", "http://web.far.test:81/", flags=("--preload", "-v"))
    assert done.stderr.startswith("stile: by libstile-preload.so, through socks5h://10.60.0.1:1080\n")
    assert 'session.start' in done.stderr and 'session.end' in done.stderr
    assert 'target="web.far.test:81"' in done.stderr and "reason=upstream.refused" in done.stderr


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 37", 37), ("kill -KILL $$", 137)])
def test_it_ends_as_the_command_does(fenced: Fenced, script: str, code: int) -> None:
    assert fenced.run("sh", "-c", script, flags=PRELOAD).returncode == code
    assert fenced.run("there-is-no-such-command", flags=PRELOAD).returncode == 127


def test_what_was_sent_before_the_end_arrives(fenced: Fenced, origin) -> None:
    size = 8 << 20
    received: list[int] = []

    def count(connection) -> None:
        total = 0
        while octets := connection.recv(65536):
            total += len(octets)
        received.append(total)

    with fenced.far.inside():
        server = origin(count, FAR)
    script = f"head -c {size} /dev/zero > /dev/tcp/web.far.test/{server.port}"
    assert fenced.run("bash", "-c", script, flags=PRELOAD).returncode == 0
    wait_until("all of it is there", lambda: bool(received))
    assert received == [size]


def test_it_goes_on_when_the_proxy_is_back(fenced: Fenced, serve: Callable[..., Server]) -> None:
    with fenced.proxy.inside():
        fenced.server.finish()
    fetch = "curl --silent http://web.far.test/"
    script = f"{fetch} || {fetch} || {fetch} || echo gone; read line; {fetch}"
    pipe = subprocess.PIPE
    words = fenced.words(*PRELOAD) + ["sh", "-c", script]
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT)
    assert process.stdout
    assert process.stdout.readline() == "gone\n"
    serve(config=RULES, host=PROXY, port=PORT, namespace=fenced.proxy)
    assert PAGE.decode() in process.communicate("go on\n", timeout=60)[0]
