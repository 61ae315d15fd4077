"""Who is asked for which name, and what stands above it: [[resolver]] and [names], against dnsmasq and against servers
that misbehave as told. Every server here listens on a port of its own on loopback."""

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import raw_socks
from name_server import REFUSED, SERVER_FAILURE, SILENCE, NameServer, StreamNameServer
from origins import echo
from processes import Daemon, free_port, stile, wait_until
from server import Server

RESOLVE, RESOLVE_PTR = 0xF0, 0xF1
LISTENER = '[[listen]]\naddress = "127.0.0.1:PORT"\n'
DNSMASQ = "/usr/sbin/dnsmasq"

needs_dnsmasq = pytest.mark.skipif(shutil.which(DNSMASQ) is None, reason="dnsmasq is missing")


class Dnsmasq:
    """One of its own port that logs what it is asked."""

    def __init__(self, folder: Path, *records: str, port: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.port = port or free_port()
        self.place = f"127.0.0.1:{self.port}"
        self.daemon = Daemon(
            folder, DNSMASQ, "--keep-in-foreground", "--no-hosts", "--no-resolv", "--bind-interfaces", "--listen-address=127.0.0.1",
            "--conf-file=", "--pid-file=", "--user=", "--log-facility=-", "--log-queries", "--local=/#/", f"--port={self.port}", *records,
        )  # fmt: skip
        self.daemon.wait_for_port("127.0.0.1", self.port)

    def asked(self, name: str) -> int:
        """How often, both families and PTR counted together."""
        text = self.daemon.log.read_text(errors="replace")
        return sum(f"] {name} from " in line for line in text.splitlines() if "query[" in line)

    def close(self) -> None:
        self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.close()


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Callable[..., Dnsmasq]]:
    with ExitStack() as stack:
        yield lambda name, *records, **options: stack.enter_context(closing(Dnsmasq(tmp_path / name, *records, **options)))


@pytest.fixture
def odd() -> Iterator[Callable[..., NameServer]]:
    """Servers of one answer; `where` is where to ask them."""
    with ExitStack() as stack:

        def make(names: dict, kind: type[NameServer] = NameServer, port: int | None = None) -> NameServer:
            port = port or free_port()
            server = stack.enter_context(closing(kind("127.0.0.1", names, port)))
            server.place = f"127.0.0.1:{port}"
            return server

        yield make


def resolver(*servers: str, suffixes: str = "", more: str = "") -> str:
    places = ", ".join(f'"{place}"' for place in servers)
    return f"[[resolver]]\nservers = [{places}]\n" + (f"suffixes = [{suffixes}]\n" if suffixes else "") + more


def resolved(server: Server, name: str) -> str:
    """The first address of a name, or nothing."""
    reply = raw_socks.ask(server.proxy, raw_socks.request(name, 0, RESOLVE))[1]
    return reply.host if reply.code == 0 else ""


def name_of(server: Server, address: str) -> str:
    connection = raw_socks.dial(server.proxy)
    connection.sendall(raw_socks.GREETING + raw_socks.request(address, 0, RESOLVE_PTR))
    assert raw_socks.receive(connection, 2) == raw_socks.METHOD_NONE
    head = raw_socks.receive(connection, 5)
    if head[1] != 0:
        return ""
    assert head[3] == 3, head
    return raw_socks.receive(connection, head[4]).decode()


@needs_dnsmasq
def test_names_are_split_by_suffix(serve, dns) -> None:
    corp = dns("corp", "--host-record=db.corp.example,10.1.2.3", "--host-record=www.example,10.9.9.9")
    lab = dns("lab", "--host-record=db.lab.corp.example,10.2.2.2")
    outside = dns("outside", "--host-record=www.example,1.2.3.4", "--host-record=db.corp.example,1.9.9.9", "--host-record=notcorp.example,1.2.3.5",
                  "--ptr-record=3.2.1.11.in-addr.arpa,far.example")  # fmt: skip
    tables = (
        resolver(corp.place, suffixes='"corp.example", "10.in-addr.arpa"')
        + resolver(outside.place)
        + resolver(lab.place, suffixes='"lab.corp.example"')
    )
    server = serve(config='sandbox = "required"\n' + LISTENER + tables)
    assert resolved(server, "db.corp.example") == "10.1.2.3"
    assert resolved(server, "DB.Corp.Example.") == "10.1.2.3"
    assert resolved(server, "db.lab.corp.example") == "10.2.2.2"
    assert resolved(server, "www.example") == "1.2.3.4"
    assert resolved(server, "notcorp.example") == "1.2.3.5"
    assert resolved(server, "nobody.corp.example") == ""
    assert name_of(server, "10.1.2.3") == "db.corp.example"
    assert name_of(server, "11.1.2.3") == "far.example"
    assert corp.asked("www.example") == 0 and outside.asked("db.corp.example") == 0
    assert outside.asked("nobody.corp.example") == 0, "what is unknown inside is not told outside"
    assert outside.asked("3.2.1.10.in-addr.arpa") == 0 and corp.asked("3.2.1.11.in-addr.arpa") == 0


@needs_dnsmasq
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_dead_server_is_followed_by_the_next(serve, dns, how: str) -> None:
    records = [f"--host-record=n{i}.example,10.0.0.{i + 1}" for i in range(8)]
    first, second = dns("first", *records), dns("second", *records)
    server = serve("--workers", 1, config=LISTENER + resolver(first.place, second.place, more='timeout = "500ms"\n'))
    assert resolved(server, "n0.example") == "10.0.0.1"
    assert first.asked("n0.example") == 2 and second.asked("n0.example") == 0
    first.daemon.process.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    for i in range(1, 8):
        assert resolved(server, f"n{i}.example") == f"10.0.0.{i + 1}"
        assert second.asked(f"n{i}.example") == 2
    # What reached its socket meanwhile is answered when it goes on: the first question that met its silence, no other.
    if how == "stopped":
        first.daemon.process.send_signal(signal.SIGCONT)
        wait_until("the first goes on", lambda: first.asked("n1.example") == 2)
        assert [first.asked(f"n{i}.example") for i in range(2, 8)] == [0] * 6


@pytest.mark.parametrize("code", [SERVER_FAILURE, REFUSED, SILENCE])
def test_a_failing_server_is_followed_by_the_next(serve, odd, code: int) -> None:
    first = odd({"a.example": code})
    second = odd({"a.example": ["10.0.0.1"]})
    third = odd({"a.example": ["10.0.0.2"]})
    server = serve(config=LISTENER + resolver(first.place, second.place, third.place, more='timeout = "300ms"\n'))
    assert resolved(server, "a.example") == "10.0.0.1"
    assert sorted(kind for _, kind in first.asked) == [1, 28]
    assert not third.asked


def test_a_dead_resolver_holds_up_nothing_else(serve, odd, origin) -> None:
    dead = odd(dict.fromkeys((f"n{i}.corp.example" for i in range(40)), SILENCE))
    outside, far = odd({"www.example": ["127.0.0.1"]}), origin(echo)
    server = serve("--workers", 1, config=LISTENER + resolver(dead.place, suffixes='"corp.example"') + resolver(outside.place))
    tunnel = raw_socks.tunnel(server.proxy, far.host, far.port)
    waiting = []
    for i in range(40):
        waiting.append(raw_socks.dial(server.proxy))
        waiting[-1].sendall(raw_socks.GREETING + raw_socks.request(f"n{i}.corp.example", 80))
    wait_until("all of them are asked", lambda: len(dead.asked) >= 80)
    assert resolved(server, "www.example") == "127.0.0.1"
    assert raw_socks.tunnel(server.proxy, far.host, far.port)
    tunnel.sendall(b"alive")
    assert raw_socks.receive(tunnel, 5) == b"alive"
    for connection in waiting:
        connection.setblocking(False)
        assert connection.recv(2) == raw_socks.METHOD_NONE
        with pytest.raises(BlockingIOError):  # still waiting
            connection.recv(1)


def test_by_tcp_alone(serve, odd) -> None:
    port = free_port()
    stream, datagrams = odd({"a.example": ["10.0.0.1"], "2.0.0.10.in-addr.arpa": ["b.example"]}, StreamNameServer, port), odd({}, port=port)
    server = serve(config='sandbox = "required"\n' + LISTENER + resolver(stream.place, more='transport = "tcp"\n'))
    assert resolved(server, "a.example") == "10.0.0.1"
    assert name_of(server, "10.0.0.2") == "b.example"
    assert len(stream.asked) == 3 and not datagrams.asked


@needs_dnsmasq
def test_by_tcp_from_a_real_server(serve, dns) -> None:
    one = dns("one", *(f"--host-record=n{i}.example,10.0.0.{i + 1}" for i in range(20)))
    server = serve("--workers", 1, config=LISTENER + resolver(one.place, more='transport = "tcp"\n'))
    found: dict[int, str] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: resolved(server, f"n{i}.example")})) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: f"10.0.0.{i + 1}" for i in range(20)}


def test_an_answer_that_does_not_fit_comes_by_tcp(serve, odd) -> None:
    port, names = free_port(), {"a.example": ["10.0.0.1"]}
    stream, datagrams = odd(names, StreamNameServer, port), odd(names, port=port)
    datagrams.cut = True
    server = serve(config='sandbox = "required"\n' + LISTENER + resolver(stream.place))
    assert resolved(server, "a.example") == "10.0.0.1"
    assert len(datagrams.asked) == 2 and len(stream.asked) == 2


def test_a_cut_answer_without_tcp_is_followed_by_the_next_server(serve, odd) -> None:
    first, second = odd({"a.example": ["10.0.0.1"]}), odd({"a.example": ["10.0.0.2"]})
    first.cut = True
    server = serve(config=LISTENER + resolver(first.place, second.place))
    assert resolved(server, "a.example") == "10.0.0.2"


def test_hosts_win_and_are_decided_by_address(serve, odd, origin) -> None:
    names = odd({"intra.corp.example": ["10.9.9.9"], "other.example": ["127.0.0.1"], "forged.example": ["10.9.9.9"]})
    far = origin(echo)
    policy = f"""[policy]
rules = '''
intra: allow anyone from 127.0.0.1 to tcp resolve intra.corp.example, 127.0.0.0/8
seen:  allow anyone from 127.0.0.1 to resolve 10.1.0.0/16
'''
[names.hosts]
"intra.corp.example" = ["10.1.2.3"]
"near.example" = "127.0.0.1"
"printer.local" = "10.1.0.9"
"meta.example" = "169.254.169.254"
"""
    server = serve(config=LISTENER + resolver(names.place) + policy)
    assert resolved(server, "intra.corp.example") == "10.1.2.3"
    assert resolved(server, "printer.local") == "10.1.0.9", "a reserved name that the operator knows"
    assert name_of(server, "10.1.2.3") == "intra.corp.example"
    assert raw_socks.tunnel(server.proxy, "near.example", far.port)
    assert raw_socks.ask(server.proxy, raw_socks.request("meta.example", 80))[1].code == 2, "as any other address"
    assert not [asked for asked, _ in names.asked if asked != "other.example"]
    assert resolved(server, "localhost") == "127.0.0.1"


def test_local_is_asked_where_it_is_named(serve, odd) -> None:
    office = odd({"printer.local": ["10.0.0.1"], "x.onion": ["10.0.0.2"]})
    rest = odd({"printer.local": ["1.2.3.4"], "x.onion": ["1.2.3.4"]})
    plain = serve(config=LISTENER + resolver(rest.place))
    assert resolved(plain, "printer.local") == resolved(plain, "x.onion") == ""
    named = serve(config=LISTENER + resolver(rest.place) + resolver(office.place, suffixes='"local"'))
    assert resolved(named, "printer.local") == "10.0.0.1"
    assert resolved(named, "x.onion") == ""
    assert not rest.asked and {name for name, _ in office.asked} == {"printer.local"}


@needs_dnsmasq
def test_a_reload_changes_who_is_asked(serve, dns, odd, origin) -> None:
    before = dns("before", "--host-record=db.corp.example,10.1.1.1,3600")
    after = dns("after", "--host-record=db.corp.example,10.2.2.2,3600", "--host-record=slow.corp.example,10.2.2.3")
    outside = dns("outside", "--host-record=www.example,1.2.3.4,3600", "--host-record=near.example,127.0.0.1,3600")
    slow, far = odd({"slow.corp.example": SILENCE}), origin(echo)
    server = serve("--workers", 2, config=f'sandbox = "required"\n{LISTENER}[admin]\nsocket = "unix:{before.daemon.log.parent}/control"\n')
    text = server.config_file.read_text()

    def reload(tables: str) -> None:
        server.config_file.write_text(text + tables)
        assert stile("reload", "--config", server.config_file).returncode == 0

    rest = resolver(outside.place)
    reload(rest + resolver(before.place, suffixes='"corp.example"') + resolver(slow.place, suffixes='"slow.corp.example"'))
    tunnel = raw_socks.tunnel(server.proxy, "near.example", far.port)
    for _ in range(8):  # both workers know them then, most likely; what follows holds in any case
        assert resolved(server, "db.corp.example") == "10.1.1.1"
        assert resolved(server, "www.example") == "1.2.3.4"
    known = outside.asked("www.example")
    waiting = raw_socks.dial(server.proxy)
    waiting.sendall(raw_socks.GREETING + raw_socks.request("slow.corp.example", 0, RESOLVE))
    wait_until("it is asked", lambda: len(slow.asked) == 2)
    reload(rest + resolver(after.place, suffixes='"corp.example"') + '[names.hosts]\n"www.corp.example" = "10.3.3.3"\n')
    for _ in range(8):
        assert resolved(server, "db.corp.example") == "10.2.2.2", "an answer of before"
        assert resolved(server, "www.corp.example") == "10.3.3.3"
        assert resolved(server, "www.example") == "1.2.3.4"
    assert raw_socks.receive(waiting, 2) == raw_socks.METHOD_NONE
    assert raw_socks.receive_reply(waiting).host == "10.2.2.3", "an open question goes to the new servers"
    tunnel.sendall(b"alive")
    assert raw_socks.receive(tunnel, 5) == b"alive"
    assert known >= 2 and outside.asked("www.example") <= max(known, 4), "what is asked of the same as before is kept"
    assert server.process.poll() is None and "cannot" not in server.errors()


def test_explain_asks_as_the_server_would(odd, tmp_path: Path) -> None:
    corp = odd({"db.corp.example": ["10.1.2.3"]})
    file = tmp_path / "stile.toml"
    file.write_text(
        '[[listen]]\naddress = "127.0.0.1:1080"\n'
        + resolver(corp.place, suffixes='"corp.example"')
        + "[policy]\nrules = '''\ninside: allow anyone from 127.0.0.1 to 10.1.0.0/16:5432\n'''\n"
        + '[names.hosts]\n"near.example" = "10.1.9.9"\n'
    )
    for name, address in (("db.corp.example", "10.1.2.3"), ("near.example", "10.1.9.9")):
        shown = stile("explain", "--config", file, "--source", "127.0.0.1", "--target", f"{name}:5432")
        assert address in shown.stdout and "inside" in shown.stdout, shown
