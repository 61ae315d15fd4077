"""A new configuration for a running server, by SIGHUP and by `stile reload` (security reference 7.5, gate R4): in force
for everybody at once or not at all, and no session is lost but those that the new policy does not allow.
"""

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
import raw_socks
from origins import Origin, echo
from processes import BINARY, ENVIRONMENT, accepts, free_port, stile, wait_until
from server import Server

DENIED = 2
BAD_CONFIGURATION = 78

LISTENER = '[[listen]]\naddress = "127.0.0.1:PORT"\n'


def policy(rules: str, more: str = "") -> str:
    return f"[policy]\n{more}rules = '''\n{rules}\n'''\n"


def with_control(tmp_path: Path, text: str) -> str:
    return f'{text}[admin]\nsocket = "unix:{tmp_path}/control.sock"\n'


class Reloadable:
    """A server with a control socket, and its file."""

    def __init__(
        self, serve, tmp_path: Path, rules: str, more: str = "", listeners: str = LISTENER, **options
    ) -> None:
        self.folder = tmp_path
        self.server: Server = serve(config=self.text(listeners + policy(rules, more)), **options)
        self.file = self.server.config_file

    def text(self, text: str) -> str:
        return with_control(self.folder, text)

    def write(self, rules: str, more: str = "", listeners: str = LISTENER) -> None:
        text = self.text(listeners + policy(rules, more))
        self.file.write_text(text.replace("PORT", str(self.server.proxy[1])))

    def reload(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return stile("reload", "--config", self.file, *arguments)

    def reloaded(self) -> dict:
        run = self.reload("--json")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


@pytest.fixture
def echo_origin(origin) -> Origin:
    return origin(echo)


def tunnel(server: Server, target: Origin) -> socket.socket:
    return raw_socks.tunnel(server.proxy, target.host, target.port)


def echoes(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"still here")
        return raw_socks.receive(connection, 10) == b"still here"
    except OSError:
        return False


ALL = "allow anyone to loopback"
NOTHING = "deny anyone to any"


def test_the_next_session_is_decided_by_the_new_rules(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, NOTHING)
    request = raw_socks.request(echo_origin.host, echo_origin.port)
    assert raw_socks.ask(reloadable.server.proxy, request)[1].code == DENIED
    reloadable.write("open: " + ALL)
    assert reloadable.reloaded()["generation"] == 1
    assert echoes(tunnel(reloadable.server, echo_origin))
    assert reloadable.server.wait_for_record(event="session.start")["rule"] == "open"


def test_a_session_that_is_no_longer_allowed_ends(serve, tmp_path, origin, echo_origin) -> None:
    other = origin(echo)
    reloadable = Reloadable(serve, tmp_path, ALL)
    kept, lost = tunnel(reloadable.server, echo_origin), tunnel(reloadable.server, other)
    reloadable.write(f"deny anyone to 127.0.0.1:{other.port}\n{ALL}")
    answer = reloadable.reloaded()
    assert answer["sessions_ended"] == 1 and answer["sessions_kept"] == 1
    assert echoes(kept) and not echoes(lost)
    assert reloadable.server.wait_for_record(event="session.end")["reason"] == "policy.changed"


def test_who_waits_for_a_target_is_told(serve, tmp_path) -> None:
    """The target's queue is full: what is dialled there stays on its way."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as filler:
        filler.connect(full.getsockname())
        host, port = full.getsockname()
        reloadable = Reloadable(serve, tmp_path, ALL)
        before = reloadable.server.settled_sockets()
        clients = [raw_socks.dial(reloadable.server.proxy) for _ in range(2)]
        clients[0].sendall(b"\x05\x01\x00" + raw_socks.request(host, port))
        clients[1].sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        wait_until("both are on their way", lambda: reloadable.server.sockets() == before + 4)
        reloadable.write(NOTHING)
        assert reloadable.reloaded()["sessions_ended"] == 2
        assert raw_socks.receive(clients[0], 2) == b"\x05\x00"
        assert raw_socks.receive_reply(clients[0]).code == DENIED
        assert raw_socks.receive_all(clients[1]).startswith(b"HTTP/1.1 403 ")
        for protocol in ("socks5", "http"):
            assert reloadable.server.wait_for_record(protocol=protocol, event="denied")["reason"] == "policy.changed"


def test_sessions_are_kept_where_the_file_says_so(serve, tmp_path, echo_origin) -> None:
    keep = 'on_reload = "keep"\n'
    reloadable = Reloadable(serve, tmp_path, ALL, keep)
    kept = tunnel(reloadable.server, echo_origin)
    reloadable.write(NOTHING, keep)
    assert reloadable.reloaded()["sessions_ended"] == 0
    assert echoes(kept)
    request = raw_socks.request(echo_origin.host, echo_origin.port)
    assert raw_socks.ask(reloadable.server.proxy, request)[1].code == DENIED


def test_a_bind_and_an_association_end_with_their_permission(serve, tmp_path) -> None:
    reloadable = Reloadable(serve, tmp_path, "allow anyone to bind udp loopback")
    waiting, reply = raw_socks.ask(reloadable.server.proxy, raw_socks.request("0.0.0.0", 0, 2))
    assert reply.code == 0
    control, reply = raw_socks.ask(reloadable.server.proxy, raw_socks.request("0.0.0.0", 0, 3))
    assert reply.code == 0
    reloadable.write(NOTHING)
    reloadable.reloaded()
    for connection in (waiting, control):
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass


def test_a_datagrams_verdict_is_not_remembered_over_a_reload(serve, tmp_path) -> None:
    """TU2: the association lives on, the target is no longer allowed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for each in (target, client):
            each.bind(("127.0.0.1", 0))
            each.settimeout(20)
        port = target.getsockname()[1]
        reloadable = Reloadable(serve, tmp_path, "allow anyone to udp loopback")
        control, reply = raw_socks.ask(reloadable.server.proxy, raw_socks.request("0.0.0.0", 0, 3))
        datagram = b"\0\0\0" + raw_socks.address("127.0.0.1", port) + b"hello"
        client.sendto(datagram, (reply.host, reply.port))
        assert target.recv(100) == b"hello"
        reloadable.write(f"deny anyone to 127.0.0.1:{port}\nallow anyone to udp loopback")
        reloadable.reloaded()
        client.sendto(datagram, (reply.host, reply.port))
        assert reloadable.server.wait_for_record(event="drop")["target"] == f"127.0.0.1:{port}"
        assert control.send(b"x") == 1


def test_a_bad_file_changes_nothing_and_says_where(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    kept = tunnel(reloadable.server, echo_origin)
    reloadable.write("deny anyone to any\nallow anyone to pubic")
    run = reloadable.reload()
    line = reloadable.file.read_text().splitlines().index("allow anyone to pubic") + 1
    assert run.returncode == BAD_CONFIGURATION and f"{reloadable.file}:{line}:17: unknown class 'pubic'" in run.stderr
    assert echoes(kept) and echoes(tunnel(reloadable.server, echo_origin))


def test_the_server_says_itself_why_it_does_not_take_a_file(serve, tmp_path, echo_origin) -> None:
    """Asked at its socket, and by SIGHUP: the fault is the server's to find."""
    reloadable = Reloadable(serve, tmp_path, ALL)
    reloadable.write("allow anyone to pubic")
    run = stile("reload", "--socket", f"unix:{tmp_path}/control.sock")
    assert run.returncode == BAD_CONFIGURATION and "unknown class 'pubic'" in run.stderr and "not reloaded" in run.stderr
    assert "unknown class" not in reloadable.server.errors()
    reloadable.server.process.send_signal(signal.SIGHUP)
    wait_until("the server says why", lambda: "unknown class 'pubic'" in reloadable.server.errors())
    assert echoes(tunnel(reloadable.server, echo_origin))


def test_an_open_proxy_is_refused_by_a_reload_as_by_a_start(serve, tmp_path) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    reloadable.write("allow anyone to public", listeners=LISTENER + '[[listen]]\naddress = "0.0.0.0:1081"\n')
    run = stile("reload", "--socket", f"unix:{tmp_path}/control.sock")
    assert run.returncode == BAD_CONFIGURATION and "cannot listen on 0.0.0.0:1081" in run.stderr


def test_sighup_reloads(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, NOTHING)
    reloadable.write(ALL)
    reloadable.server.process.send_signal(signal.SIGHUP)
    wait_until("the server says so", lambda: "reloaded (generation 1)" in reloadable.server.errors())
    assert echoes(tunnel(reloadable.server, echo_origin))


def test_without_a_file_there_is_nothing_to_reload(serve) -> None:
    server = serve()
    server.process.send_signal(signal.SIGHUP)
    wait_until("the server says so", lambda: "there is no configuration file to read again" in server.errors())
    assert accepts(*server.proxy)


def test_listeners_come_and_go(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    kept = tunnel(reloadable.server, echo_origin)
    second = free_port()
    another = f'[[listen]]\naddress = "127.0.0.1:{second}"\n'
    path = tmp_path / "clients.sock"
    local = f'[[listen]]\naddress = "unix:{path}"\n'
    reloadable.write(ALL, listeners=LISTENER + another + local)
    reloadable.reloaded()
    assert path.exists()
    through_second, reply = raw_socks.ask(("127.0.0.1", second), raw_socks.request(echo_origin.host, echo_origin.port))
    assert reply.code == 0
    reloadable.write(ALL, listeners=another)
    reloadable.reloaded()
    assert not path.exists() and not accepts(*reloadable.server.proxy)
    assert echoes(kept) and echoes(through_second)
    reloadable.write(ALL)
    reloadable.reloaded()
    assert accepts(*reloadable.server.proxy) and echoes(through_second)


def test_a_listener_that_cannot_open_changes_nothing(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        reloadable.write(NOTHING, listeners=LISTENER + f'[[listen]]\naddress = "127.0.0.1:{port}"\n')
        run = reloadable.reload()
    assert run.returncode == 1 and f"cannot listen on 127.0.0.1:{port}" in run.stderr
    assert echoes(tunnel(reloadable.server, echo_origin)), "the old rules hold"


def test_what_a_listener_admits_changes(serve, tmp_path, echo_origin) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    reloadable.write(ALL, listeners=LISTENER + 'protocols = ["http"]\n')
    reloadable.reloaded()
    with socket.create_connection(reloadable.server.proxy) as client:
        client.settimeout(20)
        client.sendall(raw_socks.GREETING)
        assert client.recv(2) == b""


def test_what_takes_a_restart_is_said(serve, tmp_path) -> None:
    reloadable = Reloadable(serve, tmp_path, ALL)
    reloadable.write(ALL, listeners="workers = 3\n" + LISTENER)
    assert "'workers' takes effect at the next start" in reloadable.reload().stdout


def test_kerberos_comes_with_the_start_alone(serve, tmp_path) -> None:
    """A helper that began without it could only fail each ticket."""
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    methods = LISTENER + 'auth = ["command"]\n' + f'[command]\nprogram = ["{program}"]\n'
    reloadable = Reloadable(serve, tmp_path, ALL, listeners=methods)
    keytab = tmp_path / "socks.keytab"
    keytab.touch()
    reloadable.write(ALL, listeners=methods.replace('"]\n[', '", "gssapi"]\n[') + f'[gssapi]\nkeytab = "{keytab}"\n')
    run = reloadable.reload()
    assert run.returncode != 0
    assert "what Kerberos needs comes with the start" in run.stderr
    reloadable.write(NOTHING, listeners=methods)
    assert reloadable.reloaded()["generation"] == 1


def test_the_control_socket_is_for_its_group(serve, tmp_path) -> None:
    Reloadable(serve, tmp_path, ALL)
    assert stat.S_IMODE(os.stat(tmp_path / "control.sock").st_mode) == 0o660
    for request in (b"nonsense\n", b'{"request":"stop"}\n', b"[]\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "control.sock"))
            client.settimeout(20)
            client.sendall(request)
            assert json.loads(raw_socks.receive_all(client))["done"] is False


def test_where_no_server_can_be_asked(serve, tmp_path) -> None:
    run = stile("reload", "--socket", f"unix:{tmp_path}/nothing.sock")
    assert run.returncode == 1 and "is it running" in run.stderr
    assert stile("reload").returncode == 2
    assert stile("reload", "--socket", "here").returncode == 2


def loaded(reloadable: Reloadable, mode: str, *arguments: object) -> subprocess.Popen:
    host, port = reloadable.server.proxy
    command = [BINARY, "bench", mode, "--via", f"socks5h://{host}:{port}", "--json", *arguments]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def test_no_session_is_lost_by_reloads(serve, tmp_path) -> None:
    """R4: tunnels with checked traffic and new connections all the while; every tenth file is broken."""
    sessions, reloads, arrivals = 1000, 20, 200
    if os.environ.get("STILE_FULL"):
        sessions, reloads, arrivals = 9000, 100, 1000
    reloadable = Reloadable(serve, tmp_path, ALL, log="none", descriptors=20000)
    tunnels = loaded(reloadable, "rr", "--connections", sessions, "--rate", sessions, "--seconds", 300)
    wait_until("tunnels stand", lambda: reloadable.server.sockets() >= 2 * sessions, 60)
    newcomers = loaded(reloadable, "connect", "--connections", 32, "--rate", arrivals, "--seconds", 300)
    kept = []
    for number in range(reloads):
        broken = number % 10 == 9
        reloadable.write("frobnicate" if broken else f"generation-{number}: {ALL}")
        run = stile("reload", "--socket", f"unix:{tmp_path}/control.sock", "--json")
        assert run.returncode == (BAD_CONFIGURATION if broken else 0)
        answer = json.loads(run.stdout)
        if not broken:
            assert answer["sessions_ended"] == 0
            kept.append(answer["sessions_kept"])
    assert min(kept) >= sessions
    for load in (newcomers, tunnels):
        load.send_signal(signal.SIGINT)
        figures = json.loads(load.communicate(timeout=60)[0])
        assert figures["errors"] == {} and figures["verified"] is True and figures["operations_total"] > 0
