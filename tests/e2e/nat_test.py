"""The server as in a container: inside addresses behind a router that translates them.

    client ── 203.0.113.0/24 ── router ── 172.30.0.0/24 ── server
    target ── 198.51.100.0/24 ──┘

The router maps the server's ports one to one from its own address to the server's, and hides the server behind that
address on the way out. Without `advertise` replies name the inside address; with it, UDP and BIND work.
"""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import raw_socks
from datagrams import DatagramEcho
from networks import Lab
from origins import Origin, echo
from survey import asked, expect

OUTSIDE, INSIDE, TARGET, CLIENT = "203.0.113.7", "172.30.0.2", "198.51.100.30", "203.0.113.20"
CONFIG = f"""
[[listen]]
address = "{INSIDE}:1080"
[udp]
ports = "40000-40009"
UDP
[bind]
ports = "41000-41009"
BIND
[policy]
rules = '''
lab: allow anyone from 203.0.113.0/24 to tcp udp bind 198.51.100.0/24, 203.0.113.0/24
'''
"""
RULES = f"""
add table ip lab
add chain ip lab in {{ type nat hook prerouting priority dstnat; }}
add chain ip lab out {{ type nat hook postrouting priority srcnat; }}
add rule ip lab in ip daddr {OUTSIDE} tcp dport {{ 1080, 41000-41009 }} dnat to {INSIDE}
add rule ip lab in ip daddr {OUTSIDE} udp dport 40000-40009 dnat to {INSIDE}
add rule ip lab out ip saddr {INSIDE} snat to {OUTSIDE}
"""


class Container:
    def __init__(self, lab: Lab) -> None:
        self.client, self.router, self.server, self.target = map(lab.host, ("C", "N", "S", "T"))
        lab.cable(self.client, [f"{CLIENT}/24"], self.router, [f"{OUTSIDE}/24"])
        lab.cable(self.target, [f"{TARGET}/24"], self.router, ["198.51.100.1/24"])
        lab.cable(self.server, [f"{INSIDE}/24"], self.router, ["172.30.0.1/24"])
        for host, gateway in ((self.client, OUTSIDE), (self.target, "198.51.100.1"), (self.server, "172.30.0.1")):
            host.run("ip", "route", "add", "default", "via", gateway)
        self.router.set("net.ipv4.ip_forward", 1)
        self.router.run("nft", RULES)

    def serve(self, serve, advertise: str):
        line = f'advertise = "{advertise}"' if advertise else ""
        config = CONFIG.replace("UDP", line).replace("BIND", line)
        return serve(config=config, host=INSIDE, port=1080, namespace=self.server)

    def ask(self, octets: bytes) -> tuple[socket.socket, raw_socks.Reply]:
        """What the client hears, through the router."""
        with self.client.inside():
            return raw_socks.ask((OUTSIDE, 1080), octets)


@pytest.fixture
def container(lab: Lab) -> Iterator[Container]:
    yield Container(lab)


def test_with_advertise_everything_works_from_outside(serve, container: Container) -> None:
    server = container.serve(serve, OUTSIDE)
    with container.target.inside():
        far, datagrams = Origin(echo, TARGET), DatagramEcho(TARGET)
    with closing(far):
        client, reply = container.ask(raw_socks.request(TARGET, far.port) + b"tcp")
        assert (reply.code, reply.host) == (0, OUTSIDE), "no inside address leaks"
        assert raw_socks.receive(client, 3) == b"tcp"
        assert far.peers[0] == (OUTSIDE, reply.port)
        client.close()

        control, reply = container.ask(raw_socks.request("0.0.0.0", 0, 3))
        assert (reply.code, reply.host) == (0, OUTSIDE) and 40000 <= reply.port <= 40009
        with container.client.inside():
            sender = socket.socket(type=socket.SOCK_DGRAM)
        with sender:
            sender.settimeout(10)
            sender.connect((reply.host, reply.port))
            datagram = bytes(3) + raw_socks.address(TARGET, datagrams.port) + b"udp"
            sender.send(datagram)
            assert sender.recv(2048) == datagram
        assert datagrams.peers[0][0] == OUTSIDE
        with container.target.inside():
            datagrams.close()
        control.close()

        client, first = container.ask(raw_socks.request(TARGET, 0, 2))
        assert (first.code, first.host) == (0, OUTSIDE) and 41000 <= first.port <= 41009
        with container.target.inside():
            peer = raw_socks.dial((first.host, first.port))
        second = raw_socks.receive_reply(client)
        assert (second.code, second.host, second.port) == (0, *peer.getsockname())
        peer.sendall(b"across")
        assert raw_socks.receive(client, 6) == b"across"
        client.sendall(b"and back")
        assert raw_socks.receive(peer, 8) == b"and back"
        peer.close()
        client.close()
    assert server.wait_for_record(event="session.end", command="bind")["client"].startswith(CLIENT)


def test_without_advertise_the_inside_address_shows(serve, container: Container) -> None:
    container.serve(serve, "")
    with container.target.inside():
        far = Origin(echo, TARGET)
    with closing(far):
        for command in (1, 2, 3):
            destination = (TARGET, far.port) if command == 1 else (TARGET, 0)
            connection, reply = container.ask(raw_socks.request(*destination, command))
            assert (reply.code, reply.host) == (0, INSIDE), command
            connection.close()


def test_the_advertised_address_is_this_host_itself(serve, container: Container) -> None:
    """A rule on its network does not open it: it is of the class `self`, which only its own address names."""
    container.serve(serve, OUTSIDE)
    assert container.ask(raw_socks.request(OUTSIDE, 9))[1].code == 2
    assert container.ask(raw_socks.request(CLIENT, 9))[1].code == 5, "its neighbours are reached"


def test_a_used_up_range_is_told(serve, container: Container) -> None:
    container.serve(serve, OUTSIDE)
    held = [container.ask(raw_socks.request("0.0.0.0", 0, 3)) for _ in range(10)]
    assert sorted(reply.port for _, reply in held) == list(range(40000, 40010)), "each port once"
    assert container.ask(raw_socks.request("0.0.0.0", 0, 3))[1].code == 1
    for connection, _ in held:
        connection.close()


def test_a_survey_tells_which_address_is_of_the_inside(serve, container: Container) -> None:
    proxy = f"socks5h://{OUTSIDE}:1080"
    container.serve(serve, "")
    answers = asked(proxy, host=container.client)
    expect(answers, CONNECT="yes", UDP_ASSOCIATE="yes", datagrams="not tested", told_in_replies="no", refused_connection="yes")
    said, why = answers["relay's address"]
    assert said == "no" and why.startswith(f"{INSIDE}:") and why.endswith("an address of the inside (private)")
    assert answers["outward address"] == ("yes", OUTSIDE)


def test_a_survey_of_what_works_behind_nat(serve, container: Container) -> None:
    container.serve(serve, OUTSIDE)
    answers = asked(f"socks5h://{OUTSIDE}:1080", host=container.client)
    expect(answers, CONNECT="yes", BIND="yes", UDP_ASSOCIATE="yes", datagrams="yes", sender="yes", told_in_replies="yes")
    assert answers["relay's address"][0] == "yes"


def test_a_survey_from_behind_nat(serve, container: Container) -> None:
    """The proxy cannot connect to who asks: that is no fault of its own, and a named target shows what it can."""
    container.serve(serve, OUTSIDE)
    container.router.run("nft", "add chain ip lab guard { type filter hook forward priority 0; }")
    container.router.run("nft", f"add rule ip lab guard ip saddr {INSIDE} ip daddr {CLIENT} ct state new reject")
    with container.target.inside():
        far = Origin(echo, TARGET)
    with closing(far):
        words = ["--target", f"{TARGET}:{far.port}", f"socks5h://{OUTSIDE}:1080"]
        answers = asked(*words, host=container.client)
    expect(answers, CONNECT="yes", BIND="yes", refused_connection="not tested", outward_address="not tested")
    assert "a listener of this host: " in answers["CONNECT"][1] and f"{TARGET}:{far.port}: granted" in answers["CONNECT"][1]
