"""traceroute, tracepath and ping under `stile run`: the way that the proxy finds, over real routers."""

import re
from collections.abc import Iterator
from contextlib import closing

import processes
import pytest
import road
from fenced import NOBODY
from processes import BINARY, stile
from road import Road
from traced import hops

if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without private networks", allow_module_level=True)

# Datagrams are carried as well: what is no probe of a trace goes on.
CONFIG = road.OPEN_CONFIG.replace("to ping", "to ping udp tcp").replace(", [fd95::/16], [fd94::/16]", ":1-65535, [fd95::/16]:1-65535")
HIDING = CONFIG.replace("probes:", "hidden: deny anyone to ping 10.95.4.2\nprobes:")


@pytest.fixture(scope="module")
def shared_road(namespaces: None) -> Iterator[Road]:
    with closing(Road()) as built:
        yield built


def proxy_on(place: Road, serve, config: str = CONFIG):
    return serve(config=config, host=road.PROXY[0], port=road.PROXY[1], namespace=place.proxy)


def run(place: Road, *command: object, user: str = "nobody", scheme: str = "socks5h", **options):
    as_user = NOBODY if user == "nobody" else []
    via = f"{scheme}://{road.PROXY[0]}:{road.PROXY[1]}"
    words = [*place.client.prefix(), *as_user, str(BINARY), "run", "--via", via, "--"]
    return processes.run(*words, *command, environment={"PATH": "/usr/bin:/bin:/usr/sbin"}, **options)


@pytest.mark.parametrize("user", ["nobody", "root"])
@pytest.mark.parametrize("way", [[], ["-I"], ["-N", "1"]])
def test_traceroute(shared_road: Road, serve, way: list[str], user: str) -> None:
    server = proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-n", "-w", 20, *way, road.TARGET, user=user)
    assert done.returncode == 0
    assert hops(done.stdout, lossy=way == ["-I"]) == road.HOPS
    record = server.wait_for_record(command="traceroute", event="session.end")
    assert record["target"] == f"{road.TARGET}:0"


@pytest.mark.parametrize("user", ["nobody", "root"])
@pytest.mark.parametrize("way", [[], ["-I"]])
def test_over_ipv6(shared_road: Road, serve, way: list[str], user: str) -> None:
    proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-6", "-n", "-w", 20, *way, road.TARGET6, user=user)
    assert hops(done.stdout, lossy=way == ["-I"]) == road.HOPS6


def test_by_name(shared_road: Road, serve) -> None:
    """The address that stands for the name is shown as the target, and answers as it."""
    server = proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-n", "-w", 20, "target.example")
    *routers, target = hops(done.stdout)
    assert routers == road.HOPS[:-1]
    assert target.startswith("198.18.")
    assert server.wait_for_record(command="traceroute")["target"] == "target.example:0"


def test_addresses_of_the_other_family_cannot_be_shown(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-4", "-n", "-w", 8, "target6.example")
    assert hops(done.stdout)[:3] == ["* * *"] * 3
    assert hops(done.stdout)[3].startswith("198.18.")


@pytest.mark.parametrize(
    ("host", "mark"),
    [(road.HOST_UNREACHABLE, "!H"), (road.PROHIBITED, "!X"), (road.NET_UNREACHABLE, "!N"), (road.PROTOCOL_UNREACHABLE, "!P")],
)
def test_it_ends_where_the_proxys_does(shared_road: Road, serve, host: str, mark: str) -> None:
    proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-n", "-w", 20, host)
    assert hops(done.stdout)[:2] == road.HOPS[:2]
    assert hops(done.stdout)[-1] == f"{road.HOPS[2]} {mark} {mark} {mark}"


def test_a_hop_that_the_policy_hides(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve, HIDING)
    done = run(shared_road, "traceroute", "-n", "-w", 5, road.TARGET)
    assert hops(done.stdout) == [*road.HOPS[:2], "* * *", road.TARGET]
    assert road.HOPS[2] not in done.stdout


def test_a_host_that_the_policy_denies(shared_road: Road, serve) -> None:
    """Of others it is not the end."""
    proxy_on(shared_road, serve)
    script = f"traceroute -n -w 1 -m 2 192.0.2.1; traceroute -n -w 20 {road.TARGET}"
    done = run(shared_road, "sh", "-c", script)
    assert done.stdout.count("* * *") == 2
    assert hops(done.stdout)[-4:] == road.HOPS


def test_tracepath(shared_road: Road, serve) -> None:
    proxy_on(shared_road, serve)
    done = run(shared_road, "tracepath", "-n", road.TARGET)
    for number, host in enumerate(road.HOPS, 1):
        assert re.search(rf"^ ?{number}:  {re.escape(host)} ", done.stdout, re.MULTILINE)
    assert "Resume: pmtu" in done.stdout


@pytest.mark.parametrize("number", [1, 3])
def test_ping_that_goes_only_so_far(shared_road: Road, serve, number: int) -> None:
    proxy_on(shared_road, serve)
    done = run(shared_road, "ping", "-n", "-c", 1, "-W", 20, "-t", number, road.TARGET)
    assert f"From {road.HOPS[number - 1]} icmp_seq=1 Time to live exceeded" in done.stdout


def test_ping_goes_on_as_ever(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    done = run(shared_road, "ping", "-n", "-c", 1, "-W", 20, road.TARGET)
    assert "1 received" in done.stdout
    assert {record["command"] for record in server.records()} <= {"ping"}


def test_a_proxy_that_cannot_trace(shared_road: Road, serve) -> None:
    """Nothing is answered in its place."""
    proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-n", "-w", 1, "-m", 2, road.TARGET, scheme="http")
    assert hops(done.stdout) == ["* * *"] * 2


def test_loopback_is_this_network(shared_road: Road, serve) -> None:
    server = proxy_on(shared_road, serve)
    done = run(shared_road, "traceroute", "-n", "-w", 20, "127.0.0.1")
    assert hops(done.stdout) == ["127.0.0.1"]
    assert server.records() == []
