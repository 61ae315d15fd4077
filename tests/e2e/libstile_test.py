"""libstile, called as a program would: every operation through real proxies, and how each of them can fail."""

import ctypes
import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import raw_socks
from certificates import Authority
from logins import add_user
from origins import echo
from processes import free_port, wait_until
from scripted_proxy import ScriptedProxy
from server import Server
from stile_library import (
    ARGUMENT, CLEAR, CLEAR_PASSWORD, HTTP, LOGIN, NO_PROXY, PROTECTION, PROXY_DOWN, REFUSED, SETTINGS, SOCKS4, SOCKS5, STATE, TARGET,
    TIMEOUT, Failed, Library, adopted, failing, library, skip_where_python_cannot_load,
)  # fmt: skip

RULES = """[policy]
rules = '''
no:  deny anyone to tcp ping 127.0.0.9
yes: allow anyone to tcp bind udp resolve ping any, loopback, private, self, reserved
'''
"""
LISTEN = '[[listen]]\naddress = "127.0.0.1:PORT"\n'


@pytest.fixture(autouse=True)
def loaded() -> None:
    skip_where_python_cannot_load()


def url(server: Server, scheme: str = "socks5h", user: str = "") -> str:
    return f"{scheme}://{user}localhost:{server.proxy[1]}" if scheme.endswith("tls") or scheme == "https" else (
        "{}://{}{}:{}".format(scheme, user, *server.proxy)
    )


def answers(connection: socket.socket, octets: bytes = b"hello") -> None:
    """An echo at the other end, both directions closed by their own FIN."""
    with connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        assert raw_socks.receive_all(connection) == octets


# --- Connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4", "http"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_connects_by_name_and_address(serve, origin, scheme: str, host: str) -> None:
    server, far = serve(), origin(echo)
    with Library(url(server, scheme)) as client:
        connection = client.connect(host, far.port)
        assert connection.getpeername() == server.proxy
        answers(connection, os.urandom(300_000))
    asked = host if scheme in ("socks5h", "socks4a", "http") else "127.0.0.1"
    server.wait_for_record(event="session.end", target=f"{asked}:{far.port}")


def test_connects_to_ipv6(serve, origin) -> None:
    server, far = serve(), origin(echo, "::1")
    with Library(url(server)) as client:
        answers(client.connect("::1", far.port))
    server.wait_for_record(event="session.end", target=f"[::1]:{far.port}")


def test_the_connection_outlives_the_client(serve, origin) -> None:
    server, far = serve(), origin(echo)
    with Library(url(server)) as client:
        connection = client.connect("127.0.0.1", far.port)
    answers(connection)


def test_not_one_octet_of_the_target_is_lost(origin) -> None:
    """The target's first octets come in one segment with the reply."""
    proxy = ScriptedProxy(reply=bytes.fromhex("05 00 00 01 7F000001 0050") + b"220 first")
    place = origin(proxy)
    with Library(f"socks5h://127.0.0.1:{place.port}") as client, client.connect("example.org", 21) as connection:
        assert raw_socks.receive(connection, 9) == b"220 first"


def test_a_chain_of_three(serve, origin) -> None:
    servers, far = [serve() for _ in range(3)], origin(echo)
    urls = " ".join(url(server, scheme) for server, scheme in zip(servers, ("socks5h", "socks4a", "http")))
    with Library(urls) as client:
        answers(client.connect("localhost", far.port))
        with failing(REFUSED, reply=502, hop=2, protocol=HTTP):
            client.connect("127.0.0.1", free_port())
    servers[0].wait_for_record(event="session.end", target=f"127.0.0.1:{servers[1].proxy[1]}")
    servers[2].wait_for_record(event="session.end", target=f"localhost:{far.port}")


@pytest.mark.parametrize(
    ("scheme", "protocol", "refused", "denied"),
    [("socks5h", SOCKS5, (5, errno.ECONNREFUSED), (2, errno.EACCES)), ("http", HTTP, (502, errno.ECONNREFUSED), (403, errno.EACCES)),
     ("socks4a", SOCKS4, (91, errno.ECONNREFUSED), (91, errno.ECONNREFUSED))],
)  # fmt: skip
def test_the_proxys_own_word(serve, scheme: str, protocol: int, refused: tuple[int, int], denied: tuple[int, int]) -> None:
    server = serve(config=LISTEN + RULES)
    with Library(url(server, scheme)) as client:
        with failing(REFUSED, reply=refused[0], errno=refused[1], protocol=protocol, hop=0):
            client.connect("127.0.0.1", free_port())
        with failing(REFUSED, reply=denied[0], errno=denied[1]) as caught:
            client.connect("127.0.0.9", 80)
        assert caught.value.text.startswith(f"{scheme}://127.0.0.1:{server.proxy[1]}: ")


def test_many_connections_at_once_on_one_thread(serve, origin) -> None:
    server, far = serve(), origin(echo)
    with Library(url(server)) as client:
        started = [client.on_client("connect_start", b"127.0.0.1", far.port) for _ in range(100)]
        refused = client.on_client("connect_start", b"127.0.0.1", free_port())
        library().stile_set_data(ctypes.c_void_p(refused), ctypes.c_void_p(7))
        assert len(set(started)) == 100
        done: list[int] = []
        while len(done) < 101:
            ready, _, _ = select.select([client.descriptor()], [], [], 60)
            assert ready, f"{len(done)} are done"
            client.drive()
            while operation := client.next():
                done.append(operation)
        assert set(done) == {*started, refused} and client.drive() == 0
        connections = [adopted(client.call("connect_finish", ctypes.c_void_p(one))) for one in started]
        assert library().stile_data(ctypes.c_void_p(refused)) == 7
        with failing(REFUSED, reply=5):
            client.call("connect_finish", ctypes.c_void_p(refused))
        for number, connection in enumerate(connections):
            answers(connection, f"connection {number}".encode())


def test_clients_in_threads(serve, origin) -> None:
    server, far = serve(), origin(echo)
    failures: list[BaseException] = []

    def work(original: Library) -> None:
        try:
            copy = Library.call("copy", ctypes.c_void_p(original.client))
            for _ in range(10):
                answers(adopted(Library.call("connect", ctypes.c_void_p(copy), b"localhost", far.port)))
            library().stile_close(ctypes.c_void_p(copy))
        except BaseException as failure:
            failures.append(failure)

    with Library(url(server)) as client:
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures, failures


# --- What the settings say ------------------------------------------------------------------------------------------


def test_the_environment(serve, origin, monkeypatch: pytest.MonkeyPatch) -> None:
    server, far = serve(), origin(echo)
    for variable in ("STILE_VIA", "all_proxy", "ALL_PROXY", "SOCKS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with failing(NO_PROXY):
        Library()
    monkeypatch.setenv("SOCKS_PROXY", url(server))
    with Library() as client:
        answers(client.connect("localhost", far.port))
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8, other.example:80")
    with Library() as client:
        with failing(PROXY_DOWN, hop=0, errno=errno.ENETUNREACH):
            client.connect("localhost", far.port)
        connection = client.connect("127.0.0.1", far.port)
        assert connection.getpeername() == ("127.0.0.1", far.port)
        answers(connection)
        with failing(TARGET, errno=errno.ECONNREFUSED, hop=-1, reply=-1):
            client.connect("127.0.0.1", free_port())
        goes = library().stile_goes_directly
        assert [goes(ctypes.c_void_p(client.client), *place) for place in ((b"127.9.9.9", 1), (b"www.other.example", 80))] == [1, 1]
        assert not goes(ctypes.c_void_p(client.client), b"other.example", 81)


def test_no_proxy_goes_with_urls_where_it_is_given(serve, origin, monkeypatch: pytest.MonkeyPatch) -> None:
    server, far = serve(), origin(echo)
    monkeypatch.setenv("NO_PROXY", "*")
    with Library(url(server)) as client:
        answers(client.connect("localhost", far.port))
    server.wait_for_record(event="session.end", target=f"localhost:{far.port}")
    with Library(f"socks5h://127.0.0.1:{free_port()}", no_proxy="localhost") as client:
        answers(client.connect("localhost", far.port))
        assert client.resolve("localhost") in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("urls", "chain", "told"),
    [
        ("socks6://h", None, "proxy 1: at character 1: "),
        ("", None, "a chain has 1 to 8 proxies"),
        (" ".join(["socks5h://h"] * 9), None, "a chain has 1 to 8 proxies"),
        ("socks5h://h socks5h://", None, "proxy 2: "),
        (None, [{"url": "socks5h://h", "ca": "/dev/null"}], "proxy 1: certificates go with a proxy that is spoken to inside TLS"),
        (None, [{"url": "socks5h+tls://h", "ca": "/nowhere"}], "proxy 1: /nowhere: "),
        (None, [{"url": "socks5h+tls://h", "key": "/nowhere"}], "proxy 1: the key is of no certificate"),
        (None, [{"url": "socks5h://h", "password": "secret"}], "a password goes with a SOCKS5 or HTTP proxy's user that has none"),
        (None, [{"url": "socks5h://u@h", "password": "x" * 256}], "a password has 1 to 255 octets"),
        (None, [{"url": "socks5h://h", "gss_service": "rcmd"}], "proxy 1: a name for Kerberos goes with"),
        ("socks5h://h", [{"url": "socks5h://h"}], "either urls or a chain, not both"),
    ],
)
def test_settings_that_cannot_be_used(urls: str | None, chain: list[dict] | None, told: str) -> None:
    with failing(SETTINGS, errno=errno.EINVAL) as caught:
        Library(urls, chain)
    assert told in caught.value.text and "secret" not in caught.value.text


def test_arguments_that_cannot_be() -> None:
    with Library("socks5h://127.0.0.1:1") as client:
        for host, port in ((b"", 80), (b"bad host", 80), (b"example.org", 0), (None, 80), (b"x" * 300, 80)):
            with failing(ARGUMENT, errno=errno.EINVAL):
                client.on_client("connect", host, port)
        with failing(ARGUMENT):
            client.on_client("ping", b"127.0.0.1", 0, None)
        with failing(ARGUMENT):
            client.on_client("resolve_address", bytes(16), 16, ctypes.create_string_buffer(256))
    with failing(STATE):
        Library.call("connect", None, b"example.org", 80)


# --- Logins and protection ------------------------------------------------------------------------------------------


def with_users(serve: Callable[..., Server], folder: Path, listen: str = "") -> Server:
    add_user(folder / "users", "alice", "wonderland")
    config = f'[[listen]]\naddress = "127.0.0.1:PORT"\nauth = ["password"]\n{listen}[users]\nfile = "{folder}/users"\n{RULES}'
    return serve(config=config)


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_password(serve, origin, tmp_path: Path, scheme: str) -> None:
    server, far = with_users(serve, tmp_path), origin(echo)
    with Library(url(server, scheme, "alice:wonderland@")) as client:
        answers(client.connect("127.0.0.1", far.port))
    chain = [{"url": url(server, scheme, "alice@"), "password": "wonderland"}]
    with Library(chain=chain) as client:
        answers(client.connect("127.0.0.1", far.port))
    with Library(url(server, scheme, "alice:looking-glass@")) as client, failing(LOGIN, errno=errno.EACCES, hop=0) as caught:
        client.connect("127.0.0.1", far.port)
    assert "looking-glass" not in caught.value.text and caught.value.reply == {"socks5h": 1, "http": 407}[scheme]
    with Library(url(server, scheme)) as client, failing(LOGIN):
        client.connect("127.0.0.1", far.port)


def test_a_password_in_clear_stays_at_home() -> None:
    with Library("socks5h://alice:wonderland@192.0.2.1:1080") as client, failing(CLEAR_PASSWORD, hop=0):
        client.connect("127.0.0.1", 80)
    with Library("socks5h://alice:wonderland@192.0.2.1:1080", flags=CLEAR, timeout=200) as client:
        with pytest.raises(Failed) as caught:
            client.connect("127.0.0.1", 80)
        assert caught.value.code in (PROXY_DOWN, TIMEOUT)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


def inside_tls(serve: Callable[..., Server], ca: Authority, more: str = "") -> Server:
    own = ca.issue("server", "DNS:localhost")
    listen = f'[[listen]]\naddress = "127.0.0.1:PORT"\ntls = {{ certificate = "{own[0]}", key = "{own[1]}"{more} }}\n'
    return serve(config=listen + RULES)


@pytest.mark.parametrize("scheme", ["socks5h+tls", "socks5+tls", "socks4a+tls", "https"])
def test_inside_tls(serve, origin, ca: Authority, scheme: str) -> None:
    server, far = inside_tls(serve, ca), origin(echo)
    with Library(chain=[{"url": url(server, scheme), "ca": ca.certificate}]) as client:
        connections = [client.connect("127.0.0.1", far.port) for _ in range(3)]
        connections[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with failing(REFUSED):
            client.connect("127.0.0.1", free_port())
    for connection in connections:
        answers(connection, os.urandom(3_000_000) if connection is connections[2] else b"short")


def test_tls_in_tls(serve, origin, ca: Authority) -> None:
    servers, far = [inside_tls(serve, ca) for _ in range(2)], origin(echo)
    chain = [{"url": url(server, "socks5h+tls"), "ca": ca.certificate} for server in servers]
    with Library(chain=chain) as client:
        answers(client.connect("127.0.0.1", far.port), os.urandom(500_000))


def test_a_certificate_of_the_clients(serve, origin, ca: Authority) -> None:
    far = origin(echo)
    server = inside_tls(serve, ca, f', client_ca = "{ca.certificate}"')
    certificate, key = ca.issue("client", "URI:urn:alice")
    chain = [{"url": url(server, "socks5h+tls"), "ca": ca.certificate, "certificate": certificate, "key": key}]
    with Library(chain=chain) as client:
        answers(client.connect("127.0.0.1", far.port))
    server.wait_for_record(event="session.end", target=f"127.0.0.1:{far.port}")
    with Library(chain=[{"url": url(server, "socks5h+tls"), "ca": ca.certificate}]) as client, failing(PROTECTION, hop=0):
        client.connect("127.0.0.1", far.port)
    with Library(chain=[{"url": url(server, "socks5h+tls")}]) as client, failing(PROTECTION) as caught:
        client.connect("127.0.0.1", far.port)
    assert "leads to no CA" in caught.value.text


def test_the_ends_of_a_protected_stream(serve, origin, ca: Authority) -> None:
    """FIN is FIN, each way by itself; a reset is a reset, and so is a stream that somebody cut short."""
    server, far = inside_tls(serve, ca), origin()
    chain = [{"url": url(server, "socks5h+tls"), "ca": ca.certificate}]
    with Library(chain=chain) as client:
        near, peer = client.connect("127.0.0.1", far.port), far.accept()
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        assert raw_socks.receive_all(near) == b"all of it"
        near.sendall(b"and back")
        near.close()
        assert raw_socks.receive_all(peer) == b"and back"
        near, peer = client.connect("127.0.0.1", far.port), far.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.close()
        with pytest.raises(ConnectionResetError):
            near.recv(1)
        near.close()


def test_a_protected_stream_that_is_cut_short(serve, origin, ca: Authority) -> None:
    """Somebody on the way ends the connection in order, where TLS has not: a program must not take that for the end."""
    server, far = inside_tls(serve, ca), origin()
    cut = threading.Event()

    def carry(connection: socket.socket) -> None:
        with raw_socks.dial(server.proxy) as onward:
            while not cut.is_set():
                for end in select.select([connection, onward], [], [], 0.05)[0]:
                    (onward if end is connection else connection).sendall(end.recv(65536))

    between = origin(carry)
    with Library(chain=[{"url": f"socks5h+tls://localhost:{between.port}", "ca": ca.certificate}]) as client:
        near, peer = client.connect("127.0.0.1", far.port), far.accept()
        peer.sendall(b"a part")
        assert raw_socks.receive(near, 6) == b"a part"
        cut.set()
        with near, pytest.raises(ConnectionResetError):
            near.recv(1)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_the_carriers_thread_ends_with_the_last_stream(serve, origin, ca: Authority) -> None:
    server, far = inside_tls(serve, ca), origin(echo)
    before = threads()
    with Library(chain=[{"url": url(server, "socks5h+tls"), "ca": ca.certificate}]) as client:
        for _ in range(2):
            one, other = client.connect("127.0.0.1", far.port), client.connect("127.0.0.1", far.port)
            answers(one)
            answers(other)
            wait_until("the library's thread ends", lambda: threads() <= before + 2)
