"""A group of three members under load, each of which is killed, stopped, cut off and refused in turn, also two at a time: no
request fails while one of them lives. How soon a group notices is printed, and never judged.

A request has failed where the client is told so. One that was granted already can be cut short, and is counted.
"""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import chains
import pytest
import raw_socks
from chains import upstream
from networks import Namespace
from origins import Origin
from processes import BINARY, Daemon, wait_until
from server import Server

PORT = 1080
ADDRESSES = ["10.7.0.1", "10.7.0.2", "10.7.0.3"]
PICKS = ["first-alive", "round-robin", "least-latency"]
TARGETS = {pick: f"10.7.1.{number}" for number, pick in enumerate(PICKS, 1)}  # each goes through the group of its pick
CLIENTS = 4  # of each pick
WAITED = 0.5  # seconds: so long takes no request that met a live member at once
ROUND = 25  # granted requests of each pick until the next step
HEALTH = 'timeout = "2s"\nfailures = 2\nretry = "1s"\nslow_start = "off"\nprobe = "1s"'

TABLE = f"""
table inet members {{
  set dropped {{ type ipv4_addr; }}
  set refused {{ type ipv4_addr; }}
  chain input {{
    type filter hook input priority 0;
    ip daddr @dropped tcp dport {PORT} drop
    ip saddr @dropped tcp sport {PORT} drop
    ip daddr @refused tcp dport {PORT} tcp flags & (syn | ack) == syn reject with tcp reset
  }}
}}
"""


class Member:
    """One of Stile's, which shows itself to targets by its address."""

    def __init__(self, host: Namespace, folder: Path, address: str) -> None:
        folder.mkdir()
        self.host, self.folder, self.address = host, folder, address
        rule = f"{chains.EVERYTHING} egress {address}"
        exempt = '[limits]\npenalty_exempt = ["10.7.0.0/24"]\n'  # handshakes that a blackhole cuts short are no offence
        config = chains.configuration(rule=rule.replace("from loopback", "from 10.7.0.0/24"), host=address, more=exempt)
        (folder / "stile.toml").write_text(config.replace("PORT", str(PORT)))
        self.start()

    def start(self) -> None:
        command = [*self.host.prefix(), BINARY, "serve", "--config", self.folder / "stile.toml"]
        self.daemon = Daemon(self.folder, *command)
        with self.host.inside():
            self.daemon.wait_for_port(self.address, PORT)

    def send(self, number: signal.Signals) -> None:
        self.daemon.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.daemon.process.wait()

    def element(self, verb: str, name: str) -> None:
        self.host.run("nft", verb, "element", "inet", "members", name, f"{{ {self.address} }}")

    def close(self) -> None:
        if self.daemon.process.poll() is None:
            self.send(signal.SIGCONT)
        self.daemon.close()


TROUBLES: dict[str, tuple[Callable[[Member], None], Callable[[Member], None]]] = {
    "kill": (Member.kill, Member.start),
    "stop": (lambda one: one.send(signal.SIGSTOP), lambda one: one.send(signal.SIGCONT)),
    "blackhole": (lambda one: one.element("add", "dropped"), lambda one: one.element("delete", "dropped")),
    "refuse": (lambda one: one.element("add", "refused"), lambda one: one.element("delete", "refused")),
}


@dataclass(frozen=True)
class Request:
    pick: str
    began: float
    seconds: float  # until the reply
    failure: str = ""
    member: str = ""  # as the target saw it; nothing: it was granted, and then cut short


@dataclass
class Load:
    """Clients that ask one after another without a pause, until they are told to end."""

    proxy: tuple[str, int]
    port: int
    requests: list[Request] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)  # a client: when its request began
    over: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for pick in PICKS * CLIENTS:
            self.threads.append(threading.Thread(target=self.ask_on, args=(pick,), daemon=True))
            self.threads[-1].start()

    def ask_on(self, pick: str) -> None:
        while not self.over:
            began = self.under_way[threading.get_ident()] = time.monotonic()
            self.requests.append(self.ask(pick, began))

    def ask(self, pick: str, began: float) -> Request:
        try:
            client = socket.create_connection(self.proxy, 60)
            client.sendall(raw_socks.GREETING + raw_socks.request(TARGETS[pick], self.port))
            assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
            code = raw_socks.receive_reply(client).code
            failure = f"reply {code}" if code else ""
        except (OSError, AssertionError) as error:
            failure = repr(error)
        seconds = time.monotonic() - began
        if failure:
            return Request(pick, began, seconds, failure)
        with client:
            try:
                client.settimeout(2)
                return Request(pick, began, seconds, member=raw_socks.receive_all(client).decode())
            except OSError:
                return Request(pick, began, seconds)

    def of(self, pick: str, since: float) -> list[Request]:
        return [one for one in self.requests.copy() if one.pick == pick and one.began >= since]

    def go_on(self) -> None:
        """A round of requests of each pick, begun from here on."""
        since = time.monotonic()
        for pick in PICKS:
            wait_until(f"{ROUND} requests by {pick}", lambda: sum(bool(one.member) for one in self.of(pick, since)) >= ROUND, 60)

    def settle(self, since: float) -> None:
        """Until nobody's request is older: one that meets member after member may see two states of the group, and no third,
        in which the last that it comes to has fallen as well."""
        wait_until("older requests are over", lambda: min(self.under_way.values()) >= since, 60)

    def end(self) -> None:
        self.over = True
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()


@dataclass
class Watch:
    """What each pick showed of a member's fall and return."""

    load: Load
    figures: dict[str, list[str]] = field(default_factory=lambda: {pick: [] for pick in PICKS})

    def fall(self, member: Member, since: float) -> None:
        for pick in PICKS:
            late = [one for one in self.load.of(pick, since) if one.seconds > WAITED]
            left = f"left after {max(one.began for one in late) - since:.2f} s" if late else "left at once"
            longest = f", at most {max(one.seconds for one in late):.2f} s" if late else ""
            self.figures[pick].append(f"{member.address} {left} ({len(late)} requests waited{longest})")

    def comeback(self, member: Member, since: float) -> None:
        """Round-robin shows it in any case: the others, where it is their turn."""
        wait_until("it is asked again", lambda: self.served("round-robin", member, since) is not None, 60)
        for pick in PICKS:
            back = self.served(pick, member, since)
            self.figures[pick].append(f"{member.address} " + ("not asked yet" if back is None else f"back after {back:.2f} s"))

    def served(self, pick: str, member: Member, since: float) -> float | None:
        times = [one.began - since for one in self.load.of(pick, since) if one.member == member.address]
        return min(times, default=None)


@pytest.fixture
def members(lone_host: Namespace, tmp_path: Path) -> Iterator[list[Member]]:
    for address in (*ADDRESSES, *TARGETS.values()):
        lone_host.run("ip", "address", "add", address, "dev", "lo")
    file = tmp_path / "nft"
    file.write_text(TABLE)
    lone_host.run("nft", "-f", file)
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Member(lone_host, tmp_path / address, address))) for address in ADDRESSES]


@pytest.fixture
def far(lone_host: Namespace) -> Iterator[Origin]:
    """Tells each client who came for it, and ends."""

    def tell(connection: socket.socket) -> None:
        connection.sendall(connection.getpeername()[0].encode())

    with lone_host.inside(), closing(Origin(tell, host="0.0.0.0")) as origin:
        yield origin


def start_entry(serve, host: Namespace) -> Server:
    servers = [f"socks5h://{address}:{PORT}" for address in ADDRESSES]
    groups = "".join(upstream(pick, *servers, options=f'pick = "{pick}"\n{HEALTH}') for pick in PICKS)
    rules = "\n".join(f"allow anyone from loopback to {target} via {pick}" for pick, target in TARGETS.items())
    rule = rules.removeprefix("allow anyone from loopback to ")
    return serve(config=chains.configuration(more=groups, rule=f"allow anyone from loopback to {rule}"), namespace=host)


@pytest.mark.parametrize("how", TROUBLES)
def test_no_request_fails_while_one_member_lives(serve, members, far, lone_host, record_property, how: str) -> None:
    hurt, mend = TROUBLES[how]
    one, two, three = members
    entry = start_entry(serve, lone_host)
    load = Load(entry.proxy, far.port)
    watch = Watch(load)

    def fall(member: Member) -> None:
        since = time.monotonic()
        hurt(member)
        load.go_on()
        load.settle(since)
        watch.fall(member, since)

    def comeback(*back: Member) -> None:
        since = time.monotonic()
        for member in back:
            mend(member)
        for member in back:
            watch.comeback(member, since)
        load.settle(since)

    with lone_host.inside():
        load.start()
        load.go_on()
        fall(one)
        fall(two)  # three is alone
        comeback(one)
        fall(three)  # one is alone
        comeback(two)
        fall(one)  # two is alone
        comeback(one, three)
        load.go_on()
        load.end()
    failed = [request for request in load.requests if request.failure]
    assert not failed, [record for record in entry.records() if record["event"] == "error"]
    assert {request.member for request in load.requests} - {""} == set(ADDRESSES)
    for pick in PICKS:
        record_property(f"{how}, {pick}", "; ".join(watch.figures[pick]))
    cut = sum(not request.member for request in load.requests)
    record_property(f"{how}, all", f"{len(load.requests)} requests, none failed, {cut} were cut short behind their grant")
