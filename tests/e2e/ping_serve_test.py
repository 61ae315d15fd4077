"""`stile ping` and `stile trace` through a real `stile serve`, over routers (protocol reference, 9.2)."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import town
from probes import background
from processes import BINARY, run
from server import Server
from town import TARGET, TARGET6, UNUSED, Town

CONFIG = f"""
[[listen]]
address = "{town.PROXY[0]}:{town.PROXY[1]}"

[policy]
rules = '''
none: deny  anyone to ping 10.99.40.0/24
lab:  allow anyone from 10.99.1.0/24 to ping private
'''
"""
VIA = f"socks5h://{town.PROXY[0]}:{town.PROXY[1]}"
ROUTER, ROUTER6 = "10.99.2.2", "fd99:2::2"


@pytest.fixture(scope="module")
def shared_town(namespaces: None) -> Iterator[Town]:
    with closing(Town()) as built:
        yield built


@pytest.fixture
def place(shared_town: Town, serve: Callable[..., Server]) -> Town:
    serve(config=CONFIG, host=town.PROXY[0], port=town.PROXY[1], namespace=shared_town.proxy)
    return shared_town


def stile_in(place: Town, command: str, *arguments: object, via: str = VIA):
    return run(*place.client.prefix(), BINARY, command, "--via", via, *arguments)


@pytest.mark.parametrize("host", [TARGET, TARGET6, "target.example"])
def test_ping_counts(place: Town, host: str) -> None:
    result = stile_in(place, "ping", "-c", 2, host)
    assert result.returncode == 0 and result.stderr == ""
    address = TARGET6 if ":" in host else TARGET
    lines = result.stdout.splitlines()
    assert lines[0] == f"PING {host} ({address}) 56 data bytes"
    for sequence, line in enumerate(lines[1:3], 1):
        assert re.fullmatch(rf"64 bytes from {address}: icmp_seq={sequence} ttl=63 time=\d+\.\d{{3}} ms", line), line
    assert f"--- {host} ping statistics ---" in lines
    assert re.search(r"^[23] sent, [23] received, 0\.0% loss|^3 sent, 2 received", result.stdout, re.MULTILINE)


def test_ping_resolved_by_the_client(place: Town) -> None:
    place.client.file("hosts", f"{TARGET} only-here.example\n")
    result = stile_in(place, "ping", "-c", 1, "only-here.example", via=VIA.replace("socks5h", "socks5"))
    assert result.returncode == 0 and f"PING {TARGET} ({TARGET})" in result.stdout
    assert stile_in(place, "ping", "-c", 1, "only-here.example").returncode == 1, "the proxy does not know the name"


def test_ping_until_interrupted(place: Town) -> None:
    with background("ping", "--via", VIA, TARGET, namespace=place.client) as client:
        client.wait_for(b"icmp_seq=2 ttl=")
        client.interrupt()
        code, out, err = client.finish()
    assert code == 0 and err == ""
    assert re.search(r"^\d sent, \d received, .* ms\nrtt min/avg/max/mdev = .* ms\n\Z", out, re.MULTILINE), out


def test_ping_nobody(place: Town) -> None:
    result = stile_in(place, "ping", "-v", "-c", 1, UNUSED)
    assert result.returncode == 1
    assert f"icmp_seq=1 from {ROUTER}: host unreachable [3/1]" in result.stdout
    assert "sends from 10.99.2.1" in result.stderr


def test_ping_denied(place: Town) -> None:
    result = stile_in(place, "ping", "-c", 1, town.PROHIBITED)
    assert result.returncode == 1 and result.stdout == ""
    assert "its rules do not allow it" in result.stderr


@pytest.mark.parametrize(("host", "router"), [(TARGET, ROUTER), (TARGET6, ROUTER6)])
def test_trace_shows_each_hop(place: Town, host: str, router: str) -> None:
    result = stile_in(place, "trace", "-n", host)
    assert result.returncode == 0 and result.stderr == ""
    time = r"\d+\.\d{3} ms"
    start, first, second, end = result.stdout.splitlines()
    assert start == f"traceroute to {host} ({host}), 30 hops max, 60 byte packets"
    assert re.fullmatch(rf" 1  {router} \({router}\)  {time}  {time}  {time}", first), first
    assert re.fullmatch(rf" 2  {host} \({host}\)  {time}  {time}  {time}", second), second
    assert end == "trace complete: reached"


def test_trace_interrupted(place: Town) -> None:
    """Nobody answers behind the router: each hop takes its time, and an interrupt ends the run in order."""
    with background("trace", "-n", "--via", VIA, UNUSED, namespace=place.client) as client:
        client.wait_for(b"traceroute to")
        client.interrupt()
        code, out, _ = client.finish()
    assert code == 1 and re.search(r"^trace complete: (ended|unreachable)\n\Z", out, re.MULTILINE), out
