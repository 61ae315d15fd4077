"""libstile: BIND, datagrams, names and pings; what never waits; and proxies that misbehave as told."""

import ctypes
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import raw_socks
import realm
from datagrams import DatagramEcho
from gssapi_test import config as gssapi_config
from libstile_test import LISTEN, RULES, answers, ca, inside_tls, loaded, url  # noqa: F401 (fixtures)
from origins import echo
from processes import free_port
from realm import Realm
from scripted_proxy import ScriptedProxy
from server import Server
from stile_library import (
    ARGUMENT, CANCELED, CLOSED, PROTECTION, PROTOCOL, PROXY_DOWN, PROXY_NAME, REFUSED, STATE, SYSTEM, TIMEOUT, TOO_LONG, UNSUPPORTED,
    Address, Failed, Library, Udp, adopted, failing, library,
)  # fmt: skip

DANTE = """logoutput: stderr
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bind connect udpassociate bindreply udpreply }}
"""


def start_dante(daemon: Callable, folder: Path) -> str:
    port = free_port()
    (folder / "danted.conf").write_text(DANTE.format(port=port))
    daemon("danted", "-f", folder / "danted.conf").wait_for_port("127.0.0.1", port)
    return f"socks5h://127.0.0.1:{port}"


def handle(value: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(value)


# --- BIND -----------------------------------------------------------------------------------------------------------


def listen(client: Library, host: str, port: int = 0) -> tuple[int, tuple[str, int]]:
    listener = client.on_client("listen", host.encode(), port)
    address = Address()
    assert library().stile_listener_address(handle(listener), *address.arguments()) == 0
    place = address.value()
    assert place
    return listener, place


def accept(listener: int, timeout: int = 20_000) -> tuple[socket.socket, tuple[str, int]]:
    address = Address()
    fd = Library.call("accept", handle(listener), timeout, *address.arguments())
    peer = address.value()
    assert peer
    return adopted(fd), peer


def round_trip(client: Library) -> None:
    """As active FTP does: the far end connects to where the proxy listens."""
    listener, place = listen(client, "127.0.0.1")
    with failing(TIMEOUT, errno=errno.ETIMEDOUT):
        accept(listener, 50)
    with socket.create_connection(place, 20) as far:
        near, peer = accept(listener)
        assert peer == far.getsockname()
        far.sendall(b"data of the server's")
        far.shutdown(socket.SHUT_WR)
        with near:
            assert raw_socks.receive_all(near) == b"data of the server's"
            near.sendall(b"seen")
        assert raw_socks.receive_all(far) == b"seen"
    with failing(STATE):
        accept(listener)
    library().stile_listener_close(handle(listener))


def test_bind(serve, origin) -> None:
    server, far = serve(), origin(echo)
    with Library(url(server)) as client, client.connect("127.0.0.1", far.port):
        round_trip(client)
        round_trip(client)


def test_bind_inside_tls_and_through_a_chain(serve, ca) -> None:  # noqa: F811
    servers = [inside_tls(serve, ca) for _ in range(2)]
    with Library(chain=[{"url": url(server, "socks5h+tls"), "ca": ca.certificate} for server in servers]) as client:
        round_trip(client)


def test_bind_at_dante(daemon, origin, tmp_path: Path) -> None:
    far = origin(echo)
    with Library(start_dante(daemon, tmp_path)) as client, client.connect("127.0.0.1", far.port):
        round_trip(client)


def test_listeners_are_given_up(serve) -> None:
    """Waited for or not, by themselves and with their client."""
    server = serve()
    with Library(url(server)) as client:
        listeners = [listen(client, "127.0.0.1")[0] for _ in range(3)]
        operation = client.call("accept_start", handle(listeners[0]), -1)
        with failing(STATE):
            client.call("accept_start", handle(listeners[0]), -1)
        library().stile_listener_close(handle(listeners[0]))
        with failing(CANCELED):
            client.call("accept_finish", handle(operation), None, None)
        client.call("accept_start", handle(listeners[1]), -1)
        with failing(TIMEOUT):
            client.call("accept_finish", handle(client.call("accept_start", handle(listeners[2]), 1)), None, None)


# --- Datagrams ------------------------------------------------------------------------------------------------------


@pytest.fixture
def far_echo(serve, request: pytest.FixtureRequest):
    made = DatagramEcho()
    request.addfinalizer(made.close)
    return made


def exchange(client: Library, far: DatagramEcho, host: str = "127.0.0.1") -> None:
    with Udp(client) as udp:
        for size in (1, 0, 1400, 9000):
            sent = os.urandom(size)
            udp.send(sent, host, far.port)
            assert select.select([udp.descriptor()], [], [], 20)[0]
            assert udp.receive() == (sent, ("127.0.0.1", far.port))
        udp.send(b"longer than the room", host, far.port)
        assert udp.receive(room=6)[0] == b"longer"
        with failing(TIMEOUT):
            udp.receive(20)
        assert not select.select([udp.descriptor()], [], [], 0)[0]
        with failing(TOO_LONG, errno=errno.EMSGSIZE):
            udp.send(bytes(65_530), host, far.port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_datagrams(serve, far_echo: DatagramEcho, host: str) -> None:
    with Library(url(serve())) as client:
        exchange(client, far_echo, host)


def test_datagrams_inside_tls(serve, ca, far_echo: DatagramEcho) -> None:  # noqa: F811
    server = inside_tls(serve, ca)
    with Library(chain=[{"url": url(server, "socks5h+tls"), "ca": ca.certificate}]) as client:
        exchange(client, far_echo)


@pytest.mark.parametrize("count", [2, 3])
def test_datagrams_through_a_chain(serve, far_echo: DatagramEcho, count: int) -> None:
    servers = [serve() for _ in range(count)]
    with Library(" ".join(url(server) for server in servers)) as client:
        exchange(client, far_echo)
    for server, target in zip(servers, servers[1:]):
        server.wait_for_record(event="session.end", target=f"127.0.0.1:{target.proxy[1]}")


def test_datagrams_at_dante(daemon, tmp_path: Path, far_echo: DatagramEcho) -> None:
    with Library(start_dante(daemon, tmp_path)) as client:
        exchange(client, far_echo)


def test_an_association_that_ends(origin) -> None:
    over = threading.Event()
    proxy = ScriptedProxy(reply=bytes.fromhex("05 00 00 01 00000000 1000"), play=lambda connection: over.wait(30))
    with Library(f"socks5h://127.0.0.1:{origin(proxy).port}") as client:
        udp = Udp(client)
    with udp:
        udp.send(b"to nobody", "127.0.0.1", 9)
        with failing(TIMEOUT):
            udp.receive(20)
        over.set()
        assert select.select([udp.descriptor()], [], [], 20)[0]
        with failing(CLOSED, errno=errno.ENOTCONN):
            udp.receive(-1)
        with failing(CLOSED):
            udp.send(b"late", "127.0.0.1", 9)


@pytest.mark.parametrize(("bound", "code"), [("C0000201 1000", PROTOCOL), ("7F000001 0000", PROTOCOL), ("00000000 1000", None)])
def test_where_a_relay_may_be(origin, bound: str, code: int | None) -> None:
    """At the proxy's own address, which 0.0.0.0 means as well, and nowhere else."""
    place = origin(ScriptedProxy(reply=bytes.fromhex(f"05 00 00 01 {bound}"), play=lambda connection: connection.recv(1)))
    with Library(f"socks5h://127.0.0.1:{place.port}") as client:
        if code is None:
            with Udp(client):
                return
        with failing(code, hop=0):
            Udp(client)


def test_what_has_no_datagrams(serve, daemon) -> None:
    port = free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    with Library(f"socks5h://127.0.0.1:{port}") as client, pytest.raises(Failed) as caught:
        Udp(client)
    assert caught.value.code in (REFUSED, CLOSED)
    server = serve()
    for scheme in ("socks4a", "http"):
        with Library(url(server, scheme)) as client:
            for function, arguments in (("udp_open", ()), ("listen", (b"127.0.0.1", 0)), ("resolve", (b"localhost", None, None))):
                if scheme == "socks4a" and function in ("listen", "resolve"):
                    continue
                with failing(UNSUPPORTED, errno=errno.EOPNOTSUPP, hop=0):
                    client.on_client(function, *arguments)


# --- Names and pings ------------------------------------------------------------------------------------------------


def test_names(serve) -> None:
    server = serve(config=LISTEN + '[names]\nhosts = { "printer.example" = ["192.0.2.7"] }\n' + RULES)
    with Library(url(server)) as client:
        assert client.resolve("printer.example") == "192.0.2.7"
        assert client.resolve_address("192.0.2.7") == "printer.example"
        with failing(REFUSED, reply=4):
            client.resolve("nowhere.invalid")
        with failing(ARGUMENT):
            client.resolve("192.0.2.7")


def test_ping(serve) -> None:
    with Library(url(serve())) as client:
        echoes = client.ping("127.0.0.1", 2)
    assert [echo.sequence for echo in echoes] == [1, 2]
    assert all(echo.microseconds >= 0 and echo.ttl > 0 and echo.peer == b"127.0.0.1" for echo in echoes)


def test_ping_that_is_refused(serve) -> None:
    with Library(url(serve(config=LISTEN + RULES))) as client, failing(REFUSED, reply=2):
        client.ping("127.0.0.9", 1)


# --- Kerberos -------------------------------------------------------------------------------------------------------


def test_kerberos(serve, origin, kerberos: Realm, tickets: Path, far_echo: DatagramEcho, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", str(tickets))
    for variable, value in getattr(kerberos, "environment", {}).items():
        monkeypatch.setenv(variable, value)
    server, far = serve(config=gssapi_config(kerberos)), origin(echo)
    with Library(f"socks5h+gssapi://localhost:{server.proxy[1]}") as client:
        answers(client.connect("127.0.0.1", far.port), os.urandom(1_000_000))
        exchange(client, far_echo)
    server.wait_for_record(event="session.end", user=f"alice@{realm.NAME}")
    monkeypatch.setenv("KRB5CCNAME", "/nowhere/none")
    with Library(f"socks5h+gssapi://localhost:{server.proxy[1]}") as client, failing(PROTECTION):
        client.connect("127.0.0.1", far.port)


# --- Without waiting ------------------------------------------------------------------------------------------------


def test_a_timeout_makes_the_descriptor_readable(origin) -> None:
    silent = origin()
    with Library(f"socks5h://127.0.0.1:{silent.port}", timeout=300) as client:
        operation = client.on_client("connect_start", b"example.org", 80)
        while not library().stile_done(handle(operation)):
            assert select.select([client.descriptor()], [], [], 20)[0]
            client.drive()
        with failing(TIMEOUT, errno=errno.ETIMEDOUT):
            client.call("connect_finish", handle(operation))
        assert not select.select([client.descriptor()], [], [], 0)[0], "nothing is left to do"


def test_a_timeout_counts_from_when_something_is_asked_for(serve, origin) -> None:
    """And not from when the client was last driven."""
    server, far = serve(), origin(echo)
    with Library(url(server), timeout=5_000) as client:
        answers(client.connect("127.0.0.1", far.port))
        time.sleep(6)
        answers(client.connect("127.0.0.1", far.port))


def test_blocking_calls_drive_the_others(serve, origin) -> None:
    server, far, silent = serve(), origin(echo), origin()
    with Library(url(server)) as client:
        others = [client.on_client("connect_start", b"127.0.0.1", far.port) for _ in range(5)]
        answers(client.connect("127.0.0.1", far.port))
        library().stile_wait(handle(others[0]))
        for other in others:
            answers(adopted(client.call("connect_finish", handle(other))))
        assert client.next() is None
    with Library(f"socks5h://127.0.0.1:{silent.port}") as client:
        operation = client.on_client("connect_start", b"example.org", 80)
        assert client.drive() == 1
        library().stile_cancel(handle(operation))
        deadline = time.monotonic() + 20
        while client.drive():
            assert time.monotonic() < deadline
        assert client.next() is None, "nobody asks for what was given up"


def test_operations_of_every_kind_at_once_and_mixed_up(serve, origin) -> None:
    server, far = serve(), origin(echo)
    with Library(url(server)) as client:
        connect = client.on_client("connect_start", b"127.0.0.1", far.port)
        bind = client.on_client("listen_start", b"127.0.0.1", 0)
        udp = client.on_client("udp_open_start")
        name = client.on_client("resolve_start", b"localhost")
        ping = client.on_client("ping_start", b"127.0.0.1", 1)
        with failing(STATE):
            client.call("connect_finish", handle(bind))
        with failing(STATE):
            client.call("resolve_finish", handle(ping), None, None)
        answers(adopted(client.call("connect_finish", handle(connect))))
        library().stile_listener_close(handle(client.call("listen_finish", handle(bind))))
        library().stile_udp_close(handle(client.call("udp_open_finish", handle(udp))))
        address = Address()
        client.call("resolve_finish", handle(name), *address.arguments())
        assert address.value() in (("127.0.0.1", 0), ("::1", 0))
        with failing(STATE):
            client.call("resolve_address_finish", handle(client.on_client("resolve_start", b"localhost")), ctypes.create_string_buffer(256))
        assert client.call("ping_finish", handle(ping), None) == 1


def test_a_client_that_is_closed_ends_what_is_under_way(serve, origin) -> None:
    server, far, silent = serve(), origin(echo), origin()
    for place in (f"socks5h://127.0.0.1:{silent.port}", url(server)):
        with Library(place) as client:
            for _ in range(3):
                client.on_client("connect_start", b"127.0.0.1", far.port)
                client.on_client("udp_open_start")
                client.on_client("ping_start", b"127.0.0.1", 5)
                client.on_client("listen_start", b"127.0.0.1", 0)
                client.on_client("resolve_start", b"localhost")
                client.drive()


def test_behind_a_fork(serve, origin) -> None:
    """The child goes on with the descriptors, and nothing that it does to its parent's client harms that."""
    server, far = serve(), origin(echo)
    with Library(url(server)) as client:
        near = client.connect("127.0.0.1", far.port)
        operation = client.on_client("connect_start", b"127.0.0.1", far.port)
        child = os.fork()
        if child == 0:
            try:
                with failing(STATE):
                    client.connect("127.0.0.1", far.port)
                library().stile_cancel(handle(operation))
                library().stile_close(handle(client.client))
                near.sendall(b"from the child")
                with Library(url(server)) as own:
                    answers(own.connect("127.0.0.1", far.port))
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert raw_socks.receive(near, 14) == b"from the child"
        answers(near)
        answers(adopted(client.call("connect_finish", handle(operation))))


# --- Proxies that misbehave -----------------------------------------------------------------------------------------

REPLY = bytes.fromhex("05 00 05 00 00 01 7F000001 0050")


@pytest.mark.parametrize("octets", range(len(REPLY) + 1))
@pytest.mark.parametrize("end", ["fin", "silence"])
def test_a_proxy_that_stops_at_every_octet(origin, octets: int, end: str) -> None:
    said = REPLY[:octets]

    def speak(connection: socket.socket) -> None:
        connection.sendall(said)
        if end == "fin":
            connection.shutdown(socket.SHUT_WR)
        raw_socks.receive_all(connection)

    place = origin(speak)
    with Library(f"socks5h://127.0.0.1:{place.port}", timeout=20_000 if end == "fin" else 150) as client:
        if octets == len(REPLY):
            return client.connect("example.org", 80).close()
        with failing(CLOSED if end == "fin" else TIMEOUT):
            client.connect("example.org", 80)


@pytest.mark.parametrize(
    ("said", "code"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", PROTOCOL), (b"\x05\x02", PROTOCOL), (b"\x05\x00\x05\x00\x00\x09", PROTOCOL),
     (b"\x05\x00\x05\x01\x00\x01" + bytes(6), REFUSED), (b"\x05\xff", 11)],
)  # fmt: skip
def test_a_proxy_that_says_something_else(origin, said: bytes, code: int) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(said)
        raw_socks.receive_all(connection)

    place = origin(speak)
    with Library(f"socks5h://127.0.0.1:{place.port}", timeout=20_000) as client, failing(code, hop=0):
        client.connect("example.org", 80)


def test_proxies_that_are_not_there() -> None:
    with Library(f"socks5h://127.0.0.1:{free_port()}") as client, failing(PROXY_DOWN, hop=0, reply=-1):
        client.connect("example.org", 80)
    with Library("socks5h://nowhere.invalid") as client, failing(PROXY_NAME, hop=0):
        client.connect("example.org", 80)


def test_no_descriptors_are_left(serve, origin) -> None:
    import resource

    server, far = serve(), origin(echo)
    with Library(url(server)) as client:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, limits[1]))
        hogs = []
        try:
            while True:
                hogs.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            with failing(SYSTEM):
                client.connect("127.0.0.1", far.port)
            with failing(SYSTEM):
                Library(url(server))
        finally:
            for hog in hogs:
                os.close(hog)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        answers(client.connect("127.0.0.1", far.port))
