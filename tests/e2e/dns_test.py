"""`[[dns]]`: clients that ask DNS are answered from what the server itself knows and asks, as far as the policy lets them."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import processes
import pytest
from name_server import SERVER_FAILURE, SILENCE, NameServer
from networks import Lab, Namespace
from processes import stile, wait_until
from server import Server

HOST, HOST_SIX, CLIENT, STRANGER = "10.80.0.1", "fd00:80::1", "10.80.0.2", "10.80.1.2"
CONFIGURATION = f"""
[[listen]]
address = "127.0.0.1:PORT"
[[dns]]
address = "{HOST}"
[[dns]]
address = "[{HOST_SIX}]:5353"
[[resolver]]
servers = ["127.0.0.2"]
[[resolver]]
suffixes = ["corp.example"]
servers = ["127.0.0.3"]
[names.hosts]
"intra.example" = ["10.1.2.3", "fd00::1:3"]
[policy]
rules = '''
no:    deny  anyone to resolve secret.example, *.secret.example
names: allow anyone from 10.80.0.0/24, fd00:80::/64 to resolve any, private
'''
"""


class Site:
    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self.client, self.host = lab.host("client"), lab.host("host")
        lab.cable(self.client, [f"{CLIENT}/16", f"{STRANGER}/16", "fd00:80::2/64"], self.host, [f"{HOST}/16", f"{HOST_SIX}/64"])
        with self.host.inside():
            self.rest = stack.enter_context(
                closing(
                    NameServer(
                        "127.0.0.2",
                        {
                            "www.example.com": ["93.184.216.34", "2606:2800:220::1"],
                            "four.example.com": ["93.184.216.35"],
                            "34.216.184.93.in-addr.arpa": ["www.example.com"],
                            "inside.example.com": ["127.0.0.1", "169.254.169.254"],
                            "broken.example.com": SERVER_FAILURE,
                            "silent.example.com": SILENCE,
                        },
                    )
                )
            )
            self.corp = stack.enter_context(closing(NameServer("127.0.0.3", {"db.corp.example": ["10.7.7.7"]})))

    def dig(self, *words: object) -> tuple[str, list[str]]:
        """What it is answered: the status, and the records' values."""
        command = ["dig", "+tries=1", "+time=20", "+noedns", *words]
        said = processes.run(*self.client.prefix(), *command).stdout
        status = said.split("status: ", 1)[1].split(",", 1)[0]
        answers = said.split(";; ANSWER SECTION:\n", 1)
        lines = answers[1].split("\n\n", 1)[0].splitlines() if len(answers) == 2 else []
        return status, [line.split()[-1] for line in lines]


@pytest.fixture
def here(lab: Lab) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(lab, stack)


@pytest.fixture
def server(here: Site, serve) -> Server:
    return serve(config=CONFIGURATION, namespace=here.host)


@pytest.mark.parametrize("way", [[f"@{HOST}"], [f"@{HOST}", "+tcp"], [f"@{HOST_SIX}", "-p", "5353"], [f"@{HOST_SIX}", "-p", "5353", "+tcp"]])
def test_names_and_addresses(here: Site, server: Server, way: list[str]) -> None:
    assert "answering DNS at 10.80.0.1:53\n" in server.errors()
    for question, answer in (
        (["www.example.com", "A"], ("NOERROR", ["93.184.216.34"])),
        (["WWW.Example.COM", "AAAA"], ("NOERROR", ["2606:2800:220::1"])),
        (["four.example.com", "AAAA"], ("NOERROR", [])),
        (["-x", "93.184.216.34"], ("NOERROR", ["www.example.com."])),
        (["intra.example", "A"], ("NOERROR", ["10.1.2.3"])),
        (["intra.example", "AAAA"], ("NOERROR", ["fd00::1:3"])),
        (["db.corp.example", "A"], ("NOERROR", ["10.7.7.7"])),
        (["nobody.example.com", "A"], ("NXDOMAIN", [])),
        (["x.invalid", "A"], ("NXDOMAIN", [])),
        (["www.example.com", "MX"], ("NOTIMP", [])),
        (["www.example.com", "CH", "A"], ("NOTIMP", [])),
    ):
        assert here.dig(*way, *question) == answer
    assert {name for name, _ in here.corp.asked} == {"db.corp.example"}
    assert server.records() == []


def test_what_was_asked_before_is_known(here: Site, server: Server) -> None:
    for _ in range(3):
        assert here.dig(f"@{HOST}", "www.example.com", "A")[1] == ["93.184.216.34"]
    assert len([name for name, kind in here.rest.asked if kind == 1]) == 1


def test_the_policy_says_who_may_ask_what(here: Site, server: Server) -> None:
    assert here.dig(f"@{HOST}", "a.secret.example", "A") == ("REFUSED", [])
    denied = server.wait_for_record(event="denied", target="a.secret.example:0")
    assert (denied["protocol"], denied["command"], denied["rule"], denied["listener"]) == ("dns", "resolve", "no", "dns")
    assert here.dig(f"@{HOST}", "-b", STRANGER, "www.example.com", "A") == ("REFUSED", [])
    assert here.dig(f"@{HOST}", "-b", STRANGER, "-x", "93.184.216.34") == ("REFUSED", [])
    assert server.wait_for_record(event="denied", command="resolve-ptr")["client"] == f"{STRANGER}:0"
    assert here.rest.asked == []
    # Addresses that no rule opens are not told: a name of outside must not lead inside (DNS rebinding).
    assert here.dig(f"@{HOST}", "inside.example.com", "A") == ("REFUSED", [])


def test_many_questions_in_one_stream(here: Site, server: Server) -> None:
    names = [f"{label}.example.com" for label in ("www", "nobody", "four", "www")]
    message = b""
    for number, name in enumerate(names):
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        question = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
        message += struct.pack("!H", len(question)) + question
    for pieces in ([message], [message[:1], message[1:40], message[40:]], [bytes([octet]) for octet in message]):
        with here.client.inside(), socket.create_connection((HOST, 53), 20) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                stream.sendall(piece)
            with stream.makefile("rb") as answers:
                told = []
                for _ in names:
                    answer = answers.read(struct.unpack("!H", answers.read(2))[0])
                    number, flags, _, count = struct.unpack("!HHHH", answer[:8])
                    told.append((number, flags & 15, count))
            assert told == [(0, 0, 1), (1, 3, 0), (2, 0, 1), (3, 0, 1)]


def test_what_is_no_question_is_not_answered(here: Site, server: Server) -> None:
    with here.client.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.connect((HOST, 53))
        for junk in (b"", b"\0", bytes(11), b"\0\0\x80\0" + bytes(8), bytes(4096)):
            asking.send(junk)
        asking.send(bytes(12))  # no question in it: a format error
        assert asking.recv(100)[3] & 15 == 1
    with here.client.inside(), socket.create_connection((HOST, 53), 20) as stream:
        stream.sendall(b"\xff\xff" + bytes(100))
        assert stream.recv(100) == b""
    assert here.dig(f"@{HOST}", "www.example.com", "A")[0] == "NOERROR"


def test_an_end_with_questions_under_way(here: Site, server: Server) -> None:
    with here.client.inside(), ExitStack() as stack:
        for _ in range(5):
            asking = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stream = stack.enter_context(socket.create_connection((HOST, 53), 20))
            question = bytes.fromhex("00010100000100000000000006") + b"silent\x07example\x03com\0\0\x01\0\x01"
            asking.sendto(question, (HOST, 53))
            stream.sendall(struct.pack("!H", len(question)) + question)
        wait_until("they are asked", lambda: bool(here.rest.asked))
        server.finish()


def test_who_may_ask_has_to_be_said(tmp_path: Path) -> None:
    for address, rules, code in (
        ("192.0.2.1", "", 78),
        ("192.0.2.1", "[policy]\nrules = 'allow anyone to resolve any'", 78),
        ("192.0.2.1", "[policy]\nrules = 'allow anyone from 192.0.2.0/24 to resolve any'", 1),
    ):
        (tmp_path / "stile.toml").write_text(f"[[dns]]\naddress = '{address}'\n[[listen]]\naddress = '127.0.0.1:0'\n{rules}\n")
        done = stile("serve", "--config", tmp_path / "stile.toml")
        assert done.returncode == code
        assert "cannot answer DNS at 192.0.2.1:53" in done.stderr
    (tmp_path / "stile.toml").write_text("[[dns]]\naddress = '127.0.0.1'\n[[dns]]\naddress = '127.0.0.1:53'\n")
    assert "dns.address: 127.0.0.1:53 is named twice" in stile("check", "--config", tmp_path / "stile.toml").stderr
