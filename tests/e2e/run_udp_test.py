"""Datagrams and pings of unchanged programs under `stile run`: through the proxy, by name, and past it nowhere."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from fenced import FAR, FAR_SIX, Fenced
from processes import stile, wait_until

PYTHON = "/usr/bin/python3"


if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without private networks", allow_module_level=True)


class Echo:
    """Sends each datagram back, with the sender's address before it, and from a second port on demand."""

    def __init__(self, host: str, port: int = 7000) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.other = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.other.bind((host, port + 1))
        self.heard: list[bytes] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                octets, sender = self.socket.recvfrom(65536)
            except OSError:
                return
            self.heard.append(octets)
            if octets.startswith(b"other"):
                self.other.sendto(octets, sender)
            elif not octets.startswith(b"silence"):
                self.socket.sendto(octets, sender)

    def close(self) -> None:
        self.socket.close()
        self.other.close()


@pytest.fixture
def echo(fenced: Fenced) -> Iterator[Echo]:
    with fenced.far.inside(), closing(Echo(FAR)) as one:
        yield one


def python(fenced: Fenced, script: str, *words: object, **options) -> str:
    done = fenced.run(PYTHON, "-c", "import socket, sys\n" + script, *words, **options)
    assert done.returncode == 0
    return done.stdout


ASK = """
place = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_DGRAM)[0]
asking = socket.socket(place[0], socket.SOCK_DGRAM)
asking.settimeout(20)
for text in sys.argv[3:]:
    asking.sendto(text.encode(), place[4])
    octets, sender = asking.recvfrom(65536)
    print(octets.decode(), sender[:2] == place[4][:2])
"""


@pytest.mark.parametrize("target", [FAR, "web.far.test"])
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_an_answer_comes_from_whom_was_called(fenced: Fenced, echo: Echo, target: str, user: str) -> None:
    assert python(fenced, ASK, target, 7000, "one", "two", user=user) == "one True\ntwo True\n"
    assert echo.heard == [b"one", b"two"]
    assert fenced.server.wait_for_record(event="session.end", command="udp-associate")["packets_up"] == 2
    assert fenced.leaked() == 0
    assert fenced.asked() == ({target} if target != FAR else set())


@pytest.mark.parametrize("target", [FAR_SIX, "six.far.test"])
def test_over_ipv6(fenced: Fenced, target: str) -> None:
    with fenced.far.inside(), closing(Echo(FAR_SIX)):
        assert python(fenced, ASK, target, 7000, "six") == "six True\n"
    assert fenced.leaked() == 0


def test_a_connected_socket(fenced: Fenced, echo: Echo) -> None:
    script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.connect(("web.far.test", 7000))
asking.send(b"connected")
print(asking.recv(100).decode())
"""
    assert python(fenced, script) == "connected\n"


def test_others_may_answer(fenced: Fenced, echo: Echo) -> None:
    """From another port of the target, under its own address."""
    script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.sendto(b"other", ("203.0.113.2", 7000))
print(asking.recvfrom(100))
"""
    assert python(fenced, script) == f"(b'other', ('{FAR}', 7001))\n"


def test_sizes(fenced: Fenced, echo: Echo) -> None:
    """From nothing to all that SOCKS leaves room for, each whole."""
    script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
for size in (0, 1, 1400, 1500, 9000, 60000, 65000):
    asking.sendto(b"x" * size, ("203.0.113.2", 7000))
    print(len(asking.recv(65536)))
"""
    assert python(fenced, script) == "0\n1\n1400\n1500\n9000\n60000\n65000\n"


def test_a_port_of_the_programs_own_that_others_have_too(fenced: Fenced) -> None:
    """As NTP and BitTorrent do it."""
    with fenced.far.inside(), closing(Echo(FAR, 123)):
        script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.bind(("0.0.0.0", 123))
asking.settimeout(20)
asking.sendto(b"time", ("web.far.test", 123))
print(asking.recv(100).decode())
"""
        # An ordinary user may have no port below 1024.
        assert python(fenced, script, user="root") == "time\n"


def test_each_socket_is_answered(fenced: Fenced, echo: Echo) -> None:
    script = """
import threading
def ask(number):
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(20)
    for turn in range(20):
        text = b"%d/%d" % (number, turn)
        asking.sendto(text, ("203.0.113.2", 7000))
        if asking.recv(100) == text: right[number] += 1
right = [0] * 10
threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(right)
"""
    assert python(fenced, script) == f"{[20] * 10}\n"


def test_what_was_sent_before_the_end_arrives(fenced: Fenced, echo: Echo) -> None:
    assert fenced.run("bash", "-c", "echo -n silence > /dev/udp/web.far.test/7000").returncode == 0
    wait_until("it is there", lambda: echo.heard == [b"silence"])


def test_without_the_proxy_nothing_goes_out(fenced: Fenced, echo: Echo) -> None:
    with fenced.proxy.inside():
        fenced.server.finish()
    script = """
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(1)
for _ in range(3):
    asking.sendto(b"lost", ("203.0.113.2", 7000))
try: print(asking.recv(100))
except TimeoutError: print("nothing")
"""
    assert python(fenced, script) == "nothing\n"
    assert echo.heard == []
    assert fenced.leaked() == 0


def test_loopback_stays_inside(fenced: Fenced) -> None:
    script = """
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.sendto(b"inside", server.getsockname())
print(server.recvfrom(100)[0].decode())
"""
    assert python(fenced, script) == "inside\n"
    assert fenced.leaked() == 0


def test_verbose_tells_of_associations(fenced: Fenced, echo: Echo) -> None:
    done = fenced.run(PYTHON, "-c", "import socket, sys\n" + ASK, "web.far.test", 7000, "one", flags=("-v",))
    assert 'target="web.far.test:7000"' in done.stderr
    assert "command=udp-associate" in done.stderr
    assert "session.end" in done.stderr


# --- ping ---


@pytest.mark.parametrize("target", [FAR, FAR_SIX, "web.far.test", "six.far.test"])
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_ping(fenced: Fenced, target: str, user: str) -> None:
    done = fenced.run("ping", "-n", "-c", "3", "-i", "0.3", "-W", "20", target, user=user)
    assert done.returncode == 0
    assert "3 received" in done.stdout
    shown = f"[{target}]:0" if ":" in target else f"{target}:0"
    assert fenced.server.wait_for_record(command="ping", target=shown)["event"] == "session.start"
    assert fenced.leaked() == 0


def test_who_is_not_there_does_not_answer(fenced: Fenced) -> None:
    for target in ("nowhere.far.test", "198.18.7.7"):
        done = fenced.run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", target)
        assert done.returncode == 1
        assert "0 received" in done.stdout
    assert fenced.leaked() == 0


@pytest.mark.parametrize("target", ["127.0.0.1", "::1", "localhost", "198.18.0.1"])
def test_loopback_answers_inside(fenced: Fenced, target: str) -> None:
    done = fenced.run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "20", target)
    assert "2 received" in done.stdout
    assert fenced.server.records() == []
