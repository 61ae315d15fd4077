"""PING and TRACEROUTE over real routers, octet by octet (protocol reference, 9.2; vectors Q27, Q28; threats TS6, TS7)."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import raw_socks
import road
from processes import BINARY, stile, wait_until
from processes import run as run_command
from raw_socks import Reply, address
from road import Road
from server import Server

PING, TRACEROUTE = 0x80, 0x81
NO_NAMES, VERBOSE, ONCE = 1, 2, 4
MS = r"\d+\.\d{3} ms"


@pytest.fixture(scope="module")
def shared_road(namespaces: None) -> Iterator[Road]:
    with closing(Road()) as built:
        yield built


def proxy_on(place: Road, serve, config: str = road.OPEN_CONFIG, **options) -> Server:
    return serve(config=config, host=road.PROXY[0], port=road.PROXY[1], namespace=place.proxy, **options)


class Run:
    """One conversation: the reply, then lines as they come."""

    def __init__(self, place: Road, command: int, host: str, flags: int = 0, behind: bytes = b"", port: int = 0) -> None:
        with place.client.inside():
            self.socket = raw_socks.dial(road.PROXY, 60)
        self.socket.sendall(raw_socks.GREETING)
        assert raw_socks.receive(self.socket, 2) == raw_socks.METHOD_NONE
        self.socket.sendall(bytes([5, command, flags]) + address(host, port) + behind)
        self.reply: Reply = raw_socks.receive_reply(self.socket)
        self.octets = b""

    def lines_until(self, count: int) -> list[str]:
        """Reads until there are so many lines."""
        while self.octets.count(b"\r\n") < count:
            piece = self.socket.recv(4096)
            assert piece, f"it ended: {self.octets!r}"
            self.octets += piece
        return self.octets.decode("ascii").split("\r\n")[:count]

    def rest(self) -> list[str]:
        """Everything to the server's FIN: whole lines only."""
        self.octets += raw_socks.receive_all(self.socket)
        lines = self.octets.decode("ascii").split("\r\n")
        assert lines[-1] == "", lines
        return lines[:-1]

    def end(self, octets: bytes = b"\0") -> list[str]:
        self.socket.sendall(octets)
        return self.rest()


def check(lines: list[str], patterns: list[str]) -> None:
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"


def statistics(host: str, sent: int, received: int) -> list[str]:
    loss = 100 * (sent - received) / sent if sent else 0
    lines = [f"--- {host} ping statistics ---", rf"{sent} sent, {received} received, {loss:.1f}% loss, time \d+ ms"]
    return lines + ([r"rtt min/avg/max/mdev = (\d+\.\d{3}/){3}\d+\.\d{3} ms"] if received else [])


# --- PING ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "source", "ttl"), [(road.TARGET, road.SOURCE, 61), (road.TARGET6, road.SOURCE6, 61)], ids=["IPv4", "IPv6"]
)
def test_ping(shared_road: Road, serve, host: str, source: str, ttl: int) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, PING, host, port=7)  # the port means nothing
    assert run.reply.octets == b"\x05\x00\x00" + address(source, 0)
    run.lines_until(3)
    answers = [rf"64 bytes from {host}: icmp_seq={n} ttl={ttl} time={MS}" for n in (1, 2)]
    check(run.end(), [rf"PING {host} \({host}\) 56 data bytes", *answers, *statistics(host, 2, 2)])
    end = server.wait_for_record(event="session.end")
    assert (end["command"], end["packets_up"], end["packets_down"], end["bytes_up"]) == ("ping", 2, 2, 0)
    assert end["bytes_down"] == len(run.octets) and end["rule"] == "probes" and "reason" not in end


def test_ping_of_a_name_shows_the_name_and_takes_an_allowed_address(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, PING, "both.example", VERBOSE)
    run.lines_until(2)
    check(
        run.end(b"any octet, and others"),
        [
            rf"PING both.example \({road.TARGET}\) 56 data bytes",
            rf"64 bytes from {road.TARGET}: icmp_seq=1 ttl=61 time={MS} \[0/0\]",
            *statistics("both.example", 1, 1),
        ],
    )
    assert server.wait_for_record(event="session.end")["target"] == "both.example:0"


@pytest.mark.parametrize(
    ("host", "sender", "words"),
    [
        (road.HOST_UNREACHABLE, road.HOPS[2], "host unreachable [3/1]"),
        (road.PROHIBITED, road.HOPS[2], "admin prohibited [3/13]"),
        (road.NET_UNREACHABLE, road.HOPS[2], "net unreachable [3/0]"),
        (road.ADMIN_PROHIBITED, road.HOPS[2], "admin prohibited [3/13]"),
        (road.PROTOCOL_UNREACHABLE, road.HOPS[2], "host unreachable [3/2]"),
        (road.UNUSED, road.HOPS[2], "host unreachable [3/1]"),
        (road.LOOP, road.HOPS[1], "ttl expired [11/0]"),
        (road.NO_ROUTE6, road.HOPS6[2], "net unreachable [1/0]"),
        (road.ADDRESS_UNREACHABLE6, road.HOPS6[2], "host unreachable [1/3]"),
        (road.PROHIBITED6, road.HOPS6[2], "admin prohibited [1/1]"),
    ],
)
def test_ping_tells_who_said_what(shared_road: Road, serve, host: str, sender: str, words: str) -> None:
    proxy_on(shared_road, serve)
    run = Run(shared_road, PING, host, VERBOSE)
    assert run.lines_until(2)[1] == f"icmp_seq=1 from {sender}: {words}"
    run.socket.shutdown(socket.SHUT_WR)  # FIN ends it as an octet does
    lines = run.rest()
    assert re.fullmatch(r"\d+ sent, 0 received, 100.0% loss, time \d+ ms", lines[-1])


def test_ping_loses_what_the_network_loses(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    run = Run(shared_road, PING, road.LOSSY)
    while "timeout" not in run.lines_until(run.octets.count(b"\r\n") + 1)[-1]:
        pass
    lines = run.end()
    lost = [int(line.split("=")[1].split()[0]) for line in lines if line.endswith(" timeout")]
    came = [int(re.search(r"icmp_seq=(\d+)", line)[1]) for line in lines if line.startswith("64 bytes")]
    assert lost == [2] and came[:3] == [1, 3, 5], lines
    assert re.search(r"^\d+ sent, 3 received", lines[-2]), lines


def test_ping_of_silence(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, PING, road.DROPPED)
    assert run.lines_until(2)[1] == "icmp_seq=1 timeout"
    run.socket.shutdown(socket.SHUT_WR)
    assert "rtt" not in run.rest()[-1]
    assert server.wait_for_record(event="session.end")["reason"] == "fin.client"


def test_an_end_octet_behind_the_request_ends_it_at_once(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    run = Run(shared_road, PING, road.TARGET, behind=b"\0")
    lines = run.rest()
    assert lines[0].startswith("PING ") and lines[-1].startswith("1 sent, 0 received"), lines


# --- TRACEROUTE ---------------------------------------------------------------------------------------------------


def hop(number: int, name: str, host: str, tail: str = "") -> str:
    return rf"{number:2}  {name} \({host}\)" + rf"  {MS}{tail}" * 3


def test_traceroute(shared_road: Road, serve) -> None:
    """The first router has a name, the second one's is never answered: the address stands for it."""
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, TRACEROUTE, "target.example")
    assert run.reply.octets == b"\x05\x00\x00" + address(road.SOURCE, 0)
    head = rf"traceroute to target.example \({road.TARGET}\), 30 hops max, 60 byte packets"
    hops = [hop(1, "r1.example", road.HOPS[0])] + [hop(n, host, host) for n, host in enumerate(road.HOPS[1:], 2)]
    check(run.rest(), [head, *hops, "trace complete: reached"])
    end = server.wait_for_record(event="session.end")
    assert (end["command"], end["packets_up"], end["packets_down"]) == ("traceroute", 12, 3)


def test_traceroute_ipv6_without_names_and_verbose(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    asked = len(shared_road.names.asked)
    lines = Run(shared_road, TRACEROUTE, road.TARGET6, NO_NAMES | VERBOSE).rest()
    routers = [hop(n, host, host, r" \[3/0\]") for n, host in enumerate(road.HOPS6[:3], 1)]
    check(lines[1:], [*routers, hop(4, road.TARGET6, road.TARGET6, r" \[129/0\]"), "trace complete: reached"])
    assert shared_road.names.asked[asked:] == []


def test_traceroute_with_one_probe_a_hop(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    lines = Run(shared_road, TRACEROUTE, road.TARGET, NO_NAMES | ONCE).rest()
    check(lines[1:], [rf"{n:2}  {host} \({host}\)  {MS}" for n, host in enumerate(road.HOPS, 1)] + ["trace complete: reached"])
    assert server.wait_for_record(event="session.end")["packets_up"] == 4


@pytest.mark.parametrize(
    ("host", "number", "mark"),
    [
        (road.HOST_UNREACHABLE, 3, "!H"),
        (road.PROHIBITED, 3, "!X"),
        # A filter judges what is about to leave: a probe whose hops end at that router is told so before.
        (road.NET_UNREACHABLE, 4, "!N"),
        (road.PROTOCOL_UNREACHABLE, 4, "!P"),
    ],
)
def test_traceroute_ends_where_it_is_told_so(shared_road: Road, serve, host: str, number: int, mark: str) -> None:
    proxy_on(shared_road, serve)
    lines = Run(shared_road, TRACEROUTE, host, NO_NAMES).rest()
    check(lines[number:], [hop(number, road.HOPS[2], road.HOPS[2], f" {mark}"), "trace complete: unreachable"])


def test_traceroute_hides_what_the_policy_hides(shared_road: Road, serve) -> None:
    """An address that the client may not probe is in no octet that it gets (TS6)."""
    proxy_on(shared_road, serve, road.CONFIG)
    lines = Run(shared_road, TRACEROUTE, road.TARGET, NO_NAMES).rest()
    assert lines[3] == " 3  *  *  *" and lines[-1] == "trace complete: reached"
    assert road.HOPS[2] not in "".join(lines)
    run = Run(shared_road, PING, road.HOST_UNREACHABLE)  # what that router says is hidden too
    assert run.lines_until(2)[1] == "icmp_seq=1 timeout"


def test_traceroute_is_ended_by_an_octet(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    run = Run(shared_road, TRACEROUTE, road.TARGET, NO_NAMES)
    run.lines_until(2)
    lines = run.end()
    assert lines[-1] == "trace complete: ended" and len(lines) == 3


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [PING, TRACEROUTE])
@pytest.mark.parametrize(
    ("host", "code", "reason"),
    [
        ("127.0.0.1", 2, "deny.policy"),
        ("0.0.0.0", 2, "deny.unspecified"),
        ("nobody.example", 4, "dns.not_found"),
        (road.FORBIDDEN, 2, "dial.forbidden"),
        (road.FORBIDDEN6, 2, "dial.forbidden"),
        (road.ABSENT6, 3, "dial.network_unreachable"),
    ],
)
def test_refusal(shared_road: Road, serve, command: int, host: str, code: int, reason: str) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, command, host)
    assert run.reply.octets == bytes([5, code]) + raw_socks.FAILURE_TAIL
    assert run.rest() == []
    record = server.wait_for_record(reply=code)
    assert record["reason"] == reason and record["event"] == ("denied" if reason.startswith("deny") else "error")


def test_without_an_icmp_socket(shared_road: Road, serve) -> None:
    """No capability and no word of the administrator: 01, and a warning at the start; with the word, datagram sockets."""
    powerless = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]
    server = proxy_on(shared_road, serve, under=powerless)
    assert "no ICMP socket" in server.errors() and "ping_group_range" in server.errors()
    checked = run_command(*shared_road.proxy.prefix(), *powerless, BINARY, "check", "--config", server.config_file)
    assert checked.returncode == 0 and "no ICMP socket" in checked.stderr
    run = Run(shared_road, PING, road.TARGET)
    assert run.reply.octets == b"\x05\x01" + raw_socks.FAILURE_TAIL
    assert server.wait_for_record(reply=1)["reason"] == "ping.no_socket"
    shared_road.proxy.set("net.ipv4.ping_group_range", "0 2147483647")
    try:
        for host, sender in ((road.TARGET, None), (road.TARGET6, None), (road.HOST_UNREACHABLE, road.HOPS[2])):
            run = Run(shared_road, PING, host)
            line = run.lines_until(2)[1]
            expected = f"icmp_seq=1 from {sender}: host unreachable" if sender else f"64 bytes from {host}: icmp_seq=1 "
            assert line.startswith(expected)
            run.end()
        assert Run(shared_road, TRACEROUTE, road.TARGET, NO_NAMES).rest()[-1] == "trace complete: reached"
    finally:
        shared_road.proxy.set("net.ipv4.ping_group_range", "1 0")


# --- Bounds -------------------------------------------------------------------------------------------------------


def test_one_client_has_one_probe_a_second(shared_road: Road, serve) -> None:
    """However many sessions it opens, on whichever workers (TS7)."""
    proxy_on(shared_road, serve)
    runs = [Run(shared_road, PING, road.TARGET) for _ in range(3)]
    start = time.monotonic()
    runs[0].lines_until(3)
    lines = [run.end() for run in runs]
    sent = [int(next(line for line in each if " sent, " in line).split()[0]) for each in lines]
    assert sum(sent) <= time.monotonic() - start + 2, sent


def test_a_client_that_vanishes_ends_its_run(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, PING, road.TARGET)
    run.lines_until(2)
    run.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    run.socket.close()
    assert server.wait_for_record(event="session.end")["reason"] == "rst.client"


def test_a_server_that_stops_ends_its_runs(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    run = Run(shared_road, PING, road.DROPPED)
    server.process.terminate()
    wait_until("the first signal is taken", lambda: "draining" in server.errors())
    server.process.terminate()
    raw_socks.receive_all(run.socket)
    assert server.process.wait(30) == 0
    assert server.wait_for_record(event="session.end")["reason"] == "drain"


def test_our_own_client(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    via = f"socks5h://{road.PROXY[0]}:{road.PROXY[1]}"
    with shared_road.client.inside():
        ping = stile("ping", "-c", "2", "--via", via, "target.example")
        trace = stile("trace", "--via", via, road.TARGET6)
    assert ping.returncode == 0 and "2 sent, 2 received" in ping.stdout, ping.stdout + ping.stderr
    assert trace.returncode == 0 and "trace complete: reached" in trace.stdout, trace.stdout + trace.stderr
