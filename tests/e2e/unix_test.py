"""Unix-domain listeners: curl, ncat and raw octets; permissions, identities, stale files, and every command."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import raw_socks
from datagrams import DatagramEcho
from origins import echo
from processes import BINARY, ENVIRONMENT, free_port, run, stile, wait_until
from server import Server

NOBODY = 65534
FILE = """
[[listen]]
address = "127.0.0.1:PORT"
[[listen]]
address = "unix:{path}"
{more}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def at_file(serve, path: Path, more: str = "", **options) -> Server:
    return serve(config=FILE.format(path=path, more=more), **options)


def dial(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    raw_socks.opened.append(connection)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


def ask(path: Path, octets: bytes) -> tuple[socket.socket, raw_socks.Reply]:
    connection = dial(path)
    connection.sendall(raw_socks.GREETING + octets)
    assert raw_socks.receive(connection, 2) == raw_socks.METHOD_NONE
    return connection, raw_socks.receive_reply(connection)


def test_curl(serve, origin, path: Path) -> None:
    server = at_file(serve, path)
    far = origin(lambda c: (c.recv(4096), c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")))
    result = run("curl", "-sS", "--noproxy", "", "-x", f"socks5h://localhost{path}", f"http://127.0.0.1:{far.port}/")
    assert (result.returncode, result.stdout) == (0, "hello")
    start = server.wait_for_record(event="session.start")
    assert start["listener"] == f"unix:{path}" and "client" not in start
    assert (start["user"], start["method"]) == (f"uid:{os.geteuid()}", "unix"), "the kernel's word"
    assert f"listening on unix:{path} (SOCKS5" in server.errors()


def test_ncat(serve, origin, path: Path) -> None:
    """ncat as a bare pipe to the socket, for both versions of SOCKS."""
    at_file(serve, path)
    far = origin(lambda c: c.sendall(b"from afar"))
    port = far.port.to_bytes(2, "big")
    requests = {
        raw_socks.GREETING + raw_socks.request("127.0.0.1", far.port): b"\x05\x00\x05\x00",
        b"\x04\x01" + port + bytes([127, 0, 0, 1]) + b"bob\0": b"\x00\x5a",
    }
    for request, beginning in requests.items():
        client = subprocess.run(["ncat", "-U", str(path)], input=request, capture_output=True, timeout=30)
        assert client.stdout.startswith(beginning) and client.stdout.endswith(b"from afar")


def test_much_passes_both_ways_through_every_worker(serve, origin, path: Path) -> None:
    server = serve("--workers", 3, config=FILE.format(path=path, more=""))
    far = origin(echo)
    octets = os.urandom(3_000_000)
    connections = [ask(path, raw_socks.request("127.0.0.1", far.port))[0] for _ in range(24)]
    for connection in connections[:4]:
        sender = threading.Thread(target=send_and_end, args=(connection, octets))
        sender.start()
        assert raw_socks.receive_all(connection) == octets, "and FIN travels as FIN"
        sender.join()
    for connection in connections[4:]:
        connection.sendall(b"x")
        assert raw_socks.receive(connection, 1) == b"x"
        connection.close()
    wait_until("every session is over", lambda: sum(r["event"] == "session.end" for r in server.records()) >= 20)


def send_and_end(connection: socket.socket, octets: bytes) -> None:
    connection.sendall(octets)
    connection.shutdown(socket.SHUT_WR)


def open_folders(path: Path) -> None:
    """Lets other users reach a file of this test, as far as its folders go."""
    for folder in path.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def test_permissions(serve, path: Path) -> None:
    at_file(serve, path, f'mode = "0620"\nowner = "{NOBODY}"\ngroup = "daemon"')
    status = path.lstat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o620, NOBODY, 1)


def test_the_default_mode_keeps_others_out(serve, path: Path) -> None:
    at_file(serve, path)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o660
    open_folders(path)
    assert as_nobody(path, b"") == b"PermissionError"


def as_nobody(path: Path, request: bytes) -> bytes:
    """What a client that is nobody receives, or the name of the exception that it meets."""
    script = (
        "import socket, sys\n"
        "try:\n"
        "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "    s.sendall(bytes.fromhex(sys.argv[2])); s.shutdown(socket.SHUT_WR)\n"
        "    sys.stdout.buffer.write(b''.join(iter(lambda: s.recv(4096), b'')))\n"
        "except OSError as e:\n"
        "    sys.stdout.buffer.write(type(e).__name__.encode())\n"
    )
    command = [sys.executable, "-c", script, str(path), request.hex()]
    return subprocess.run(command, stdout=subprocess.PIPE, user=NOBODY, group=NOBODY, extra_groups=[], timeout=30).stdout


def test_rules_tell_local_users_apart(serve, origin, path: Path) -> None:
    far = origin(lambda c: c.sendall(b"hello"))
    open_folders(path)
    rules = f"mode = '0666'\n[policy]\nrules = 'nobodys: allow uid:{NOBODY} to loopback'\n"
    server = at_file(serve, path, rules)
    request = raw_socks.request("127.0.0.1", far.port)
    assert ask(path, request)[1].code == 2, "root is not the user that the rule is for"
    answer = as_nobody(path, raw_socks.GREETING + request)
    assert answer[:4] == b"\x05\x00\x05\x00" and answer.endswith(b"hello")
    assert server.wait_for_record(event="session.start")["user"] == f"uid:{NOBODY}"
    assert server.wait_for_record(event="denied")["user"] == f"uid:{os.geteuid()}"
    with socket.create_connection(server.proxy) as tcp:
        tcp.sendall(raw_socks.GREETING + request)
        assert raw_socks.receive(tcp, 4)[2:] == b"\x05\x02", "over TCP nobody is known"


def test_udp_serves_the_port_that_the_request_names(serve, path: Path) -> None:
    server, far = at_file(serve, path), DatagramEcho()
    for claim in (("0.0.0.0", 0), ("127.0.0.1", 0), ("192.0.2.1", 5000), ("localhost", 5000)):
        connection, reply = ask(path, raw_socks.request(*claim, 3))
        assert reply.code == 1 and raw_socks.receive_all(connection) == b"", claim
    wait_until("four refusals", lambda: sum(r.get("reason") == "udp.claim" for r in server.records()) == 4)
    with socket.socket(type=socket.SOCK_DGRAM) as mine, socket.socket(type=socket.SOCK_DGRAM) as anothers:
        mine.bind(("127.0.0.1", 0))
        anothers.bind(("127.0.0.1", 0))
        mine.settimeout(10)
        control, reply = ask(path, raw_socks.request(*mine.getsockname(), 3))
        assert (reply.code, reply.host) == (0, "127.0.0.1")
        datagram = bytes(3) + raw_socks.address(far.host, far.port)
        anothers.sendto(datagram + b"first", (reply.host, reply.port))
        mine.sendto(datagram + b"mine", (reply.host, reply.port))
        assert mine.recv(2048) == datagram + b"mine"
        control.close()
    end = server.wait_for_record(event="session.end")
    assert (end["packets_up"], end["packets_down"]) == (1, 1)
    far.close()


def test_udp_over_ipv6_loopback(serve, path: Path) -> None:
    at_file(serve, path)
    far = DatagramEcho("::1")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as mine:
        mine.bind(("::1", 0))
        mine.settimeout(10)
        control, reply = ask(path, raw_socks.request(*mine.getsockname()[:2], 3))
        assert (reply.code, reply.host) == (0, "::1")
        datagram = bytes(3) + raw_socks.address("::1", far.port)
        mine.sendto(datagram + b"six", (reply.host, reply.port))
        assert mine.recv(2048) == datagram + b"six"
        control.close()
    far.close()


def test_bind_waits_on_loopback(serve, path: Path) -> None:
    at_file(serve, path)
    client, first = ask(path, raw_socks.request("0.0.0.0", 0, 2))
    assert (first.code, first.host) == (0, "127.0.0.1") and first.port != 0
    with raw_socks.dial((first.host, first.port)) as peer:
        second = raw_socks.receive_reply(client)
        assert (second.host, second.port) == peer.getsockname()
        peer.sendall(b"across")
        assert raw_socks.receive(client, 6) == b"across"
    client.close()


def test_a_header_may_name_the_client(serve, origin, path: Path) -> None:
    """A local balancer in front of the socket: its clients count as 127.0.0.1, and must send a header."""
    far = origin(echo)
    more = "proxy_protocol_from = '127.0.0.1'\n[policy]\nrules = 'allow anyone from 203.0.113.9 to loopback'\n"
    server = at_file(serve, path, more)
    with dial(path) as client:
        header = b"PROXY TCP4 203.0.113.9 198.51.100.7 5000 1080\r\n"
        client.sendall(header + raw_socks.GREETING + raw_socks.request("127.0.0.1", far.port) + b"x")
        assert raw_socks.receive(client, 2) == raw_socks.METHOD_NONE
        assert raw_socks.receive_reply(client).code == 0
        assert raw_socks.receive(client, 1) == b"x"
    start = server.wait_for_record(event="session.start")
    assert start["client"] == "203.0.113.9:5000" and "user" not in start, "the socket's user is the balancer"
    with dial(path) as client:
        client.sendall(raw_socks.GREETING)
        assert raw_socks.receive_all(client) == b""
    server.wait_for_record(reason="pp.missing")


@pytest.mark.parametrize("version", [1, 2])
def test_a_target_is_told_of_no_client(serve, origin, path: Path, version: int) -> None:
    far = origin()
    more = f"[[proxy_protocol_to]]\ntargets = '127.0.0.1:{far.port}'\nversion = {version}\n"
    at_file(serve, path, more)
    client, reply = ask(path, raw_socks.request("127.0.0.1", far.port) + b"x")
    target = far.accept()
    own = "PROXY TCP4 {0} {0} {1} {2}\r\n".format(reply.host, reply.port, far.port).encode()
    expected = own if version == 1 else bytes.fromhex("0D0A0D0A000D0A515549540A 20 00 0000")
    assert raw_socks.receive(target, len(expected) + 1) == expected + b"x"
    client.close()


# --- The file ---------------------------------------------------------------------------------------------------------


def test_the_flag_and_the_end(serve, path: Path) -> None:
    port = free_port()
    server = serve("--listen", f"unix:{path}", "--listen", f"127.0.0.1:{port}", listen=False, port=port)
    assert ask(path, raw_socks.request("127.0.0.1", port))[1].code == 2, "its own listener"
    raw_socks.close_all()
    server.process.send_signal(signal.SIGTERM)
    wait_until("the file is gone", lambda: not path.exists())
    assert server.process.wait(30) == 0


def test_a_stale_file_is_replaced_and_a_live_one_is_not(serve, path: Path) -> None:
    dead = subprocess.Popen([str(BINARY), "serve", "--listen", f"unix:{path}"], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    wait_until("it listens", path.exists)
    dead.kill()
    dead.wait()
    assert path.exists(), "a killed server leaves its file"
    at_file(serve, path)
    second = stile("serve", "--listen", f"unix:{path}")
    assert second.returncode == 1 and "Address already in use" in second.stderr
    assert ask(path, raw_socks.request("127.0.0.1", 9))[1].code == 5, "the first is still there"


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    result = stile("serve", "--listen", f"unix:{path}")
    assert result.returncode == 1 and "no socket" in result.stderr and str(path) in result.stderr
    assert path.read_text() == "precious"


def test_unknown_owners_are_told_of(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "stile.toml"
    file.write_text(f'[[listen]]\naddress = "unix:{path}"\nowner = "nobody-is-called-so"\n')
    result = stile("serve", "--config", file)
    assert result.returncode == 1 and "owner or group is unknown" in result.stderr
    assert not path.exists()
