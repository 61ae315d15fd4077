"""`stile run`: what its command sees of the network, and that nothing leaves in another way. Programs of every kind are in
programs_matrix_test.py."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fenced import FAR, FAR_SIX, PORT, PROXY, RULES, Fenced
from processes import BINARY, ENVIRONMENT, stile, wait_until
from server import Server
from web import PAGE

PYTHON = "/usr/bin/python3"


if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without private networks", allow_module_level=True)


# --- Addresses and names ---


@pytest.mark.parametrize("target", [FAR, f"[{FAR_SIX}]"])
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_addresses_go_as_they_are(fenced: Fenced, target: str, user: str) -> None:
    done = fenced.run("curl", "--silent", f"http://{target}/", user=user)
    assert PAGE.decode() in done.stdout
    assert fenced.saw(f"{target}:80")
    assert fenced.asked() == set()
    assert fenced.leaked() == 0


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_name_is_the_proxys_to_look_up(fenced: Fenced, family: str) -> None:
    """The program takes one family's stand-in, the proxy what the name has."""
    name = "six.far.test" if family == "-4" else "web.far.test"
    assert PAGE.decode() in fenced.run("curl", family, "--silent", f"http://{name}/").stdout
    assert fenced.saw(f"{name}:80")
    assert fenced.leaked() == 0


def test_names_are_asked_for_by_tcp_as_well(fenced: Fenced) -> None:
    script = """
import socket, struct, sys
question = bytes.fromhex("4711010000010000000000000377656203666172047465737400" "00010001")
stream = socket.create_connection(("192.0.2.53", 53))
for _ in range(2):
    stream.sendall(struct.pack("!H", len(question)) + question)
    size = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))[0]
    address = socket.inet_ntoa(stream.recv(size, socket.MSG_WAITALL)[-4:])
print(address, socket.gethostbyaddr(address)[0])
"""
    done = fenced.run(PYTHON, "-c", script)
    assert done.stdout == "198.18.1.0 web.far.test\n"
    assert fenced.leaked() == 0


# --- Nothing leaves in another way ---


def test_without_the_proxy_nothing_goes_out(fenced: Fenced) -> None:
    with fenced.proxy.inside():
        fenced.server.finish()
    done = fenced.run("curl", "--silent", "--show-error", "http://web.far.test/", f"http://{FAR}/")
    assert done.returncode != 0
    assert not done.stdout
    assert fenced.leaked() == 0


def test_it_goes_on_when_the_proxy_is_back(fenced: Fenced, serve: Callable[..., Server]) -> None:
    with fenced.proxy.inside():
        fenced.server.finish()
    fetch = "curl --silent http://web.far.test/"
    script = f"{fetch} || {fetch} || {fetch} || echo gone; read line; {fetch}"
    pipe = subprocess.PIPE
    process = subprocess.Popen(fenced.words() + ["sh", "-c", script], stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT)
    assert process.stdout
    assert process.stdout.readline() == "gone\n"
    serve(config=RULES, host=PROXY, port=PORT, namespace=fenced.proxy)
    assert PAGE.decode() in process.communicate("go on\n", timeout=60)[0]


def test_what_cannot_be_carried_fails_at_once(fenced: Fenced) -> None:
    """Other protocols, and datagrams to many; and there is no other device."""
    script = """
import errno, socket
def error_of(send):
    try: send()
    except OSError as error: return errno.errorcode[error.errno]
    return "nothing"
gre = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
gre.connect(("203.0.113.2", 0))
print(error_of(lambda: [gre.send(b"x") for _ in range(2)]))
multicast = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
multicast.connect(("224.0.0.251", 5353))
print(error_of(lambda: [multicast.send(b"x") for _ in range(2)]))
print([name for _, name in socket.if_nameindex()])
"""
    done = fenced.run(PYTHON, "-c", script, user="root")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "['lo']"
    assert "nothing" not in done.stdout
    assert fenced.leaked() == 0


def test_a_stand_in_of_nobodys_is_refused(fenced: Fenced) -> None:
    done = fenced.run("curl", "--silent", "http://198.18.7.7/", "http://[fd73:7469:6c65::707]/", flags=("-v",))
    assert done.returncode != 0
    assert done.stderr.count("denied") == 2
    assert fenced.saw()
    assert fenced.leaked() == 0


def test_a_target_that_cannot_be_had_is_reset(fenced: Fenced) -> None:
    script = """
import socket
for place in (("denied.far.test", 80), ("web.far.test", 81)):
    with socket.create_connection(place) as stream:
        try: print(stream.recv(1))
        except ConnectionResetError: print("reset")
"""
    assert fenced.run(PYTHON, "-c", script).stdout == "reset\nreset\n"
    assert fenced.saw("denied.far.test:80", "web.far.test:81")


def test_loopback_stays_inside(fenced: Fenced) -> None:
    script = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(("localhost", server.getsockname()[1]))
server.accept()[0].sendall(b"inside")
print(client.recv(6).decode(), socket.gethostbyname(socket.gethostname()))
"""
    done = fenced.run(PYTHON, "-c", script)
    assert done.returncode == 0
    assert done.stdout.startswith("inside ")
    assert fenced.saw()
    assert fenced.leaked() == 0


def test_the_proxy_leaves_the_environment(fenced: Fenced) -> None:
    environment = {"ALL_PROXY": "socks5h://u:p@10.60.0.1:1080", "https_proxy": "http://a", "STILE_VIA": "http://b", "KEPT": "1"}
    done = fenced.run("env", environment=environment)
    assert "KEPT=1" in done.stdout
    assert "PROXY" not in done.stdout.upper()
    assert "STILE" not in done.stdout


def test_all_proxy_names_the_proxy(fenced: Fenced) -> None:
    command = [*fenced.client.prefix(), str(BINARY), "run", "-v", "curl", "--silent", "http://web.far.test/"]
    environment = ENVIRONMENT | {"ALL_PROXY": fenced.url, "NO_PROXY": "far.test"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert PAGE.decode() in done.stdout
    assert "NO_PROXY is not followed" in done.stderr
    assert 'target="web.far.test:80"' in done.stderr
    assert fenced.saw("web.far.test:80")


# --- The command ---


def test_what_was_sent_before_the_end_arrives(fenced: Fenced, origin) -> None:
    size = 8 << 20
    received: list[int] = []

    def count(connection: socket.socket) -> None:
        total = 0
        while octets := connection.recv(65536):
            total += len(octets)
        received.append(total)

    with fenced.far.inside():
        server = origin(count, FAR)
    script = f"head -c {size} /dev/zero > /dev/tcp/web.far.test/{server.port}"
    assert fenced.run("bash", "-c", script).returncode == 0
    wait_until("all of it is there", lambda: bool(received))
    assert received == [size]


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 37", 37), ("kill -KILL $$", 137), ("kill -HUP $$", 129)])
def test_it_ends_as_the_command_does(fenced: Fenced, script: str, code: int) -> None:
    assert fenced.run("sh", "-c", script).returncode == code


def test_a_command_that_is_none(fenced: Fenced, place: Path) -> None:
    missing = fenced.run("there-is-no-such-command")
    assert missing.returncode == 127
    assert missing.stderr == "stile: cannot run there-is-no-such-command: No such file or directory\n"
    plain = place / "plain"
    plain.write_text("text")
    assert fenced.run(plain).returncode == 126


def test_signals_are_passed_on(fenced: Fenced) -> None:
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(fenced.words() + ["sh", "-c", script], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "got it\n"
    assert process.wait(20) == 9


def test_a_terminals_interrupt_reaches_the_command_once(fenced: Fenced) -> None:
    script = """
import signal, sys, time
count = 0
def caught(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, caught)
print("ready", flush=True)
while count == 0: time.sleep(0.01)
time.sleep(0.3)
print("interrupts:", count, flush=True)
"""
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        fenced.words() + [PYTHON, "-c", script], stdin=inside, stdout=inside, stderr=inside, env=ENVIRONMENT,
        preexec_fn=take_terminal,
    )
    os.close(inside)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while not re.search(rb"interrupts: \d", shown):
        shown += os.read(terminal, 1000)
    assert process.wait(20) == 0
    assert b"interrupts: 1" in shown
    os.close(terminal)


def take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_streams_and_descriptors_are_its_own(fenced: Fenced, place: Path) -> None:
    assert fenced.run("cat", input="as it came").stdout == "as it came"
    assert fenced.run("pwd", cwd=place).stdout == f"{place}\n"
    listed = fenced.run("ls", "/proc/self/fd").stdout.split()
    assert listed == ["0", "1", "2", "3"]  # the last is what lists them


def test_nothing_is_left_of_it(fenced: Fenced) -> None:
    done = fenced.run("sh", "-c", "echo $PPID; readlink /proc/self/ns/net")
    parent, network = done.stdout.split()
    assert not Path(f"/proc/{parent}").exists()

    def gone() -> bool:
        holders = subprocess.run(["find", "/proc", "-maxdepth", "3", "-path", "*/ns/net", "-lname", network], capture_output=True)
        return not holders.stdout

    wait_until("no process is in the network", gone)


def test_a_target_that_keeps_its_side_open_holds_nobody(fenced: Fenced, origin) -> None:
    """The command has ended and said all that it had to say; what the other side leaves open is let go."""
    with fenced.far.inside():
        server = origin(None, FAR)
    # What still moves would have a minute.
    assert fenced.run("bash", "-c", f"echo done > /dev/tcp/web.far.test/{server.port}", timeout=50).returncode == 0
    assert server.accept().recv(100) == b"done\n"


def test_a_background_process_loses_its_network(fenced: Fenced) -> None:
    """The command has ended, and with it the way out."""
    done = fenced.run("sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")
    assert done.returncode == 0
    os.kill(int(done.stdout), signal.SIGKILL)


# --- Where there can be none ---


def test_without_user_namespaces_and_library_it_says_what_to_do(place: Path) -> None:
    """With the library: preload_test.py."""
    alone = shutil.copy(BINARY, place / "stile")
    inside = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$0\" run --via socks5h://127.0.0.1:1 true"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", inside, alone], capture_output=True, text=True, env=ENVIRONMENT
    )
    if "unshare" in done.stderr:
        pytest.skip("this system lets nobody have a user namespace")
    assert done.returncode == 1
    assert done.stderr.startswith("stile: cannot make a private network: this system lets this user have none: ")
    assert "sysctl user.max_user_namespaces" in done.stderr


@pytest.mark.parametrize("words", [[], ["--via", "socks5h://127.0.0.1:1"], ["--via", "socks5h://127.0.0.1:1", "--"]])
def test_it_needs_a_command(words: list[str]) -> None:
    done = stile("run", *words)
    assert done.returncode == 2
    assert "'run' needs COMMAND" in done.stderr


def test_it_needs_a_proxy() -> None:
    done = stile("run", "true")
    assert done.returncode == 2
    assert "no proxy is named" in done.stderr
