"""`stile gateway`: the machines behind a router go through the proxy unchanged, by name, and nothing of what they send takes
another way, be there a gateway, a proxy, or neither."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from datagrams import DatagramEcho
from gateways import (
    BEYOND,
    BEYOND_SIX,
    CLIENT,
    CLIENT_SIX,
    FAR,
    FAR_SIX,
    FAR_THIRD,
    OTHER,
    PORT,
    PROXY,
    ROUTER,
    ROUTER_SIX,
    Cone,
    Site,
    lead_on,
    site,
)
from networks import Lab
from origins import Origin
from processes import BINARY, ROOT, stile, wait_until
from scripted_proxy import COMMAND_UNKNOWN, PING, TRACEROUTE, ScriptedProxy
from server import Server
from traced import hops
from web import PAGE

PYTHON = "/usr/bin/python3"
UDP_ASSOCIATE = 3
RESET = (7, 56)  # of curl, by when it notices

if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without packet rules", allow_module_level=True)


@pytest.fixture
def here(lab: Lab, serve: Callable[..., Server], tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield site(lab, serve, stack, tmp_path)


@pytest.fixture
def cone(here: Site) -> Iterator[Cone]:
    with here.far.inside(), closing(Cone()) as one:
        yield one


def fetch(here: Site, url: str, *words: object) -> subprocess.CompletedProcess[str]:
    return here.run("curl", "--silent", "--show-error", "--max-time", "30", *words, url)


def fetched(here: Site, url: str, *words: object) -> bool:
    return fetch(here, url, *words).stdout == PAGE.decode()


def python(here: Site, script: str, *words: object) -> str:
    done = here.run(PYTHON, "-c", "import socket, sys\n" + script, *words)
    assert done.returncode == 0
    return done.stdout


# --- what goes ---


def test_without_a_gateway_the_router_forwards(here: Site) -> None:
    """Else no test here would show anything."""
    assert fetched(here, f"http://{FAR}/")
    assert here.leaked() > 0


@pytest.mark.parametrize("way", [[], ["--redirect"]])
@pytest.mark.parametrize("target", ["web.far.test", "six.far.test", "both.far.test", FAR, f"[{FAR_SIX}]"])
def test_connections_go_by_name(here: Site, target: str, way: list[str]) -> None:
    gateway = here.gateway(*way)
    assert fetched(here, f"http://{target}/")
    assert here.saw(f"{target}:80")
    record = gateway.wait_for_record(event="session.end", target=f"{target}:80")
    assert record["client"].startswith((f"{CLIENT}:", "[fd00:70::2]:"))
    assert (record["protocol"], record["route"], record["listener"]) == ("transparent", f"proxy ({PROXY}:{PORT})", "gateway")
    assert here.leaked() == 0


@pytest.mark.parametrize("way", [[], ["--redirect"]])
@pytest.mark.parametrize("server", [ROUTER, "192.0.2.53", ROUTER_SIX, "2001:db8::53"])
def test_whichever_server_is_asked_for_a_name(here: Site, server: str, way: list[str]) -> None:
    here.gateway(*way)
    for more in ([], ["+tcp"]):
        for kind, prefix in (("A", "198.1"), ("AAAA", "fd73:7469:6c65:")):
            done = here.run("dig", f"@{server}", "+short", "+tries=1", "+time=20", *more, "web.far.test", kind)
            assert done.stdout.startswith(prefix)
    assert here.asked() == set()
    assert here.leaked() == 0


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
def test_datagrams_are_answered_from_where_they_were_sent(here: Site, cone: Cone, target: str) -> None:
    gateway = here.gateway()
    assert python(here, ASK, target, 7000, "one", "two") == "one True\ntwo True\n"
    assert cone.heard == [b"one", b"two"]
    assert here.leaked() == 0
    gateway.finish()
    record = gateway.wait_for_record(event="session.end", command="udp-associate")
    assert (record["target"], record["listener"], record["rule"]) == (f"{target}:7000", "gateway", "proxy")
    assert record["packets_up"] == record["packets_down"] == 2


SIZES = (0, 1, 1400, 1472, 1473, 4000, 60000)


@pytest.mark.parametrize("target", [FAR, FAR_SIX])
def test_datagrams_of_every_size(here: Site, target: str) -> None:
    """Those that the network behind the router takes in pieces alone, too."""
    here.gateway()
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    script = f"""
asking = socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM)
asking.settimeout(20)
for size in {SIZES}:
    asking.sendto(bytes(range(256)) * (size // 256) + b"x" * (size % 256), (sys.argv[2], 7000))
    octets = asking.recv(65536)
    print(len(octets), octets == bytes(range(256)) * (size // 256) + b"x" * (size % 256))
"""
    with here.far.inside(), closing(DatagramEcho(target, 7000)):
        assert python(here, script, int(family), target) == "".join(f"{size} True\n" for size in SIZES)
    done = here.run("ping", "-n", "-c", "1", "-s", "5000", "-W", "20", target)
    assert "1 received" in done.stdout
    assert here.leaked() == 0


def test_datagrams_over_ipv6(here: Site) -> None:
    here.gateway()
    with here.far.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as far:
        far.bind((FAR_SIX, 7000))
        far.settimeout(20)
        script = ASK.replace("    octets, sender = asking.recvfrom(65536)\n    print(octets.decode(), sender[:2] == place[4][:2])\n", "")
        python(here, script, "six.far.test", 7000, "six")
        assert far.recv(100) == b"six"
    assert here.leaked() == 0


def test_one_socket_is_one_association_that_anybody_may_answer(here: Site, cone: Cone) -> None:
    """A full cone: from another port, and from an address that was never sent to; and what is sent to that one comes from
    the same place as all else."""
    here.gateway()
    script = f"""
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(20)
asking.sendto(b"own port third", ("{FAR}", 7000))
print(sorted(asking.recvfrom(100)[1] for _ in range(3)))
asking.sendto(b"back", ("{FAR_THIRD}", 7002))
asking.sendto(b"own", ("{FAR}", 7000))
print(asking.recvfrom(100))
"""
    with here.far.inside():
        cone.sockets["third"].settimeout(20)
    told = python(here, script).splitlines()
    assert told == [str([(FAR, 7000), (FAR, 7001), (FAR_THIRD, 7002)]), f"(b'own', ('{FAR}', 7000))"]
    octets, sender = cone.sockets["third"].recvfrom(100)
    assert octets == b"back" and {sender} == cone.peers
    here.server.wait_for_record(event="session.start", command="udp-associate")
    assert len([1 for record in here.server.records() if record["event"] == "session.start"]) == 1
    assert here.leaked() == 0


@pytest.mark.parametrize("target", [FAR, FAR_SIX, "web.far.test", "six.far.test"])
def test_ping(here: Site, target: str) -> None:
    here.gateway()
    done = here.run("ping", "-n", "-c", "3", "-i", "0.3", "-W", "20", target)
    assert done.returncode == 0
    assert "3 received" in done.stdout and "DUP" not in done.stdout
    shown = f"[{target}]:0" if ":" in target else f"{target}:0"
    assert here.server.wait_for_record(command="ping", target=shown)["event"] == "session.start"
    assert here.leaked() == 0


def test_who_does_not_answer_is_not_answered_for(here: Site) -> None:
    """By the router's kernel least of all, for which every address is its own here."""
    here.gateway()
    for target in ("203.0.113.99", "198.18.200.1", "2001:db8:70::99"):
        done = here.run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", target)
        assert "0 received" in done.stdout
    for own in (ROUTER, ROUTER_SIX, "192.0.2.2"):
        done = here.run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "20", own)
        assert "2 received" in done.stdout and "DUP" not in done.stdout
    assert here.leaked() == 0


# --- traces ---


@pytest.fixture
def road(here: Site, lab: Lab) -> Site:
    """Where there is a router to be seen."""
    lead_on(lab, here)
    return here


def trace(here: Site, *words: object) -> list[str]:
    done = here.run("traceroute", "-n", *words)
    assert done.returncode == 0, done.stderr
    return hops(done.stdout, lossy="-I" in words)


PATIENT = ("-w", 20)


@pytest.mark.parametrize("way", [[], ["-I"], ["-N", 1]])
@pytest.mark.parametrize("target", [BEYOND, BEYOND_SIX])
def test_traceroute_shows_the_way_of_the_proxy(road: Site, target: str, way: list[object]) -> None:
    road.gateway()
    six = ":" in target
    assert trace(road, *PATIENT, *way, target) == ([FAR_SIX, BEYOND_SIX] if six else [FAR, BEYOND])
    shown = f"[{target}]:0" if six else f"{target}:0"
    assert {(record["command"], record["target"]) for record in road.server.records()} == {("traceroute", shown)}
    assert road.leaked() == 0


@pytest.mark.parametrize(("target", "router", "stand_in"), [("beyond.far.test", FAR, "198.1"), ("six.beyond.far.test", FAR_SIX, "fd73:")])
def test_traceroute_by_name(road: Site, target: str, router: str, stand_in: str) -> None:
    """The address that stands for the name is the target's."""
    road.gateway()
    first, last = trace(road, *PATIENT, "-6" if ":" in stand_in else "-4", target)
    assert first == router and last.startswith(stand_in)
    assert road.saw(f"{target}:0")
    assert road.leaked() == 0


@pytest.mark.parametrize("size", [56, 5000])
def test_ping_that_goes_only_so_far(road: Site, size: int) -> None:
    """Also where an answer takes several packets."""
    road.gateway()
    for hop, told in ((1, f"From {FAR} icmp_seq=1 Time to live exceeded"), (2, f"{size + 8} bytes from {BEYOND}: icmp_seq=1")):
        done = road.run("ping", "-n", "-c", 1, "-W", 20, "-s", size, "-t", hop, BEYOND)
        assert told in done.stdout
    assert road.saw(f"{BEYOND}:0")
    assert road.leaked() == 0


def test_a_proxy_that_cannot_trace_is_not_answered_for(road: Site) -> None:
    road.start("gateway", "--lan", road.lan, "--via", f"http://{PROXY}:{PORT}", "--apply")
    for way in ([], ["-I"]):
        assert trace(road, "-w", 1, "-m", 2, *way, BEYOND) == ["* * *"] * 2
    assert road.leaked() == 0


def test_a_proxy_that_refuses_is_asked_once(here: Site) -> None:
    """From then on datagrams and echoes that go only so far are what others are."""
    asked: list[int] = []

    def proxy(connection: socket.socket) -> None:
        scripted = ScriptedProxy(reply=COMMAND_UNKNOWN)
        scripted(connection)
        asked.extend(scripted.request[1:2])

    with here.proxy.inside():
        origin = Origin(proxy, PROXY, 1081)
    with closing(origin), here.client.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 5)
        here.start("gateway", "--lan", here.lan, "--via", f"socks5h://{PROXY}:1081", "--apply")

        def is_asked_for(command: int, target: str) -> bool:
            asking.sendto(b"five hops", (target, 7000))
            return command in asked

        wait_until("it is asked to trace", lambda: is_asked_for(TRACEROUTE, FAR))
        wait_until("it is asked to carry", lambda: is_asked_for(UDP_ASSOCIATE, FAR))
        assert here.run("ping", "-n", "-c", 1, "-W", 1, "-t", 5, FAR_THIRD).returncode == 1
        wait_until("it is asked to ping", lambda: PING in asked)
    assert asked.count(TRACEROUTE) == 1
    assert here.leaked() == 0


def test_without_the_proxy_nothing_is_traced(road: Site) -> None:
    road.gateway()
    road.server.finish()
    for way in ([], ["-I"]):
        for target in (BEYOND, BEYOND_SIX):
            assert trace(road, "-w", 1, "-m", 2, *way, target) == ["* * *"] * 2
    assert road.leaked() == 0


def test_by_tcp_the_target_alone_is_shown(road: Site) -> None:
    road.gateway()
    assert trace(road, *PATIENT, "-T", BEYOND) == [BEYOND]
    assert road.leaked() == 0


def test_under_redirect_nothing_is_traced(road: Site) -> None:
    """All that shows is the router, which refuses."""
    road.gateway("--redirect")
    shown = trace(road, "-w", 1, "-m", 2, BEYOND)
    assert all(set(line.split()) <= {ROUTER, "*", "!X"} for line in shown)
    assert road.server.records() == []
    assert road.leaked() == 0


# --- what does not ---


@pytest.mark.parametrize("way", [[], ["--redirect"]])
def test_its_own_ports_are_closed_to_the_network(here: Site, way: list[str]) -> None:
    gateway = here.gateway(*way)
    for host in (ROUTER, "192.0.2.2", ROUTER_SIX):
        for port in (61080, 61053):
            done = here.run("curl", "--silent", "--show-error", "--max-time", "20", f"http://{f'[{host}]' if ':' in host else host}:{port}/")
            assert done.returncode in RESET
    # Nor is there a loop for who is on the router itself.
    for host in ("127.0.0.1", ROUTER):
        with here.router.inside(), closing(socket.socket()) as one:
            one.settimeout(20)
            try:
                one.connect((host, 61080))
                one.sendall(b"loop")
                assert one.recv(1) == b""
            except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError):
                pass
    assert here.server.records() == gateway.records() == []


def test_who_sends_in_anothers_name_opens_no_way(here: Site) -> None:
    """A packet that claims to come from outside would have connection tracking take what follows for its answers."""
    here.gateway()
    assert fetched(here, f"http://[{FAR_SIX}]/"), "the router's address is known"
    neighbour = here.run("ip", "-6", "-json", "neighbour", "show", ROUTER_SIX).stdout
    script = f"""
import json, struct
router = json.loads(sys.argv[1])[0]
own, far = (socket.inet_pton(socket.AF_INET6, text) for text in ("{CLIENT_SIX}", "{FAR_SIX}"))
datagram = struct.pack("!HHHH", 443, 5000, 8, 0)
sum = sum(struct.unpack("!24H", far + own + struct.pack("!LL", 8, 17) + datagram))
while sum >> 16: sum = (sum & 0xFFFF) + (sum >> 16)
datagram = datagram[:6] + struct.pack("!H", sum ^ 0xFFFF)
packet = struct.pack("!LHBB", 6 << 28, 8, 17, 64) + far + own + datagram
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
for _ in range(3): wire.sendto(packet, (router["dev"], 0x86DD, 0, 0, bytes.fromhex(router["lladdr"].replace(":", ""))))
asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asking.bind(("{CLIENT_SIX}", 5000))
for _ in range(3): asking.sendto(b"past it?", ("{FAR_SIX}", 443))
"""
    assert python(here, script, neighbour) == ""
    here.server.wait_for_record(command="udp-associate")  # they go by the proxy instead
    assert here.leaked() == 0


def test_the_routers_own_connections_are_its_own(here: Site) -> None:
    here.gateway("--from", "10.70.0.0/16")
    done = here.on_router("curl", "--silent", "--max-time", "20", "--interface", ROUTER, f"http://{FAR}/")
    assert done == PAGE.decode()
    assert here.server.records() == []


def test_what_is_denied_is_reset(here: Site) -> None:
    gateway = here.gateway()
    assert fetch(here, "http://denied.far.test/").returncode in RESET
    assert gateway.wait_for_record(target="denied.far.test:80")["reason"] == "upstream.denied"
    assert fetch(here, "http://169.254.169.254/").returncode in RESET
    assert gateway.wait_for_record(target="169.254.169.254:80")["event"] == "denied"


@pytest.mark.parametrize("way", [[], ["--redirect"]])
def test_without_the_proxy_nothing_passes(here: Site, cone: Cone, way: list[str]) -> None:
    here.gateway(*way)
    here.server.finish()
    for target in (FAR, f"[{FAR_SIX}]", "web.far.test"):
        assert fetch(here, f"http://{target}/").returncode in RESET
    script = f"""
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(1)
for _ in range(3):
    asking.sendto(b"lost", ("{FAR}", 7000))
try: print(asking.recv(100))
except OSError: print("nothing")
"""
    assert python(here, script) == "nothing\n"
    assert here.run("ping", "-n", "-c", "1", "-W", "1", FAR).returncode == 1
    assert cone.heard == []
    assert here.leaked() == 0


@pytest.mark.parametrize("way", [[], ["--redirect"]])
def test_what_no_rule_takes_is_refused(here: Site, cone: Cone, way: list[str]) -> None:
    """Other protocols, and under --redirect datagrams and pings: at once, so that nobody waits."""
    here.gateway(*way)
    script = f"""
asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
asking.settimeout(20)
asking.connect(("{FAR}", 0))
try:
    asking.send(bytes(20))
    asking.recv(100)
except OSError as error: print(type(error).__name__)
"""
    assert python(here, script) == "OSError\n"
    if way:
        asked = here.run("ping", "-n", "-c", "1", "-W", "20", FAR)
        assert "Packet filtered" in asked.stdout
    assert here.leaked() == 0


def test_who_is_left_alone_is_not_taken(here: Site) -> None:
    here.gateway("--except", f"{OTHER}/32")
    assert fetched(here, f"http://{FAR}/", "--interface", OTHER)
    assert here.server.records() == []
    assert here.run("dig", "-b", OTHER, "@192.0.2.53", "+tries=1", "+time=1", "web.far.test").returncode == 9
    assert fetched(here, f"http://{FAR}/")
    assert here.saw(f"{FAR}:80")


def test_exceptions_are_the_routers(here: Site) -> None:
    here.gateway("--except", f"{FAR}/32")
    assert fetched(here, f"http://{FAR}/")
    assert here.server.records() == []
    assert here.leaked() > 0
    with here.far.inside(), closing(Cone(7100)):
        assert python(here, ASK, FAR, 7100, "past it") == "past it True\n"


def test_who_is_called_from_outside_may_answer(here: Site) -> None:
    """A server behind the router, whose answers belong to connections that the router has let in; it begins none."""
    here.gateway()
    with here.client.inside(), socket.create_server((CLIENT, 8080)) as listener:
        listener.settimeout(20)
        with here.far.inside():
            caller = socket.create_connection((CLIENT, 8080), 20)
        with closing(caller), closing(listener.accept()[0]) as accepted:
            accepted.sendall(b"from inside")
            assert caller.recv(100) == b"from inside"
            caller.sendall(b"from outside")
            accepted.settimeout(20)
            assert accepted.recv(100) == b"from outside"
    assert here.server.records() == []


# --- the rules ---


def printed(here: Site, *words: object) -> str:
    done = stile("gateway", "--lan", here.lan, *words, "--print")
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("way", [[], ["--redirect"], ["--except", "10.9.0.0/16", "--from", "10.70.0.0/24", "--from", "fd00:70::/64"]])
def test_what_is_printed_is_what_is_applied(here: Site, tmp_path: Path, way: list[str]) -> None:
    before = here.on_router("nft", "list", "ruleset")
    nothing = here.rules()
    gateway = here.gateway(*way)
    applied = here.rules()
    assert "table inet stile_gateway" in applied
    gateway.finish()
    assert here.rules() == nothing
    assert stateless(here.on_router("nft", "list", "ruleset")) == stateless(before)
    (tmp_path / "rules.sh").write_text(printed(here, *way))
    assert here.on_router("sh", tmp_path / "rules.sh") == ""
    assert here.rules() == applied
    gateway = here.start("gateway", "--lan", here.lan, "--via", here.url, *way)
    assert fetched(here, "http://web.far.test/")
    assert "are yours to put in force" in gateway.errors()
    gateway.finish()
    assert here.rules() == applied, "whoever puts them in force takes them back"


def stateless(ruleset: str) -> list[str]:
    return [line for line in ruleset.splitlines() if "counter" not in line]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_rules_are_taken_back_at_the_end(here: Site, how: int) -> None:
    nothing = here.rules()
    gateway = here.gateway()
    gateway.finish(how)
    assert here.rules() == nothing
    assert fetched(here, f"http://{FAR}/"), "the router forwards as before"


def test_a_gateway_that_was_killed_leaves_the_door_shut(here: Site) -> None:
    nothing = here.rules()
    killed = here.gateway()
    applied = here.rules()
    killed.kill()
    assert here.rules() == applied
    for target in (FAR, f"[{FAR_SIX}]"):
        assert fetch(here, f"http://{target}/").returncode == 7, "refused"
    assert here.leaked() == 0
    gateway = here.gateway()
    assert here.rules() == applied
    assert fetched(here, "http://web.far.test/")
    gateway.finish()
    assert here.rules() == nothing


def test_one_gateway_a_host(here: Site) -> None:
    here.gateway()
    applied = here.rules()
    for words in (["gateway", "--lan", here.lan, "--via", here.url, "--apply"], ["gateway", "--from", "10.0.0.0/8", "--via", here.url]):
        done = stile_on(here, *words)
        assert done.returncode == 1
        assert "cannot be a gateway: " in done.stderr and "(stop the other gateway of this host)" in done.stderr
    assert here.rules() == applied
    assert fetched(here, "http://web.far.test/")


def stile_on(here: Site, *words: object) -> subprocess.CompletedProcess[str]:
    command = [*here.router.prefix(), str(BINARY), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_gives_up_what_it_does_not_need(here: Site) -> None:
    gateway = here.gateway()
    assert "sandbox: " in gateway.errors() and "system calls filtered" in gateway.errors()
    assert held_rights(gateway.process.pid) == {0}


def test_a_service_manager_gives_it_two_rights(here: Site) -> None:
    """As packaging/systemd/stile.service.d/gateway.conf.example does it."""
    nothing = here.rules()
    rights = ["--inh-caps", "+net_admin,+net_raw", "--ambient-caps", "+net_admin,+net_raw", "--bounding-set", "-all,+net_admin,+net_raw"]
    under = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *rights]
    gateway = here.start("gateway", "--lan", here.lan, "--via", here.url, "--apply", under=under)
    assert fetched(here, "http://web.far.test/")
    assert held_rights(gateway.process.pid) == {0}
    children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
    keeper = next(child for child in children if Path(f"/proc/{child}/comm").read_text() == "stile-rules\n")
    assert held_rights(int(keeper)) == {1 << 12}
    gateway.finish()
    assert here.rules() == nothing


def held_rights(process: int) -> set[int]:
    """Of each thread, by capabilities(7)."""
    held = set()
    for thread in Path(f"/proc/{process}/task").iterdir():
        status = dict(line.split(":\t", 1) for line in (thread / "status").read_text().splitlines() if ":\t" in line)
        assert status["CapEff"] == status["CapPrm"] and int(status["CapAmb"], 16) == 0
        assert status["NoNewPrivs"] == "1"  # what the bounding set still holds comes back to nobody
        held.add(int(status["CapEff"], 16))
    return held


# --- whose it is ---

CONFIGURATION = """
[gateway]
lan = ["LAN"]
rules = "apply"
users = ["10.70.0.3=alice", "10.70.0.0/24=guests"]
[users]
file = "users"
[[upstream]]
name = "one"
servers = ["socks5h://192.0.2.1:1080"]
[[upstream]]
name = "two"
servers = ["socks5h://bob@192.0.2.1:1081"]
password_file = "bob.password"
clear_password = "allow"
[policy]
rules = '''
none:  deny  guests to udp any
staff: allow group:staff to tcp udp any:1-65535 via two
rest:  allow guests to tcp any:80 via one
pings: allow guests to ping 203.0.113.0/24 via one
'''
"""


def test_sources_are_users_with_ways_of_their_own(here: Site, serve: Callable[..., Server], cone: Cone, tmp_path: Path) -> None:
    site_folder = tmp_path / "site"
    site_folder.mkdir()
    for name, password in (("alice", "a long one"), ("bob", "another one")):
        command = ["user", "add", name, "--file", site_folder / "users", "--group", "staff"]
        assert stile(*command, input=f"{password}\n").returncode == 0
    (site_folder / "bob.password").write_text("another one\n")
    (site_folder / "bob.password").chmod(0o600)
    second = serve(
        config=f"""
[[listen]]
address = "{PROXY}:PORT"
[users]
file = "{site_folder}/users"
[udp]
ports = "40000-40099"
[policy]
rules = "bob: allow bob to tcp udp 203.0.113.0/24:1-65535"
""",
        host=PROXY,
        port=1081,
        namespace=here.proxy,
    )
    (site_folder / "gateway.toml").write_text(CONFIGURATION.replace("LAN", here.lan))
    gateway = here.start("serve", "--config", site_folder / "gateway.toml")
    assert fetched(here, "http://web.far.test/", "--ipv4")
    record = gateway.wait_for_record(event="session.end", user="guests")
    assert (record["method"], record["rule"], record["route"]) == ("network", "rest", f"one ({PROXY}:1080)")
    assert here.saw("web.far.test:80")
    assert fetched(here, "http://web.far.test/", "--ipv4", "--interface", OTHER)
    record = gateway.wait_for_record(event="session.end", user="alice")
    assert (record["rule"], record["route"]) == ("staff", f"two ({PROXY}:1081)")
    assert second.wait_for_record(target="web.far.test:80")["user"] == "bob"
    assert fetch(here, "http://web.far.test:81/", "--ipv4").returncode in RESET
    assert gateway.wait_for_record(event="denied", target="web.far.test:81")["user"] == "guests"
    bound = ASK.replace("asking.settimeout(20)", "asking.settimeout(20); asking.bind((SOURCE, 0))")
    bound = bound.replace("getaddrinfo(", "getaddrinfo(family=socket.AF_INET, host=", 1).replace("sys.argv[1], int", "sys.argv[1], port=int")
    assert python(here, bound.replace("SOURCE", repr(OTHER)), "web.far.test", 7000, "alice's") == "alice's True\n"
    assert gateway.wait_for_record(command="udp-associate", event="session.start")["user"] == "alice"
    lost = bound.replace("SOURCE", repr(CLIENT)).replace("settimeout(20)", "settimeout(1)")
    assert here.run(PYTHON, "-c", "import socket, sys\n" + lost, FAR, 7000, "guest's").returncode == 1
    denied = gateway.wait_for_record(command="udp-associate", event="denied")
    assert (denied["user"], denied["rule"], denied["target"]) == ("guests", "none", f"{FAR}:7000")
    assert cone.heard == [b"alice's"]
    assert "1 received" in here.run("ping", "-n", "-c", "1", "-W", "20", FAR).stdout


TRACERS = """
[gateway]
lan = ["LAN"]
rules = "apply"
users = ["10.70.0.3=alice", "10.70.0.0/24=guests", "fd00:70::/64=six"]
[[upstream]]
name = "one"
servers = ["socks5h://192.0.2.1:1080"]
[[upstream]]
name = "two"
servers = ["socks5h://192.0.2.1:1081"]
[policy]
rules = '''
none:  deny  six to ping any
hers:  allow alice to ping any, reserved via two
data:  allow anyone to udp any:1-65535, reserved:1-65535 via one
rest:  allow anyone to ping any, reserved via one
'''
"""


def test_who_may_trace_and_by_whom(road: Site, serve: Callable[..., Server], tmp_path: Path) -> None:
    """What one machine's proxy has told is not for another machine, which has a proxy that hides it, or may not ask."""
    second = serve(
        config=f"""
[[listen]]
address = "{PROXY}:PORT"
[policy]
rules = '''
hidden: deny anyone to ping {FAR}
rest: allow anyone from 192.0.2.0/24 to ping any, reserved
'''
""",
        host=PROXY,
        port=1081,
        namespace=road.proxy,
    )
    (tmp_path / "tracers.toml").write_text(TRACERS.replace("LAN", road.lan))
    road.start("serve", "--config", tmp_path / "tracers.toml")
    for way in ([], ["-I"]):
        assert trace(road, *PATIENT, "-s", CLIENT, *way, BEYOND) == [FAR, BEYOND]
        assert trace(road, "-w", 3, "-s", OTHER, *way, BEYOND) == ["* * *", BEYOND]
    assert {record["target"] for record in second.records()} == {f"{BEYOND}:0"}
    for way in ([], ["-I"]):
        assert trace(road, "-w", 1, "-m", 2, *way, BEYOND_SIX) == ["* * *"] * 2
    traced = [record["target"] for server in (road.server, second) for record in server.records() if record["command"] == "traceroute"]
    assert set(traced) == {f"{BEYOND}:0"}
    assert road.leaked() == 0


def test_a_reload_changes_who_they_are(here: Site, tmp_path: Path) -> None:
    site_folder = tmp_path / "site"
    site_folder.mkdir()
    file = site_folder / "gateway.toml"
    text = f"""
[gateway]
lan = ["{here.lan}"]
rules = "apply"
users = ["10.70.0.0/24=WHO"]
[[upstream]]
name = "one"
servers = ["{here.url}"]
[policy]
rules = "all: allow first to any:80 via one"
"""
    file.write_text(text.replace("WHO", "first"))
    gateway = here.start("gateway", "--config", file)
    assert fetched(here, "http://web.far.test/", "--ipv4")
    file.write_text(text.replace("WHO", "second").replace("allow first to any:80", "allow second to any:80"))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until("it has reloaded", lambda: "reloaded" in gateway.errors())
    assert fetched(here, "http://web.far.test/", "--ipv4")
    assert gateway.wait_for_record(event="session.end", user="second")
    file.write_text(text.replace("WHO", "first").replace("lan =", "from = [\"10.9.0.0/16\"]\nlan ="))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until("it says so", lambda: "'gateway' takes effect at the next start" in gateway.errors())


# --- the command line ---


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "no machine is named (add --lan INTERFACE or --from NETWORK)"),
        (["--lan", "lo"], "cannot use --lan 'lo': expected an interface that others are behind"),
        (["--from", "0.0.0.0/0"], "cannot use --from '0.0.0.0/0': expected less than every address"),
        (["--lan", "eth1", "--user", "alice"], "cannot use --user 'alice': expected a network and a user's name"),
        (["--lan", "eth1", "--via", "ftp://x"], "cannot use --via"),
        (["--lan", "eth1", "--config", "x.toml"], "cannot use --via: the rules of the configuration say which way"),
    ],
)
def test_words_that_mean_nothing(words: list[str], said: str) -> None:
    via = [] if "--via" in words else ["--via", "socks5h://127.0.0.1:1"]
    done = stile("gateway", *words, *via)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_example_is_good(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "gateway.md").read_text()
    (tmp_path / "stile.toml").write_text(text.split("```toml\n", 1)[1].split("```", 1)[0])
    (tmp_path / "exit.password").write_text("a long one\n")
    (tmp_path / "exit.password").chmod(0o600)
    checked = stile("check", "--config", tmp_path / "stile.toml")
    assert checked.returncode == 0 and "error" not in checked.stderr
    for user, source, target, way in (
        ("guests", "192.168.1.200", "www.example.com:443", "allow"),
        ("guests", "192.168.1.200", "192.168.3.7:631", "deny"),
        ("alice", "192.168.1.10", "192.168.3.7:631", "allow"),
    ):
        words = ["--user", user, "--source", source, "--target", target]
        assert way in stile("explain", "--config", tmp_path / "stile.toml", "--no-dns", *words).stdout


def test_without_the_right_to_it_says_so(here: Site) -> None:
    command = [*here.router.prefix(), "setpriv", "--reuid", "65534", "--clear-groups", str(BINARY), "gateway", "--lan", here.lan]
    done = subprocess.run([*command, "--via", here.url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "(start it as root: it needs CAP_NET_ADMIN and CAP_NET_RAW)" in done.stderr
