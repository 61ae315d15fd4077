"""`stile bench`: each mode against real proxies, what it says when they refuse, and that it finds wrong octets."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import raw_socks
from probes import background
from processes import free_port, stile, wait_until
from scripted_proxy import ScriptedProxy

BULK = ("down", "up", "both")
MODES = (*BULK, "rr", "connect", "handshake", "idle", "udp")
SHORT = ("--seconds", "0.3", "--warmup", "0.1")


def via(proxy: tuple[str, int], scheme: str = "socks5h", user: str = "") -> list[str]:
    return ["--via", f"{scheme}://{user}{proxy[0]}:{proxy[1]}"]


def bench(mode: str, *arguments: object, code: int = 0) -> dict:
    """One short run; its JSON, checked for what holds of every run that worked."""
    connections = ["--connections", 200] if mode == "idle" and "--connections" not in arguments else []
    run = stile("bench", mode, *SHORT, *connections, "--json", *arguments)
    assert run.returncode == code, run.stderr
    figures = json.loads(run.stdout)
    assert figures["mode"] == mode and (code != 0 or figures["verified"] is True)
    assert figures["operations_total"] >= figures["operations"] > 0 or code != 0
    assert ("latency_us" in figures) == (mode not in BULK)
    return figures


# ── every mode ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", MODES)
def test_direct(mode: str) -> None:
    figures = bench(mode, "--direct")
    assert figures["via"] == "direct" and figures["errors"] == {}
    if mode not in BULK:
        latency = figures["latency_us"]
        order = [latency[key] for key in ("min", "p50", "p90", "p99", "p999", "max")]
        assert order == sorted(order) and order[0] > 0


@pytest.mark.parametrize("mode", MODES)
def test_through_stile(serve, mode: str) -> None:
    server = serve("--workers", 2, log="none")
    figures = bench(mode, *via(server.proxy))
    assert figures["errors"] == {} and figures.get("drops", 0) == 0


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "http"])
def test_each_protocol(serve, scheme: str) -> None:
    server = serve(log="none")
    for mode in ("connect", "down"):
        assert bench(mode, *via(server.proxy, scheme))["errors"] == {}


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "udp"])
def test_through_microsocks(daemon: Callable, mode: str) -> None:
    """It passes no half-close on: a bulk stream's end must not need one."""
    port = free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    assert bench(mode, *via(("127.0.0.1", port)), "--connections", 8)["errors"] == {}


@pytest.mark.parametrize("mode", ["down", "rr", "connect", "udp"])
def test_through_dante(daemon: Callable, tmp_path, mode: str) -> None:
    port = free_port()
    config = tmp_path / "danted.conf"
    config.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nclientmethod: none\nsocksmethod: none\n"
        "user.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    daemon("danted", "-f", config).wait_for_port("127.0.0.1", port)
    bench(mode, *via(("127.0.0.1", port)), "--connections", 4)


@pytest.mark.parametrize("size", [1, 100_000, 262_144])
def test_messages_of_any_size(serve, size: int) -> None:
    server = serve(log="none")
    for mode in ("rr", "connect"):
        figures = bench(mode, *via(server.proxy), "--size", size, "--connections", 4)
        assert figures["octets"] == figures["operations"] * size


@pytest.mark.parametrize("size", [16, 1200, 60_000])
@pytest.mark.parametrize("more", [[], ["--offload"]])
def test_datagrams_of_any_size(serve, size: int, more: list[str]) -> None:
    server = serve(log="none")
    bench("udp", *via(server.proxy), "--size", size, "--connections", 3, "--window", 2, *more)


def test_edges_are_enough_for_bulk() -> None:
    bench("down", "--direct", "--verify", "edges")


# ── open loop ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["rr", "connect", "handshake", "udp"])
def test_a_rate_is_kept(serve, mode: str) -> None:
    server = serve(log="none")
    figures = bench(mode, *via(server.proxy), "--rate", 500)
    assert figures["rate"] == 500
    # 500 operations a second are due in about 0.4 s, and no more are ever begun.
    assert figures["operations_total"] <= 500 * (figures["seconds"] + figures["warmup"]) + 2


def test_a_stall_counts_for_all_that_it_kept_waiting(origin) -> None:
    """A proxy that stops for 0.3 s: closed loop would see one slow operation, open loop sees all that were due."""

    def play(connection: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", int.from_bytes(proxy.request[-2:])))
        messages = 0
        while octets := connection.recv(65536):
            messages += 1
            if messages == 100:
                threading.Event().wait(0.3)
            far.sendall(octets)
            connection.sendall(far.recv(65536))

    proxy = ScriptedProxy(play)
    listener = origin(proxy)
    arguments = ("rr", *via((listener.host, listener.port)), "--connections", 1, "--rate", 400)
    run = stile("bench", *arguments, "--seconds", 1, "--warmup", 0, "--json")
    figures = json.loads(run.stdout)
    assert run.returncode == 0
    # A quarter of the operations or so were due during the stall; in closed loop it would be one.
    assert figures["latency_us"]["p90"] > 50_000


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_target_is_reported(serve) -> None:
    server = serve(log="none")
    far = f"127.0.0.1:{free_port()}"
    run = stile("bench", "rr", *SHORT, *via(server.proxy), "--origin", far)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr == (
        f"stile: cannot bench rr through socks5h://127.0.0.1:{server.proxy[1]}: the target refuses the connection "
        f"(the origin is at {far}; --origin names another)\n"
    )


def test_a_wrong_password_is_reported(origin) -> None:
    proxy = ScriptedProxy(method=b"\x05\x02", login=(len(b"\x01\x01u\x01p"), b"\x01\x01"))
    listener = origin(proxy)
    run = stile("bench", "rr", *SHORT, *via((listener.host, listener.port), user="u:p@"))
    assert run.returncode == 1 and "password" in run.stderr.splitlines()[-1]
    assert proxy.credentials == b"\x01\x01u\x01p"


def test_an_http_proxy_that_wants_a_login_is_reported(origin) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    heads: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heads.append(connection.recv(4096))
        connection.sendall(refusal)

    listener = origin(refuse)
    for user, why in (("", "takes no client without a login"), ("u:p@", "refused the user or the password")):
        run = stile("bench", "rr", *SHORT, *via((listener.host, listener.port), "http", user))
        assert run.returncode == 1 and why in run.stderr
    assert b"Proxy-Authorization" not in heads[0] and b"\r\nProxy-Authorization: Basic dTpw\r\n" in heads[1]


def test_nobody_there_is_reported() -> None:
    for where in (via(("127.0.0.1", free_port())), ["--direct", "--origin", f"127.0.0.1:{free_port()}"]):
        run = stile("bench", "rr", *SHORT, *where)
        assert run.returncode == 1 and run.stderr.startswith("stile: cannot bench rr ")


def test_too_many_connections_are_refused() -> None:
    run = stile("bench", "idle", "--direct", "--connections", 100_000)
    assert run.returncode == 1 and "descriptors" in run.stderr


@contextmanager
def corrupting(target: tuple[str, int], at: int, lose: bool):
    """A relay before a proxy that changes, or loses, the octet `at` of each connection's answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, sink: socket.socket, change: bool) -> None:
        seen = 0
        try:
            while octets := bytearray(source.recv(65536)):
                here = at - seen
                seen += len(octets)
                if change and 0 <= here < len(octets):
                    octets[here : here + 1] = b"" if lose else bytes([octets[here] ^ 1])
                sink.sendall(octets)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(target)
            for source, sink, change in ((client, far, False), (far, client, True)):
                threading.Thread(target=copy, args=(source, sink, change), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("lose", [False, True])
@pytest.mark.parametrize("mode", ["down", "rr"])
def test_one_wrong_octet_is_found(daemon: Callable, mode: str, lose: bool) -> None:
    port = free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    with corrupting(("127.0.0.1", port), at=12 + 5_000, lose=lose) as proxy:
        figures = bench(mode, *via(proxy), "--connections", 2, code=1)
    assert figures["verified"] is False and figures["errors"].get("wrong octets", 0) > 0


# ── the origin, and the end ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_remote_origin(serve) -> None:
    server = serve(log="none")
    with background("bench", "origin", "--listen", f"127.0.0.1:{(port := free_port())}") as origin:
        wait_until("the origin listens", lambda: listens(port))
        for mode in MODES:
            assert bench(mode, *via(server.proxy), "--origin", f"127.0.0.1:{port}")["errors"] == {}
        # Who speaks anything else gets nothing.
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert raw_socks.receive_all(stranger) == b""
        origin.interrupt()
        code, out, err = origin.finish()
    assert (code, out, err) == (0, "", f"listening on 127.0.0.1:{port}\n")


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_an_interrupt_ends_the_run_with_the_figures_so_far() -> None:
    with background("bench", "idle", "--direct", "--connections", 10, "--seconds", 600, "--json") as run:
        assert run.process.stderr
        assert run.process.stderr.readline() == b"holding 10 tunnels\n"
        run.interrupt()
        code, out, _ = run.finish()
    figures = json.loads(out)
    assert code == 0 and figures["operations"] == 10 and figures["seconds"] < 500


def test_people_get_a_summary() -> None:
    run = stile("bench", "rr", *SHORT, "--direct")
    assert run.returncode == 0 and run.stderr == ""
    words = [line.split()[0] for line in run.stdout.splitlines()]
    assert words == ["rr", "measured", "round", "rate", "latency", "processor", "octets"]
