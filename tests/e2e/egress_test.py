"""Where connections leave a host that has two ways to the same place: by an interface, by a mark, and to whichever of
several upstreams answers first. In namespaces: what the far side sees of us is the proof."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import raw_socks
from datagrams import DatagramEcho
from networks import Lab, Namespace
from origins import Origin, echo
from processes import BINARY, free_port, stile, wait_until
from sandbox_test import statuses
from server import Server

GENERAL_FAILURE = 1
BIND, ASSOCIATE = 2, 3
MARKED = "0000000000002000"  # CAP_NET_RAW alone

PLACES = ("10.99.0.1", "fd00:99::1")  # of the far host, whichever way one comes


class Fork:
    """Two hosts and two cables between them. To the places of the far one the first leads; the second where it is asked
    for by interface, or by the mark 7."""

    def __init__(self, lab: Lab) -> None:
        self.near, self.far = lab.host("near"), lab.host("far")
        for way in (1, 2):
            left, right = [f"10.9.{way}.1/24", f"fd00:9:{way}::1/64"], [f"10.9.{way}.2/24", f"fd00:9:{way}::2/64"]
            lab.cable(self.near, left, self.far, right)
        self.ways = [f"s{lab.tag}{way}a" for way in (1, 2)]
        for host in (self.near, self.far):
            host.set("net.ipv4.conf.all.rp_filter", 0)
        for place, prefix, gateway in ((PLACES[0], "10.99.0.0/24", "10.9.{}.2"), (PLACES[1], "fd00:99::/64", "fd00:9:{}::2")):
            family = "-6" if ":" in place else "-4"
            self.far.run("ip", "address", "add", place, "dev", "lo", *(["nodad"] if ":" in place else []))
            for way, device in enumerate(self.ways, 1):
                route = [prefix, "via", gateway.format(way), "dev", device]
                self.near.run("ip", family, "route", "add", *route, "metric", 100 * way)
            self.near.run("ip", family, "rule", "add", "fwmark", 7, "lookup", 100)
            self.near.run("ip", family, "route", "add", prefix, "via", gateway.format(2), "table", 100)


@pytest.fixture
def fork(lab: Lab) -> Fork:
    return Fork(lab)


@pytest.fixture
def targets(fork: Fork) -> Iterator[list[Origin]]:
    with fork.far.inside():
        made = [Origin(echo, place, 7000) for place in PLACES]
    yield made
    for one in made:
        one.close()


def config(rules: str, more: str = "", listen: str = "") -> str:
    return f"[[listen]]\naddress = \"127.0.0.1:PORT\"\n{listen}\n[policy]\nrules = '''\n{rules}\n'''\n{more}\n"


def start(serve, namespace: Namespace, text: str, **options) -> Server:
    return serve(config=text, namespace=namespace, port=free_port(), **options)


def echoed(proxy: tuple[str, int], place: str, port: int = 7000) -> None:
    tunnel = raw_socks.tunnel(proxy, place, port)
    tunnel.sendall(b"hello")
    assert raw_socks.receive(tunnel, 5) == b"hello"
    tunnel.close()


@pytest.mark.parametrize("option", ["egress {way}", "mark 7", "egress {way} mark 9", "mark 0x7"])
def test_a_rule_says_by_which_way(serve, fork: Fork, targets: list[Origin], option: str) -> None:
    rule = "allow anyone to tcp {places} " + option.format(way=fork.ways[1])
    for text, way in (("allow anyone to tcp {places}", 1), (rule, 2)):
        server = start(serve, fork.near, config("out: " + text.format(places="10.99.0.1, fd00:99::1")))
        with fork.near.inside():
            for place, target in zip(PLACES, targets):
                echoed(server.proxy, place)
                assert target.peers[-1][0] == (f"fd00:9:{way}::1" if ":" in place else f"10.9.{way}.1")
        assert "cannot" not in server.errors()


def test_an_address_and_an_interface_together(serve, fork: Fork, targets: list[Origin]) -> None:
    """The address of one way, sent over the other: nobody would choose that, so that it shows who chose."""
    fork.far.run("ip", "route", "add", "10.9.1.1/32", "via", "10.9.2.1")  # answers have to come back by the same interface
    rule = f"out: allow anyone to tcp 10.99.0.1 egress 10.9.1.1%{fork.ways[1]}"
    server = start(serve, fork.near, config(rule))
    before = packets(fork.near, fork.ways[1])
    with fork.near.inside():
        echoed(server.proxy, PLACES[0])
    assert targets[0].peers[-1][0] == "10.9.1.1"
    assert packets(fork.near, fork.ways[1]) - before >= 4, "the SYN and what followed"


def packets(host: Namespace, device: str) -> int:
    """So many have left by it."""
    with host.inside():
        for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
            name, _, figures = line.partition(":")
            if name.strip() == device:
                return int(figures.split()[9])
    raise AssertionError(f"there is no {device}")


@pytest.mark.parametrize("option", ["egress {way}", "mark 7"])
def test_datagrams_go_the_same_way(serve, fork: Fork, option: str) -> None:
    rule = "out: allow anyone to udp 10.99.0.1, fd00:99::1 " + option.format(way=fork.ways[1])
    server = start(serve, fork.near, config(rule))
    with fork.far.inside():
        echoes = [DatagramEcho(place, 7001) for place in PLACES]
    try:
        with fork.near.inside(), socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(30)
            control, reply = raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 0, ASSOCIATE))
            for place, far in zip(PLACES, echoes):
                client.sendto(bytes(3) + raw_socks.address(place, 7001) + b"ping", (reply.host, reply.port))
                assert client.recv(4096).endswith(b"ping")
                assert far.peers[-1][0] == ("fd00:9:2::1" if ":" in place else "10.9.2.1")
            control.close()
    finally:
        with fork.far.inside():
            for far in echoes:
                far.close()


@pytest.mark.parametrize("option", ["egress {way}", "mark 7"])
def test_bind_listens_at_the_end_of_the_same_way(serve, fork: Fork, option: str) -> None:
    rule = "out: allow anyone to bind 10.99.0.1 " + option.format(way=fork.ways[1])
    server = start(serve, fork.near, config(rule))
    with fork.near.inside():
        control, reply = raw_socks.ask(server.proxy, raw_socks.request("10.99.0.1", 0, BIND))
    assert (reply.code, reply.host) == (0, "10.9.2.1")
    with fork.far.inside(), closing(socket.create_connection(("10.9.2.1", reply.port), 30, ("10.99.0.1", 0))) as peer:
        second = raw_socks.receive_reply(control)
        assert (second.code, second.host) == (0, "10.99.0.1")
        peer.sendall(b"hello")
        assert raw_socks.receive(control, 5) == b"hello"
        control.close()


def test_what_is_missing_is_told(serve, fork: Fork, tmp_path: Path) -> None:
    text = config(
        "gone: allow anyone to tcp udp 10.99.0.1 egress nosuch0\n"
        "listen: allow anyone to bind 10.99.0.1 egress nosuch0\n"
        "chain: allow anyone to tcp 10.99.0.2 via exit",
        '[[upstream]]\nname = "exit"\nservers = ["socks5h://10.99.0.1:1080"]\negress = "nosuch1"\n',
    )
    server = start(serve, fork.near, text)
    for whose, device in (("rule 'gone'", "nosuch0"), ("upstream 'exit'", "nosuch1")):
        assert f"{whose} cannot leave by {device}: this host has no such interface" in server.errors()
    with fork.near.inside():
        for place, command in (("10.99.0.1", 1), ("10.99.0.1", BIND), ("10.99.0.2", 1)):
            assert raw_socks.ask(server.proxy, raw_socks.request(place, 80, command))[1].code == GENERAL_FAILURE
    wait_until("all are recorded", lambda: len(server.records()) == 3)
    refused = {(record["rule"], record["reason"]) for record in server.records()}
    assert refused == {(rule, "dial.egress") for rule in ("gone", "listen", "chain")}
    (tmp_path / "check.toml").write_text(text.replace("PORT", "1080"))
    checked = stile("check", "--config", tmp_path / "check.toml")
    assert checked.returncode == 0
    assert "warning: rule 'gone' cannot leave by nosuch0: this host has no such interface" in checked.stderr


def test_a_mark_keeps_its_privilege_and_no_other(serve, fork: Fork, tmp_path: Path) -> None:
    text = config("out: allow anyone to tcp 10.99.0.1 mark 7")
    server = start(serve, fork.near, text)
    wait_until("it says so", lambda: "CAP_NET_RAW for marks" in server.errors())
    for thread in statuses(server.process.pid).values():
        assert thread["CapEff"] == thread["CapPrm"] == MARKED
        assert int(thread["CapInh"], 16) == int(thread["CapAmb"], 16) == int(thread["CapBnd"], 16) == 0
    (tmp_path / "check.toml").write_text(text.replace("PORT", "1080"))
    command = ["setpriv", "--bounding-set", "-all", BINARY, "check", "--config", tmp_path / "check.toml"]
    checked = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert checked.returncode == 0
    assert "warning: rule 'out' cannot set its mark 7: that is a privilege" in checked.stderr


def test_without_the_privilege_nothing_goes_unmarked(serve, fork: Fork, targets: list[Origin]) -> None:
    server = start(
        serve, fork.near, config("out: allow anyone to tcp 10.99.0.1 mark 7"), under=["setpriv", "--bounding-set", "-all"]
    )
    assert "rule 'out' cannot set its mark 7" in server.errors()
    with fork.near.inside():
        assert raw_socks.ask(server.proxy, raw_socks.request("10.99.0.1", 7000))[1].code == GENERAL_FAILURE
    server.wait_for_record(event="error", reason="dial.egress")
    assert targets[0].peers == []


# ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────────────

OPEN = "all: allow anyone from 10.9.0.0/16 to tcp 10.99.0.1"


def upstream(*servers: str, options: str = "") -> str:
    listed = ", ".join(f'"{server}"' for server in servers)
    return f'[[upstream]]\nname = "exit"\nservers = [{listed}]\n{options}\n'


def exit_server(serve, fork: Fork, listen: str = "") -> Server:
    text = config(OPEN, listen=listen).replace("127.0.0.1:PORT", "10.99.0.1:PORT")
    return start(serve, fork.far, text, host=PLACES[0])


@pytest.mark.parametrize("option", ['egress = "{way}"', "mark = 7"])
def test_an_upstream_is_reached_by_its_way(serve, fork: Fork, targets: list[Origin], option: str) -> None:
    far = exit_server(serve, fork)
    url = f"socks5h://10.99.0.1:{far.proxy[1]}"
    rules = "out: allow anyone to tcp 10.99.0.1:7000 via exit\nother: allow anyone to tcp 10.99.0.1 via exit egress " + fork.ways[0]
    near = start(serve, fork.near, config(rules, upstream(url, options=option.format(way=fork.ways[1]))))
    with fork.near.inside():
        echoed(near.proxy, PLACES[0])
    record = far.wait_for_record(event="session.start")
    assert str(record["client"]).startswith("10.9.2.1:")


def test_a_silent_member_is_overtaken(serve, fork: Fork, targets: list[Origin]) -> None:
    """Its attempts may take longer than the client would wait: without a second dial beside it nothing would come."""
    fork.far.set("net.ipv4.ip_forward", 1)
    fork.far.run("ip", "route", "add", "blackhole", "10.99.0.66")
    far = exit_server(serve, fork)
    servers = ["socks5h://10.99.0.66:1080", f"socks5h://10.99.0.1:{far.proxy[1]}"]
    near = start(
        serve,
        fork.near,
        config("out: allow anyone to tcp 10.99.0.1 via exit", upstream(*servers, options='timeout = "1m"')),
    )
    with fork.near.inside():
        for _ in range(3):
            echoed(near.proxy, PLACES[0])
    fork.far.run("ip", "address", "add", "10.99.0.66", "dev", "lo")  # what still waits for an answer gets one: RST
    for record in near.records():
        assert record["event"] != "session.start" or record["route"] == f"exit (10.99.0.1:{far.proxy[1]})"


def fast_opens(host: Namespace) -> dict[str, int]:
    """The kernel's counters of RFC 7413 in that namespace."""
    with host.inside():
        names, figures = [
            line.split()[1:]
            for line in Path("/proc/thread-self/net/netstat").read_text().splitlines()
            if line.startswith("TcpExt:")
        ]
    return {name: int(figure) for name, figure in zip(names, figures) if name.startswith("TCPFastOpen")}


@pytest.mark.parametrize("handshake", ["pipelined", "step-by-step"])
def test_data_goes_with_the_syn_where_it_is_asked_for(serve, fork: Fork, targets: list[Origin], handshake: str) -> None:
    for host in (fork.near, fork.far):
        host.set("net.ipv4.tcp_fastopen", 3)
    far = exit_server(serve, fork, listen='fast_open = "on"')
    url = f"socks5h://10.99.0.1:{far.proxy[1]}"
    rule = "out: allow anyone to tcp 10.99.0.1 via exit"
    seen = {}
    for word in ("off", "on"):
        options = f'fast_open = "{word}"\nhandshake = "{handshake}"'
        near = start(serve, fork.near, config(rule, upstream(url, options=options)))
        with fork.near.inside():
            for _ in range(4):
                echoed(near.proxy, PLACES[0])
        seen[word] = (fast_opens(fork.near)["TCPFastOpenActive"], fast_opens(fork.far)["TCPFastOpenPassive"])
    assert seen["off"] == (0, 0)
    assert seen["on"] == (3, 3), "the first connection gets the cookie"


def test_a_kernel_that_opens_nothing_fast_is_no_obstacle(serve, fork: Fork, targets: list[Origin]) -> None:
    for host in (fork.near, fork.far):
        host.set("net.ipv4.tcp_fastopen", 0)
    far = exit_server(serve, fork, listen='fast_open = "on"')
    options = upstream(f"socks5h://10.99.0.1:{far.proxy[1]}", options='fast_open = "on"')
    near = start(serve, fork.near, config("out: allow anyone to tcp 10.99.0.1 via exit", options))
    with fork.near.inside():
        for _ in range(2):
            echoed(near.proxy, PLACES[0])
    assert fast_opens(fork.near)["TCPFastOpenActive"] == 0


def test_a_server_that_forgot_the_cookie_or_is_gone_costs_no_request(serve, fork: Fork, targets: list[Origin]) -> None:
    """With a cookie at hand a connect succeeds before anybody has answered: what it meets then is still the member's."""
    for host in (fork.near, fork.far):
        host.set("net.ipv4.tcp_fastopen", 3)
    first, second = (exit_server(serve, fork, listen='fast_open = "on"') for _ in range(2))
    servers = [f"socks5h://10.99.0.1:{one.proxy[1]}" for one in (first, second)]
    near = start(
        serve,
        fork.near,
        config("out: allow anyone to tcp 10.99.0.1 via exit", upstream(*servers, options='fast_open = "on"')),
    )
    with fork.near.inside():
        for _ in range(2):
            echoed(near.proxy, PLACES[0])
        first.finish()
        fork.far.set("net.ipv4.tcp_fastopen_key", "-".join(f"{ord(c):08x}" for c in os.urandom(2).hex()))
        for _ in range(3):
            echoed(near.proxy, PLACES[0])
    assert second.wait_for_record(event="session.start")
