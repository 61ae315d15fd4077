"""Who may use the proxy with a password: SOCKS5 and HTTP, with the programs that people use, and octet by octet."""

import base64
import json
import os
import pty
import signal
import socket
import threading
from pathlib import Path

import pytest
import raw_socks
import socks
from http_origins import HttpOrigin
from logins import GRANTED, REFUSED, add_user, credentials, log_in
from networks import Lab
from origins import echo
from processes import BINARY, ENVIRONMENT, run, stile, wait_until
from server import Server
from web import WebServer

CONFIG = '[[listen]]\naddress = "127.0.0.1:PORT"\n[users]\nfile = "{users}"\n'
SECRETS = ("correct horse", "battery staple")


@pytest.fixture(scope="module")
def users(tmp_path_factory) -> Path:
    """alice of the staff, and bob; made by the command that people use."""
    file = tmp_path_factory.mktemp("users") / "users"
    add_user(file, "alice", SECRETS[0], "staff")
    add_user(file, "bob", SECRETS[1])
    return file


@pytest.fixture
def server(serve, users: Path) -> Server:
    return serve(config=CONFIG.format(users=users))


def curl(server: Server, scheme: str, user: str, *words: object):
    return run("curl", "-sS", "--noproxy", "", "-x", "{}://{}:{}".format(scheme, *server.proxy), "-U", user, *words)


# --- programs that people use ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_curl(server: Server, origin, scheme: str) -> None:
    far = HttpOrigin()
    try:
        result = curl(server, scheme, f"alice:{SECRETS[0]}", f"{far.url}/length/3", "-o", "/dev/null", "-w", "%{http_code}")
        assert result.stdout == "200", result.stderr
        end = server.wait_for_record(event="session.end", user="alice")
        assert end["method"] == "password"
        for user in ("alice:wrong", f"nobody:{SECRETS[0]}"):
            refused = curl(server, scheme, user, far.url, "-o", "/dev/null")
            assert refused.returncode != 0 or scheme == "http"
        failed = server.wait_for_record(event="auth.failed", user="nobody")
        assert failed["reason"] == "auth.failed" and str(failed["client"]).startswith("127.0.0.1:")
        unauthenticated = run("curl", "-sS", "--noproxy", "", "-x", "{}://{}:{}".format(scheme, *server.proxy), far.url)
        assert unauthenticated.returncode != 0 or "407" in unauthenticated.stdout
    finally:
        far.close()


def test_curl_finds_out_what_the_proxy_wants(server: Server) -> None:
    """With --proxy-anyauth it asks first, is told Basic, and comes back on the same connection."""
    far = HttpOrigin()
    try:
        result = curl(server, "http", f"bob:{SECRETS[1]}", "--proxy-anyauth", f"{far.url}/length/3", "-v", "-o", "/dev/null")
        assert result.returncode == 0, result.stderr
        assert 'Proxy-Authenticate: Basic realm="stile", charset="UTF-8"' in result.stderr
        assert "Re-using existing connection" in result.stderr
    finally:
        far.close()


def test_pysocks(server: Server, origin) -> None:
    far = origin(echo)
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5, *server.proxy, username="alice", password=SECRETS[0])
        client.connect(("127.0.0.1", far.port))
        client.sendall(b"across")
        assert client.recv(6) == b"across"
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5, *server.proxy, username="alice", password="wrong")
        with pytest.raises(socks.ProxyError, match="authentication failed"):
            client.connect(("127.0.0.1", far.port))


def test_ncat(server: Server, origin) -> None:
    far = origin(echo)
    words = ("--proxy", "{}:{}".format(*server.proxy), "--proxy-type", "socks5", "127.0.0.1", str(far.port))
    result = run("ncat", "--proxy-auth", f"alice:{SECRETS[0]}", *words, input="across")
    assert result.stdout == "across", result.stderr
    http = tuple("http" if word == "socks5" else word for word in words)
    assert run("ncat", "--proxy-auth", f"bob:{SECRETS[1]}", *http, input="again").stdout == "again"
    assert run("ncat", "--proxy-auth", "alice:wrong", *words, input="across").returncode != 0


def test_stile_itself_logs_in(server: Server) -> None:
    user = f"alice:{SECRETS[0].replace(' ', '%20')}"
    result = stile("bench", "rr", "--via", "socks5h://{}@{}:{}".format(user, *server.proxy), "--seconds", "0.2", "--warmup", "0")
    assert result.returncode == 0, result.stderr
    server.wait_for_record(event="session.end", user="alice")


# --- octet by octet -------------------------------------------------------------------------------------------------


def end_of(connection: socket.socket) -> bytes:
    return raw_socks.receive_all(connection)


@pytest.mark.parametrize(
    ("user", "password"),
    [("alice", "wrong"), ("nobody", "wrong"), ("alice", ""), ("", "x"), ("", ""), (b"alice\0x", SECRETS[0]), (b"al\nice", "x"),
     ("alice", b"correct horse\0"), ("Alice", SECRETS[0]), ("alic", SECRETS[0]), ("u" * 255, "p" * 255)],
)  # fmt: skip
def test_every_refusal_is_the_same(server: Server, user: str | bytes, password: str | bytes) -> None:
    """Threats TA3, TA4, TA6, and RFC 1929: the same two octets, then the end. What stands behind has no effect."""
    connection, answer = log_in(server.proxy, user, password)
    assert answer == REFUSED
    connection.sendall(raw_socks.request("127.0.0.1", server.proxy[1]))
    assert end_of(connection) == b""
    assert server.wait_for_record(event="auth.failed")["reason"] == "auth.failed"


def test_a_request_behind_a_login_in_one_segment(server: Server, origin) -> None:
    """Vector C2: everything at once, early data included."""
    far = origin(echo)
    with raw_socks.dial(server.proxy) as client:
        request = raw_socks.request("127.0.0.1", far.port)
        client.sendall(b"\x05\x01\x02" + credentials("alice", SECRETS[0]) + request + b"HI")
        assert raw_socks.receive(client, 4) == b"\x05\x02" + GRANTED
        assert raw_socks.receive_reply(client).code == 0
        assert raw_socks.receive(client, 2) == b"HI"


def test_no_password_no_service(server: Server) -> None:
    """Threats TA1, TA2: neither another list of methods, nor SOCKS4, nor HTTP goes around it."""
    for greeting in (b"\x05\x01\x00", b"\x05\x00", b"\x05\x02\x01\x80", b"\x05\x01\xff"):
        with raw_socks.dial(server.proxy) as client:
            client.sendall(greeting + raw_socks.request("127.0.0.1", 80))
            assert raw_socks.receive_all(client) == b"\x05\xff"
    with raw_socks.dial(server.proxy) as client:
        client.sendall(b"\x04\x01\x00\x50\x7f\x00\x00\x01alice\0")
        assert raw_socks.receive_all(client) == b""
    with raw_socks.dial(server.proxy) as client:
        client.sendall(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\nProxy-Connection: close\r\n\r\n")
        assert raw_socks.receive_all(client).startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
    with raw_socks.dial(server.proxy) as client:
        client.sendall(b"\x05\x01\x02" + raw_socks.request("127.0.0.1", 80))
        assert raw_socks.receive_all(client) == b"\x05\x02", "a request where the login is due"
    server.wait_for_record(reason="auth.version")
    assert not [record for record in server.records() if str(record["event"]).startswith("session")]


def test_http_refusals_are_the_same(server: Server) -> None:
    def answer(value: str) -> bytes:
        with raw_socks.dial(server.proxy) as client:
            field = f"Proxy-Authorization: {value}\r\n" if value else ""
            client.sendall(f"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{field}\r\n".encode())
            return raw_socks.receive_all(client)

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    missing = answer("")
    assert missing.startswith(b"HTTP/1.1 407 ") and b'\r\nProxy-Authenticate: Basic realm="stile", charset="UTF-8"\r\n' in missing
    for value in (basic("alice:wrong"), basic("nobody:wrong"), basic("alice:"), basic("a\0b:x"), "Basic !", "Bearer x"):
        assert answer(value) == missing, value
    assert answer(basic(f"alice:{SECRETS[0]}")).startswith(b"HTTP/1.1 502 "), "the target refuses, the proxy does not"


def test_policy_and_records_know_the_user(serve, users: Path, origin) -> None:
    rules = f"[policy]\nrules = '''\nstaff: allow group:staff to 127.0.0.0/8\nbob: deny bob to any\n'''\n"
    server, far = serve(config=CONFIG.format(users=users) + rules), origin(echo)
    outcomes = {"alice": 0, "bob": 2}
    for (user, code), password in zip(outcomes.items(), SECRETS):
        connection, answer = log_in(server.proxy, user, password)
        assert answer == GRANTED
        connection.sendall(raw_socks.request("127.0.0.1", far.port))
        assert raw_socks.receive_reply(connection).code == code
        connection.close()
    assert server.wait_for_record(event="session.end", user="alice")["rule"] == "staff"
    assert server.wait_for_record(event="denied", user="bob")["rule"] == "bob"


def test_no_output_holds_a_password(server: Server, users: Path) -> None:
    """Threat TL2: neither records, nor messages, nor the file, nor what a process shows of itself."""
    for user, password in (("alice", SECRETS[0]), ("bob", SECRETS[0]), ("alice", "sentinel-password")):
        log_in(server.proxy, user, password)[0].close()
    server.wait_for_record(event="auth.failed", user="alice")
    texts = [server.records_file.read_text(), server.errors(), users.read_text()]
    texts += [Path(f"/proc/{server.process.pid}/{name}").read_text() for name in ("cmdline", "environ")]
    for secret in (*SECRETS, "sentinel-password"):
        assert not any(secret in text for text in texts)


# --- users come and go ----------------------------------------------------------------------------------------------


def reload(server: Server, what: str) -> None:
    """Asks for it by signal and waits until the server says what came of it."""
    before = server.errors().count(what)
    server.process.send_signal(signal.SIGHUP)
    wait_until(f"the server says '{what}'", lambda: server.errors().count(what) > before)


def change(users: Path, action: str, name: str, password: str = "") -> None:
    result = stile("user", action, name, "--file", users, input=password + "\n")
    assert result.returncode == 0, result.stderr


def test_a_changed_password_counts_at_once(serve, tmp_path: Path, origin) -> None:
    """Threat TA10: the old one fails although it was remembered, and the tunnels that it opened end."""
    users, far = tmp_path / "users", origin(echo)
    add_user(users, "alice", "old")
    add_user(users, "bob", "kept")
    server = serve(config=CONFIG.format(users=users))

    def tunnel(user: str, password: str) -> socket.socket:
        connection, answer = log_in(server.proxy, user, password)
        assert answer == GRANTED
        connection.sendall(raw_socks.request("127.0.0.1", far.port))
        assert raw_socks.receive_reply(connection).code == 0
        return connection

    alice, bob = tunnel("alice", "old"), tunnel("bob", "kept")
    change(users, "passwd", "alice", "new")
    reload(server, "reloaded")
    with pytest.raises(ConnectionResetError):
        alice.recv(1)
    bob.sendall(b"still here")
    assert raw_socks.receive(bob, 10) == b"still here"
    assert log_in(server.proxy, "alice", "old")[1] == REFUSED
    assert log_in(server.proxy, "alice", "new")[1] == GRANTED
    change(users, "remove", "bob")
    reload(server, "reloaded")
    with pytest.raises(ConnectionResetError):
        bob.recv(1)
    assert log_in(server.proxy, "bob", "kept")[1] == REFUSED
    server.wait_for_record(event="session.end", user="bob", reason="policy.changed")


def test_a_file_with_faults_changes_nothing(serve, tmp_path: Path) -> None:
    users = tmp_path / "users"
    add_user(users, "alice", "right")
    server = serve(config=CONFIG.format(users=users))
    users.write_text(users.read_text() + "mallory:plain text\n")
    reload(server, f"{users}:2:9: this is no password hash")
    assert "plain text" not in server.errors()
    assert log_in(server.proxy, "alice", "right")[1] == GRANTED


# --- a storm --------------------------------------------------------------------------------------------------------


class Storm:
    """Wrong passwords from this thread's namespace, as fast as they go, until it is stopped; at most so many a second."""

    def __init__(self, proxy: tuple[str, int], source: str, users: int = 1000) -> None:
        self.proxy, self.source, self.users = proxy, source, users
        self.tries = self.turned_away = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                with socket.create_connection(self.proxy, 5, source_address=(self.source, 0)) as client:
                    client.sendall(b"\x05\x01\x02" + credentials(f"user{self.tries % self.users}", "wrong"))
                    answer = raw_socks.receive_all(client)
                    assert answer in (b"\x05\x02" + REFUSED, b"")
                    self.turned_away += answer == b""
            except OSError:
                self.turned_away += 1
            self.tries += 1


def storm_config(users: Path, exempt: str) -> str:
    return (
        f'[[listen]]\naddress = "10.78.0.1:1080"\n[users]\nfile = "{users}"\ncache = "0s"\n'
        f"[limits]\npenalty_exempt = [{exempt}]\n[policy]\nrules = 'allow authenticated to public'\n"
    )


@pytest.mark.parametrize("exempt", ["", '"10.78.0.66"'], ids=["penalised", "exempt"])
def test_a_login_storm_keeps_nobody_else_out(serve, lab: Lab, users: Path, exempt: str) -> None:
    """Threat TF1: a thousand wrong passwords a second and more from one source; a good user of another one always gets
    in. First the attacker is turned away at the door; then, exempt from that, only the queue's fairness is in the way."""
    proxy, others = lab.host("proxy"), lab.host("others")
    lab.cable(proxy, ["10.78.0.1/24"], others, ["10.78.0.2/24", "10.78.0.66/24"])
    server = serve(config=storm_config(users, exempt), host="10.78.0.1", port=1080, namespace=proxy)
    with others.inside():
        storms = [Storm(server.proxy, "10.78.0.66") for _ in range(8)]
        threads = [threading.Thread(target=storm.run) for storm in storms]
        for thread in threads:
            thread.start()
        try:
            for _ in range(40):
                with socket.create_connection(server.proxy, 30, source_address=("10.78.0.2", 0)) as client:
                    client.sendall(b"\x05\x01\x02" + credentials("alice", SECRETS[0]))
                    assert raw_socks.receive(client, 4) == b"\x05\x02" + GRANTED
        finally:
            for storm in storms:
                storm.stopped.set()
            for thread in threads:
                thread.join()
    tries, turned_away = sum(storm.tries for storm in storms), sum(storm.turned_away for storm in storms)
    print(f"{tries} wrong passwords, {turned_away} of them turned away at the door")
    assert tries > 40
    assert (turned_away > 0) == (exempt == "")


def test_a_penalty_is_the_sources_own(serve, lab: Lab, users: Path) -> None:
    """Threat TF2: a few wrong passwords, and that address is turned away without a word; its neighbour is not. Behind one
    NAT address all users share what one of them did: that is what penalty_exempt is for."""
    proxy, others = lab.host("proxy"), lab.host("others")
    lab.cable(proxy, ["10.78.0.1/24", "fd78::1/64"], others, ["10.78.0.2/24", "10.78.0.66/24", "fd78::2/64", "fd78::66/64"])
    config = '[[listen]]\naddress = "[fd78::1]:1080"\n' + storm_config(users, "")
    server = serve(config=config, host="10.78.0.1", port=1080, namespace=proxy)

    def attempt(proxy: str, source: str, password: str) -> bytes:
        try:
            with socket.create_connection((proxy, 1080), 30, source_address=(source, 0)) as client:
                client.sendall(b"\x05\x01\x02" + credentials("alice", password))
                return raw_socks.receive(client, 4)
        except ConnectionResetError:
            return b""

    def tries_until_turned_away(proxy: str, source: str) -> int:
        tries = 0
        while attempt(proxy, source, "wrong") == b"\x05\x02" + REFUSED:
            tries += 1
            assert tries < 100, "nobody turns it away"
        return tries

    with others.inside():
        # Three would do, if no time passed between them.
        assert (tries := tries_until_turned_away("10.78.0.1", "10.78.0.66")) >= 3
        assert attempt("10.78.0.1", "10.78.0.66", SECRETS[0]) == b""
        assert attempt("10.78.0.1", "10.78.0.2", SECRETS[0]) == b"\x05\x02" + GRANTED
        tries += tries_until_turned_away("fd78::1", "fd78::66")
        assert attempt("fd78::1", "fd78::2", SECRETS[0]) == b"", "of IPv6 a source is a /64"
    failed = lambda: [record for record in server.records() if record["event"] == "auth.failed"]  # noqa: E731
    wait_until("each failure is recorded", lambda: len(failed()) >= tries)
    assert len(failed()) == tries, "who is turned away is no record"


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_makes_and_lists(tmp_path: Path) -> None:
    file = tmp_path / "users"
    add_user(file, "alice", "right", "staff", "ops")
    assert file.stat().st_mode & 0o777 == 0o640
    name, digest, groups = file.read_text().strip().split(":")
    assert (name, groups) == ("alice", "staff,ops") and digest.startswith("$y$j9T$")
    file.write_text("# who may\n" + file.read_text() + "locked:!\n")
    listing = json.loads(stile("user", "list", "--file", file, "--json").stdout)
    assert listing == [
        {"name": "alice", "state": "active", "hash": "yescrypt", "groups": ["staff", "ops"]},
        {"name": "locked", "state": "locked", "hash": "none", "groups": []},
    ]
    assert stile("user", "list", "--file", file).stdout == "alice   active   yescrypt     staff,ops\nlocked  locked   none\n"
    assert stile("user", "remove", "locked", "--file", file).returncode == 0
    assert file.read_text().startswith("# who may\nalice:") and "locked" not in file.read_text()


def test_the_command_helps_who_errs(tmp_path: Path) -> None:
    file = tmp_path / "users"
    add_user(file, "alice", "right")
    cases = {
        ("add", "alice", "--file", file): (1, "the user 'alice' is there already (stile user passwd sets a password anew)"),
        ("passwd", "alise", "--file", file): (1, "there is no user 'alise' (did you mean 'alice'?)"),
        ("remove", "bob", "--file", tmp_path / "none"): (1, "cannot read"),
        ("add", "bob"): (2, "no file is named (add --file FILE)"),
        ("add", "--file", file): (2, "no user is named (stile user add NAME)"),
        ("add", "group:x", "--file", file): (2, "which no rule could write"),
        ("remvoe", "bob", "--file", file): (2, "did you mean 'remove'?"),
        ("list", "bob", "--file", file): (2, "one word too many"),
        ("passwd", "alice", "--group", "x", "--file", file): (2, "--group belongs to add"),
    }
    for words, (code, text) in cases.items():
        result = stile("user", *words, input="secret\n")
        assert (result.returncode, text in result.stderr) == (code, True), (words, result.stderr)
    for password, text in (("", "empty"), ("x" * 256, "longer than 255")):
        result = stile("user", "passwd", "alice", "--file", file, input=password + "\n")
        assert result.returncode == 1 and text in result.stderr
    before = file.read_text()
    file.write_text(before + "bob:plain\n")
    result = stile("user", "passwd", "alice", "--file", file, input="x\n")
    assert result.returncode == 1 and result.stderr.startswith(f"{file}:2:5: ")


def test_two_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "users"
    threads = [threading.Thread(target=add_user, args=(file, f"user{i}", "x")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(stile("user", "list", "--file", file, "--json").stdout)) == 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["users"]


def test_at_a_terminal_it_asks_twice_and_shows_nothing(tmp_path: Path) -> None:
    file = tmp_path / "users"
    child, terminal = pty.fork()
    if child == 0:
        os.execve(BINARY, [str(BINARY), "user", "add", "alice", "--file", str(file)], ENVIRONMENT)
    shown = b""

    def wait_for(prompt: bytes) -> None:
        nonlocal shown
        while prompt not in shown:
            shown += os.read(terminal, 1024)
        seen.append(shown)
        shown = shown.partition(prompt)[2]  # the next one may be there already

    seen: list[bytes] = []
    wait_for(b"Password for alice: ")
    os.write(terminal, b"one\r")
    wait_for(b"Once more: ")
    os.write(terminal, b"two\r")
    wait_for(b"two different ones")
    for prompt in (b"Password for alice: ", b"Once more: "):
        wait_for(prompt)
        os.write(terminal, b"secret\r")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert b"secret" not in b"".join(seen)
    assert file.read_text().startswith("alice:$y$")


def test_a_password_is_never_an_argument(tmp_path: Path) -> None:
    result = stile("user", "add", "alice", "secret", "--file", tmp_path / "users")
    assert result.returncode == 2 and "one word too many" in result.stderr
    assert "--password" not in stile("user", "--help").stdout


# --- at the start ---------------------------------------------------------------------------------------------------


def test_a_listener_for_others_may_ask_for_a_password_instead_of_naming_sources(serve, lone_host, users: Path) -> None:
    """Security reference, 1.1: neither authentication nor sources is refused; either will do."""
    lone_host.run("ip", "address", "add", "192.0.2.77", "dev", "lo")
    rules = "[policy]\nrules = 'allow anyone to public'\n"
    config = f'[[listen]]\naddress = "192.0.2.77:PORT"\n[users]\nfile = "{users}"\n{rules}'
    with lone_host.inside():
        server = serve(config=config, host="192.0.2.77", namespace=lone_host)
    assert "passwords for 192.0.2.77:" in server.errors() and "cross the network in clear" in server.errors()
    assert "users with a password, as 1 rule of the policy says" in server.errors()
    assert "2 users in" in server.errors()


def test_check_reads_the_users(tmp_path: Path, users: Path) -> None:
    config = tmp_path / "stile.toml"
    config.write_text('[users]\nfile = "users"\n')
    result = stile("check", "--config", config)
    assert result.returncode == 78 and f"cannot read {tmp_path}/users" in result.stderr
    (tmp_path / "users").write_text("alice:secret\n")
    result = stile("check", "--config", config)
    assert result.returncode == 78 and result.stderr.startswith(f"{tmp_path}/users:1:7: this is no password hash")
    (tmp_path / "users").write_text(users.read_text())
    assert stile("check", "--config", config).returncode == 0
    bcrypt = "carol:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
    (tmp_path / "users").write_text(users.read_text() + bcrypt)
    result = stile("check", "--config", config)
    assert result.returncode == 0 and "time tells" in result.stderr
