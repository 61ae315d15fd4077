"""Starting, refusing to start, recording, draining, ending; and what the command line says about itself."""

import fcntl
import json
import signal
import socket
import termios
import time
from pathlib import Path

import pytest
import raw_socks
import traffic
from networks import Lab, Namespace
from origins import echo
from processes import accepts, free_port, stile, wait_until
from server import Server

FAILED, USAGE, BAD_CONFIGURATION = 1, 2, 78

# --- Starting -----------------------------------------------------------------------------------------------------


def test_nothing_configured_listens_on_loopback_alone(serve, lone_host: Namespace) -> None:
    lone_host.run("ip", "address", "add", "10.77.0.1/32", "dev", "lo")
    server = serve(listen=False, port=1080, namespace=lone_host)
    with lone_host.inside():
        assert accepts("::1", 1080)
        assert not accepts("10.77.0.1", 1080)
    for where in ("127.0.0.1:1080", "[::1]:1080"):
        assert f"listening on {where}" in server.errors()
    assert "without authentication" in server.errors(), "who may use it"


def test_a_missing_ipv6_loopback_is_a_warning(serve, lone_host: Namespace) -> None:
    lone_host.set("net.ipv6.conf.all.disable_ipv6", 1)
    server = serve(listen=False, port=1080, namespace=lone_host)
    assert "[::1]:1080" in server.errors() and "listening on 127.0.0.1:1080" in server.errors()


def test_a_local_client_reaches_what_a_local_user_could(serve, lab: Lab) -> None:
    """The preset of a loopback listener: loopback, this host's own addresses, private ones; not metadata (TS1)."""
    host, other = lab.host("proxy"), lab.host("other")
    lab.cable(host, ["10.77.0.1/24", "169.254.169.1/16"], other, ["10.77.0.2/24", "169.254.169.254/16"])
    server = serve(listen=False, port=1080, namespace=host)
    outcomes = {}
    with host.inside():
        for target in ("127.0.0.1", "10.77.0.1", "10.77.0.2", "169.254.169.253", "169.254.169.254", "224.0.0.1"):
            outcomes[target] = raw_socks.ask(server.proxy, raw_socks.request(target, 9))[1].code
        # Its own listener is never a target: no loop (TS2).
        outcomes["itself"] = raw_socks.ask(server.proxy, raw_socks.request("127.0.0.1", 1080))[1].code
    refused, denied = 5, 2
    assert outcomes == {
        "127.0.0.1": refused,
        "10.77.0.1": refused,
        "10.77.0.2": refused,
        "169.254.169.253": denied,
        "169.254.169.254": denied,
        "224.0.0.1": denied,
        "itself": denied,
    }


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "10.99.99.99"])
def test_no_open_proxy(address: str) -> None:
    """An address that is not loopback, without authentication and without a policy (TS3)."""
    result = stile("serve", "--listen", f"{address}:1080")
    assert result.returncode == BAD_CONFIGURATION
    assert f"{address}:1080" in result.stderr and "policy" in result.stderr, "it names the listener and a cure"
    assert result.stdout == ""


def test_a_policy_that_names_no_source_opens_nothing(tmp_path: Path) -> None:
    config = tmp_path / "stile.toml"
    config.write_text('[[listen]]\naddress = "0.0.0.0:1080"\n[policy]\nrules = "allow anyone to public"\n')
    assert stile("serve", "--config", config).returncode == BAD_CONFIGURATION
    config.write_text('[[listen]]\naddress = "0.0.0.0:1080"\n[policy]\nrules = "allow anyone from 10.0.0.0/8 to public"\n')
    assert stile("check", "--config", config).returncode == 0


def test_a_second_server_on_the_same_address(serve) -> None:
    """SO_REUSEPORT is for its own workers only (design 5.1)."""
    first = serve("--workers", 2)
    second = stile("serve", "--listen", first.address())
    assert second.returncode == FAILED
    assert "in use" in second.stderr and first.address() in second.stderr


def test_an_address_that_this_host_has_not(tmp_path: Path) -> None:
    config = tmp_path / "stile.toml"
    rules = "allow anyone from 10.0.0.0/8 to public"
    config.write_text(f'[[listen]]\naddress = "192.0.2.77:1080"\n[policy]\nrules = "{rules}"\n')
    result = stile("serve", "--config", config)
    assert result.returncode == FAILED and "192.0.2.77:1080" in result.stderr


def test_the_descriptor_limit_is_raised(serve) -> None:
    server = serve(descriptors="256:4096")
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5] == ["4096", "4096"]


# --- Configuration ------------------------------------------------------------------------------------------------

FAULTS = [
    ('[[listen]]\naddres = "127.0.0.1:1080"\n', "2:1", "'address'"),
    ('[[listen]]\naddress = "127.0.0.1"\n', "2:", "address"),
    ('[limits]\nhandshake = "ten"\n', "2:", "handshake"),
    ('log = "jsno"\n', "1:", "json"),
    ("[limits\n", "1:", ""),
    ('[policy]\nrules = """\nallow anyone to public\nallow anyome to public\n"""\n', "4:", ""),
]


@pytest.mark.parametrize(("text", "place", "says"), FAULTS)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_faults_have_a_place(tmp_path: Path, command: str, text: str, place: str, says: str) -> None:
    config = tmp_path / "stile.toml"
    config.write_text(text)
    result = stile(command, "--config", config)
    assert result.returncode == BAD_CONFIGURATION
    assert f"{config}:{place}" in result.stderr and says in result.stderr


def test_check_says_what_is_in_force_and_why(tmp_path: Path) -> None:
    config = tmp_path / "stile.toml"
    config.write_text('[[listen]]\naddress = "127.0.0.1:2080"\n[limits]\nhandshake = "7s"\n')
    assert stile("check", "--config", config).returncode == 0
    shown = stile("check", "--config", config, "--effective").stdout
    assert any("handshake" in line and "7s" in line and f"{config}:4" in line for line in shown.splitlines()), shown
    data = json.loads(stile("check", "--config", config, "--json").stdout)
    assert data["ok"] is True


def test_the_handshake_limit_is_the_configured_one(serve) -> None:
    server = serve(config='[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\nhandshake = "300ms"\n')
    client = raw_socks.dial(server.proxy)
    client.sendall(b"\x05")
    assert client.recv(1) == b""
    server.wait_for_record(reason="timeout.handshake")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "stile.toml"
    config.write_text("workers = 3\n")
    environment = {"STILE_WORKERS": "5"}

    def workers(**options) -> str:
        shown = stile("check", "--config", config, "--effective", **options).stdout
        return next(line for line in shown.splitlines() if line.startswith("workers"))

    assert '"3"' in workers() or "= 3" in workers()
    assert "5" in workers(environment=environment) and "STILE_WORKERS" in workers(environment=environment)


# --- Records ------------------------------------------------------------------------------------------------------


def test_an_admitted_session_has_one_start_and_one_end(serve, origin) -> None:
    server, far = serve(), origin(echo)
    with raw_socks.tunnel(server.proxy, "localhost", far.port) as client:
        own = "{}:{}".format(*client.getsockname())
        client.sendall(b"hello")
        assert raw_socks.receive(client, 5) == b"hello"
    end = server.wait_for_record(event="session.end")
    start = server.wait_for_record(event="session.start")
    assert [record["event"] for record in server.records()] == ["session.start", "session.end"]
    assert start["session"] == end["session"]
    for record in (start, end):
        assert record["client"] == own and record["listener"] == server.address()
        assert (record["protocol"], record["command"], record["target"]) == ("socks5", "connect", f"localhost:{far.port}")
        assert record["address"] == f"127.0.0.1:{far.port}" and record["reply"] == 0
    assert (end["bytes_up"], end["bytes_down"], end["reason"]) == (5, 5, "fin.client")
    assert float(end["seconds"]) >= 0


def test_every_other_session_has_one_record(serve) -> None:
    server = serve()
    for octets in (raw_socks.request("0.0.0.0", 80), raw_socks.request("127.0.0.1", free_port())):
        raw_socks.ask(server.proxy, octets)[0].close()
    with raw_socks.dial(server.proxy) as client:
        client.sendall(b"\x06 is no protocol of this port")
        assert raw_socks.receive_all(client) == b""
    for reason in ("deny.unspecified", "dial.refused", "proto.unknown"):
        server.wait_for_record(reason=reason)
    assert sorted(str(record["event"]) for record in server.records()) == ["denied", "error", "error"]


def test_a_probe_without_an_octet_leaves_no_record(serve) -> None:
    server = serve()
    raw_socks.dial(server.proxy).close()
    raw_socks.ask(server.proxy, raw_socks.request("0.0.0.0", 80))[0].close()
    server.wait_for_record(event="denied")
    assert len(server.records()) == 1


HOSTILE = b'a"\n{"event":"auth.failed","client":"192.0.2.4:1"}\n\x1b[31m\xe2\x80\xae'


@pytest.mark.parametrize("log", ["json", "text"])
def test_a_name_forges_no_record(serve, log: str) -> None:
    server = serve(log=log)
    raw_socks.ask(server.proxy, b"\x05\x01\x00" + raw_socks.name(HOSTILE, 80))[0].close()
    wait_until("the record is written", lambda: server.records_file.read_bytes().endswith(b"\n"))
    octets = server.records_file.read_bytes()
    assert octets.count(b"\n") == 1
    assert all(0x20 <= octet <= 0x7E for octet in octets.rstrip(b"\n"))
    if log == "json":
        assert json.loads(octets)["event"] == "error"


def test_log_none_writes_nothing(serve, origin) -> None:
    server = serve(log="none")
    raw_socks.tunnel(server.proxy, "127.0.0.1", origin(echo).port).close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert server.records_file.read_bytes() == b""


# --- Ending -------------------------------------------------------------------------------------------------------

DRAIN = '[[listen]]\naddress = "127.0.0.1:PORT"\n[limits]\ndrain = "{}"\n'


def begin_drain(server: Server, number: signal.Signals) -> None:
    server.process.send_signal(number)
    wait_until("it stops accepting", lambda: not accepts(*server.proxy))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_tunnels_end(serve, origin, number: signal.Signals) -> None:
    server, far = serve(), origin(echo)
    client = raw_socks.tunnel(server.proxy, far.host, far.port)
    begin_drain(server, number)
    for _ in range(3):
        client.sendall(b"still served")
        assert raw_socks.receive(client, 12) == b"still served"
    assert server.process.poll() is None
    client.shutdown(socket.SHUT_WR)
    traffic.expect_end(client)
    assert server.process.wait(20) == 0
    assert server.wait_for_record(event="session.end")["reason"] == "fin.client"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_to_drain_ends_at_once(serve, number: signal.Signals) -> None:
    server = serve()
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert server.records() == []


def test_the_drain_limit_ends_what_stays(serve, origin) -> None:
    server, far = serve(config=DRAIN.format("500ms")), origin()
    client = raw_socks.tunnel(server.proxy, far.host, far.port)
    target = far.accept()
    begin_drain(server, signal.SIGTERM)
    assert server.process.wait(20) == 0
    for end in (client, target):
        assert end_of(end) in ("FIN", "RST")
    assert server.wait_for_record(event="session.end")["reason"] == "drain"


def end_of(connection: socket.socket) -> str:
    try:
        return "octets" if connection.recv(1) else "FIN"
    except ConnectionResetError:
        return "RST"


def test_a_second_signal_stops_at_once(serve, origin) -> None:
    """Long before the drain limit of 60 s. A tunnel with octets under way is reset: it must not look complete."""
    server, far = serve(), origin()
    idle, idle_target = raw_socks.tunnel(server.proxy, far.host, far.port), far.accept()
    busy, busy_target = raw_socks.tunnel(server.proxy, far.host, far.port), far.accept()
    sending = traffic.in_thread(traffic.send, busy, 1, 64 << 20)
    wait_until("the tunnel is full", lambda: stalled(busy))
    begin_drain(server, signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert {end_of(idle), end_of(idle_target)} <= {"FIN", "RST"}
    with pytest.raises(ConnectionResetError):
        raw_socks.receive_all(busy_target)
    with pytest.raises(OSError):
        sending.result(20)
    assert [record["reason"] for record in server.records() if record["event"] == "session.end"] == ["drain", "drain"]


def stalled(writer: socket.socket) -> bool:
    """Whether nothing has left its full send queue for a while: the proxy holds all that it can."""
    looks = []
    for _ in range(5):
        time.sleep(0.02)
        looks.append(fcntl.ioctl(writer, termios.TIOCOUTQ, bytes(4)))
    return len(set(looks)) == 1 and looks[0] != bytes(4)


def test_a_handshake_under_way_does_not_hold_up_the_end(serve) -> None:
    server = serve()
    client = raw_socks.dial(server.proxy)
    client.sendall(raw_socks.GREETING)
    assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert end_of(client) in ("FIN", "RST")


# --- The command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["check", "--help"], ["explain", "--help"]])
def test_help_has_an_example(words: list[str]) -> None:
    result = stile(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Example" in result.stdout and "stile" in result.stdout


def test_version_ends_with_the_features() -> None:
    result = stile("--version")
    assert result.returncode == 0 and result.stdout.splitlines()[-1].startswith("features:")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serv"], "serve"),
        (["serve", "--lisen", "127.0.0.1:1"], "--listen"),
        (["serve", "--workers", "many"], "workers"),
        (["serve", "--log", "jsn"], "json"),
        (["serve", "--listen", "localhost:1080"], "localhost"),
    ],
)
def test_mistakes_are_named_and_corrected(words: list[str], hint: str) -> None:
    result = stile(*words)
    assert result.returncode == USAGE
    assert result.stderr.startswith("stile: ") and hint in result.stderr
