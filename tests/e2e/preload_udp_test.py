"""Datagrams of programs that have libstile-preload.so loaded: through the proxy, by name, and past it nowhere."""

import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fenced import FAR, FAR_SIX, Fenced
from preload_test import PRELOAD, PYTHON, calls, place, python  # noqa: F401 (fixtures)
from processes import ENVIRONMENT
from run_udp_test import ASK, Echo


@pytest.fixture
def echo(fenced: Fenced) -> Iterator[Echo]:
    with fenced.far.inside(), closing(Echo(FAR)) as one:
        yield one


def ask(fenced: Fenced, script: str, *words: object, **options) -> str:
    return python(fenced, "import socket, sys\n" + script, *words, **options)


@pytest.mark.parametrize("target", [FAR, "web.far.test"])
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_an_answer_comes_from_whom_was_called(fenced: Fenced, echo: Echo, target: str, user: str) -> None:
    assert ask(fenced, ASK, target, 7000, "one", "two", user=user) == "one True\ntwo True\n"
    assert echo.heard == [b"one", b"two"]
    assert fenced.server.wait_for_record(event="session.end", command="udp-associate")["packets_up"] == 2
    assert fenced.asked() == ({target} if target != FAR else set())
    assert fenced.leaked() == 0


def test_ipv6_likewise(fenced: Fenced) -> None:
    with fenced.far.inside(), closing(Echo(FAR_SIX)) as echo:
        assert ask(fenced, ASK, FAR_SIX, 7000, "six") == "six True\n"
        assert echo.heard == [b"six"]
    assert fenced.leaked() == 0


def test_a_connected_socket_sends_and_hears(fenced: Fenced, echo: Echo) -> None:
    """Nothing of the library's is called between connect and close but what the kernel does by itself."""
    script = """
import os
for host in sys.argv[1:]:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.connect((host, 7000))
    os.write(asking.fileno(), b"hello")
    print(os.read(asking.fileno(), 100), asking.getpeername())
"""
    assert ask(fenced, script, FAR, "web.far.test") == f"b'hello' ('{FAR}', 7000)\nb'hello' ('198.18.1.0', 7000)\n"
    assert fenced.leaked() == 0


def test_one_call_for_many(fenced: Fenced, echo: Echo, calls) -> None:  # noqa: F811
    with fenced.far.inside(), closing(Echo(FAR, 7100)):
        done = fenced.run(calls, "many", FAR, 7000, 7100, flags=PRELOAD)
    lines = done.stdout.splitlines()
    assert lines[0] == "sent 10"
    assert sorted(lines[1:]) == sorted(f"{FAR}:{7000 + 100 * (i % 2)} message {i}" for i in range(10))
    assert fenced.leaked() == 0


def test_strangers_are_heard(fenced: Fenced, echo: Echo) -> None:
    """Whoever learns the association's address may answer; he is told by his own."""
    script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.sendto(b"other", ("203.0.113.2", 7000))
octets, sender = asking.recvfrom(100)
print(octets, sender)
asking.sendto(b"silence", sender)
"""
    assert ask(fenced, script) == f"b'other' ('{FAR}', 7001)\n"
    assert fenced.leaked() == 0


CROWDED = """
import os
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.sendto(b"hello", ("203.0.113.2", 7000))
print(os.getppid(), flush=True)
heard = b""
while heard != b"last": heard = asking.recv(100)
print(heard, flush=True)
sys.stdin.readline()
"""


def test_a_crowd_of_strangers_is_bounded(fenced: Fenced) -> None:
    """Each that sends has a place of the carrier's, up to a bound; whom the program has sent to is heard all the same."""

    def places() -> int:
        return len(list(Path("/proc", carrier, "fd").iterdir()))

    def stranger(octets: bytes) -> None:
        with fenced.far.inside(), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
            one.bind((FAR, next(ports)))
            one.sendto(octets, association)

    ports = iter(range(10_000, 20_000))
    with fenced.far.inside():
        known = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        known.bind((FAR, 7000))
    words = fenced.words(*PRELOAD) + [PYTHON, "-c", "import socket, sys\n" + CROWDED]
    pipe = subprocess.PIPE
    with closing(known), subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stdout
        carrier = process.stdout.readline().strip()
        _, association = known.recvfrom(100)
        begin = places()
        while places() - begin < 1000:
            stranger(b"of the crowd")
        for _ in range(300):
            stranger(b"too many")
        while not select.select([process.stdout], [], [], 0.1)[0]:
            known.sendto(b"last", association)
        assert process.stdout.readline() == "b'last'\n"
        assert 1000 <= places() - begin <= 1024
        process.communicate("end\n")


def test_every_form_of_the_calls(fenced: Fenced, echo: Echo) -> None:
    script = """
place = ("203.0.113.2", 7000)
asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.sendmsg([b"hello ", b"there"], [], 0, ("::ffff:203.0.113.2", 7000, 0, 0))
print(asking.recvmsg(100)[::3])
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.settimeout(20)
bound.bind(("", 0))
bound.sendto(b"bound", place)
room = bytearray(100)
print(bound.recvfrom_into(room))
print(bound.getsockname()[0])
bound.connect(place)
bound.send(b"connected")
print(bound.recv(100))
"""
    told = ask(fenced, script).splitlines()
    assert told == [f"(b'hello there', ('::ffff:{FAR}', 7000, 0, 0))", f"(5, ('{FAR}', 7000))", "127.0.0.1", "b'connected'"]
    assert fenced.leaked() == 0


def test_a_source_is_left_out_and_what_else_is_said_of_a_datagram_stays(fenced: Fenced, echo: Echo) -> None:
    """UDP_SEGMENT beside IP_PKTINFO: many datagrams, of one call."""
    script = """
import struct
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
source = (socket.IPPROTO_IP, 8, struct.pack("iII", 0, 0, 0))
segments = (socket.IPPROTO_UDP, 103, struct.pack("H", 3))
asking.sendmsg([b"onetwosix"], [source, segments], 0, ("203.0.113.2", 7000))
print(sorted(asking.recv(100) for _ in range(3)))
try: asking.sendmsg([b"x"], [source] + [segments] * 30, 0, ("203.0.113.2", 7000))
except OSError as error: print(error.errno)
"""
    assert ask(fenced, script) == "[b'one', b'six', b'two']\n22\n"
    assert fenced.leaked() == 0


def test_children_share_a_socket(fenced: Fenced, echo: Echo) -> None:
    script = """
import os
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.sendto(b"parent", ("203.0.113.2", 7000))
print(asking.recv(100), flush=True)
if os.fork() == 0:
    asking.sendto(b"child", ("203.0.113.2", 7000))
    print(asking.recvfrom(100), flush=True)
    os._exit(0)
os.wait()
"""
    assert ask(fenced, script) == f"b'parent'\n(b'child', ('{FAR}', 7000))\n"
    fenced.server.wait_for_record(event="session.end")
    assert len(fenced.server.records()) == 2  # they went one way
    assert fenced.leaked() == 0


def test_datagrams_within_this_host_are_nobodys_affair(fenced: Fenced) -> None:
    script = """
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("127.0.0.1", 0))
client.sendto(b"inside", server.getsockname())
octets, sender = server.recvfrom(100)
print(octets, sender == client.getsockname())
"""
    assert ask(fenced, script) == "b'inside' True\n"
    assert fenced.saw()
    assert fenced.leaked() == 0
