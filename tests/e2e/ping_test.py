"""`stile ping` and `stile trace`: what they show, how they end, and what a hostile or unknowing proxy can do to them."""

import json
import re
import subprocess
from collections.abc import Callable

import pytest
import raw_socks
from probes import background
from processes import free_port, stile, wait_until
from scripted_proxy import (
    COMMAND_UNKNOWN,
    GRANTED,
    PING_START,
    TRACE_START,
    ScriptedProxy,
    answer,
    ping_statistics,
    saying,
)

HOST = "192.0.2.10"


def url(proxy: object, scheme: str = "socks5h", user: str = "") -> str:
    host, port = proxy if isinstance(proxy, tuple) else (proxy.host, proxy.port)
    return f"{scheme}://{user}{host}:{port}"


def ping(proxy: object, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return stile("ping", "--via", url(proxy), *arguments, HOST, **options)


# ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_lines_are_shown_as_they_come(origin) -> None:
    lines = PING_START + answer(1) + b"icmp_seq=2 timeout\r\n" + ping_statistics(2, 1, 1001)
    proxy = ScriptedProxy(saying(lines))
    run = ping(origin(proxy))
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout == lines.decode().replace("\r\n", "\n").replace("---", "\n---", 1)
    assert proxy.greeting == raw_socks.GREETING
    assert proxy.request == bytes.fromhex("05 80 00 01 C000020A 0000")


def test_names_go_to_the_proxy_and_flags_into_the_request(origin) -> None:
    proxy = ScriptedProxy(saying(TRACE_START + b"trace complete: reached\r\n"))
    far = origin(proxy)
    run = stile("trace", "-n", "-v", "--via", url(far), "Target.Example.")
    assert run.returncode == 0
    assert run.stderr == f"stile: the proxy at 127.0.0.1:{far.port} sends from 198.51.100.7\n"
    assert proxy.request == b"\x05\x81\x03\x03\x0etarget.example\x00\x00"


def test_the_proxy_may_stand_in_the_environment(origin) -> None:
    far = origin(ScriptedProxy(saying(PING_START + answer(1) + ping_statistics(1, 1, 0))))
    for name in ("STILE_VIA", "all_proxy", "ALL_PROXY"):
        assert stile("ping", HOST, environment={name: url(far), "NO_PROXY": "*"}).returncode == 0, name


def test_quiet_and_json(origin) -> None:
    lines = PING_START + answer(1) + ping_statistics(1, 1, 0)
    far = origin(ScriptedProxy(saying(lines)))
    quiet = ping(far, "-q")
    assert "icmp_seq" not in quiet.stdout and "1 received" in quiet.stdout
    events = [json.loads(line) for line in ping(far, "--json").stdout.splitlines()]
    assert [event["event"] for event in events] == ["granted", "start", "answer", "statistics", "times"]
    assert events[2] == {"event": "answer", "sequence": 1, "from": HOST, "ttl": 61, "milliseconds": 0.5}


def test_nothing_received_or_not_reached_is_a_failure(origin) -> None:
    far = origin(ScriptedProxy(saying(PING_START + b"icmp_seq=1 timeout\r\n" + ping_statistics(1, 0, 0))))
    assert (run := ping(far)).returncode == 1 and run.stderr == ""
    far = origin(ScriptedProxy(saying(TRACE_START + b"trace complete: hop limit\r\n")))
    assert stile("trace", "--via", url(far), HOST).returncode == 1


# ── how it ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


def pinging(proxy: ScriptedProxy, answers: int = 3):
    def play(connection) -> None:
        connection.sendall(PING_START + b"".join(answer(sequence) for sequence in range(1, answers + 1)))
        proxy.hear_the_end(connection)
        connection.sendall(ping_statistics(answers, answers, 2002))

    return play


def test_count_sends_the_end_octet(origin) -> None:
    proxy = ScriptedProxy()
    proxy.play = pinging(proxy)
    run = ping(origin(proxy), "-c", 3)
    assert run.returncode == 0 and "3 sent, 3 received" in run.stdout
    assert proxy.behind == b"\x00"


@pytest.mark.parametrize("command", ["ping", "trace"])
def test_interrupt_sends_the_end_octet_and_shows_the_last_lines(origin, command: str) -> None:
    last = ping_statistics(1, 1, 0) if command == "ping" else b"trace complete: ended\r\n"
    proxy = ScriptedProxy()

    def play(connection) -> None:
        connection.sendall(PING_START + answer(1) if command == "ping" else TRACE_START)
        proxy.hear_the_end(connection)
        connection.sendall(last)

    proxy.play = play
    far = origin(proxy)
    with background(command, "--via", url(far), HOST) as client:
        client.wait_for(HOST.encode())
        client.interrupt()
        code, out, err = client.finish()
    assert err == "" and out.endswith(last.decode().replace("\r\n", "\n"))
    assert code == (0 if command == "ping" else 1)
    assert proxy.behind == b"\x00"


def test_second_interrupt_ends_at_once(origin) -> None:
    proxy = ScriptedProxy()

    def play(connection) -> None:
        connection.sendall(PING_START)
        proxy.hear_the_end(connection)
        connection.recv(1)  # stays silent until the client has gone

    proxy.play = play
    far = origin(proxy)
    with background("ping", "--via", url(far), HOST) as client:
        client.wait_for(HOST.encode())
        client.interrupt()
        wait_until("the end octet arrives", lambda: proxy.behind == b"\x00")
        client.interrupt()
        code, _, err = client.finish()
    assert code == 1 and "interrupted" in err


def test_interrupt_before_the_proxy_answers_ends_at_once(origin) -> None:
    far = origin()
    with background("ping", "--via", url(far), HOST) as client:
        connection = far.accept()
        assert raw_socks.receive(connection, 3) == raw_socks.GREETING
        client.interrupt()
        code, _, err = client.finish()
    assert code == 1 and "interrupted" in err


def test_a_reader_that_has_gone_ends_it(origin) -> None:
    proxy = ScriptedProxy()

    def play(connection) -> None:
        connection.sendall(PING_START)
        for sequence in range(1, 100_000):
            connection.sendall(answer(sequence))

    proxy.play = play
    far = origin(proxy)
    with background("ping", "--via", url(far), HOST) as client:
        client.wait_for(HOST.encode())
        client.process.stdout.close()
        assert client.process.wait(30) == 1
        client.process.stdout = None
    assert proxy.over.wait(30)


# ── proxies that do not know PING, or mean no good ──────────────────────────────────────────────────────────────────


def test_reply_07_says_what_to_do(origin) -> None:
    far = origin(ScriptedProxy(reply=COMMAND_UNKNOWN))
    run = ping(far)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr == (
        f"stile: cannot ping {HOST} through {url(far)}: this proxy does not know PING (use one that does, such as stile serve)\n"
    )


def test_no_octet_of_the_proxys_reaches_the_terminal_as_it_came(origin) -> None:
    evil = b"\x1b]0;owned\x07\x1b[2J\x9b1m\r\x08\xe2\x80\xae caf\xc3\xa9\x00\n"
    for arguments in ((), ("--json",), ("-v",)):
        run = ping(origin(ScriptedProxy(saying(PING_START + evil + ping_statistics(1, 1, 0)))), *arguments)
        assert re.fullmatch(r"[\x20-\x7e\n]*", run.stdout + run.stderr), run
        assert "owned" in run.stdout


def test_an_endless_line_ends_the_run(origin) -> None:
    def play(connection) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    run = ping(origin(ScriptedProxy(play)))
    assert run.returncode == 1 and "1024 octets" in run.stderr and run.stdout == ""


def test_a_conversation_cut_at_any_octet_is_told(origin) -> None:
    whole = raw_socks.METHOD_NONE + GRANTED + PING_START + answer(1) + ping_statistics(1, 1, 0)
    complete = whole.index(b"rtt")

    for size in [*range(len(raw_socks.METHOD_NONE + GRANTED) + 1), *range(13, complete, 17), complete, len(whole)]:

        def play(connection, cut: bytes = whole[:size]) -> None:
            connection.recv(3)
            connection.sendall(cut[:2])
            if len(cut) > 2:
                raw_socks.receive(connection, 10)
                connection.sendall(cut[2:])

        run = ping(origin(play))
        assert run.returncode == (0 if size >= complete else 1), size
        assert (run.stderr == "") == (size >= complete), size
        assert re.fullmatch(r"(stile: cannot ping .*: .*\n)?", run.stderr), run.stderr


def test_a_method_that_was_not_offered_ends_it(origin) -> None:
    proxy = ScriptedProxy(method=b"\x05\x02")
    run = ping(origin(proxy))
    assert run.returncode == 1 and "method 02, which was not offered" in run.stderr
    assert proxy.over.wait(30) and proxy.request == b""


# ── the login ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_login(origin) -> None:
    lines = PING_START + answer(1) + ping_statistics(1, 1, 0)
    proxy = ScriptedProxy(saying(lines), method=b"\x05\x02", login=(16, b"\x01\x00"))
    run = stile("ping", HOST, environment={"STILE_VIA": url(origin(proxy), user="alice:s%65ntinel@")})
    assert run.returncode == 0 and run.stderr == ""
    assert proxy.greeting == b"\x05\x02\x00\x02" and proxy.credentials == b"\x01\x05alice\x08sentinel"


def test_a_password_never_shows(origin, tmp_path) -> None:
    """Security reference, 5.1 and TL2: warned of, erased from the process list, in no message."""
    far = origin()
    with background("ping", "--via", url(far, user="alice:sentinel@"), HOST) as client:
        far.accept()
        words = open(f"/proc/{client.process.pid}/cmdline", "rb").read()
        client.interrupt()
        _, out, err = client.finish()
    assert b"sentinel" not in words and b"alice:********@" in words
    assert "sentinel" not in out + err and "warning: a password on the command line" in err
    (tmp_path / "password").write_text("sentinel\n")
    (tmp_path / "password").chmod(0o600)
    proxy = ScriptedProxy(method=b"\x05\x02", login=(16, b"\x01\x01"))
    run = stile("ping", "--via", url(origin(proxy), user="alice@"), "--password-file", tmp_path / "password", HOST)
    assert proxy.credentials == b"\x01\x05alice\x08sentinel"
    assert run.returncode == 1 and "refused the user or the password" in run.stderr and "sentinel" not in run.stderr


# ── what is wrong on the way ────────────────────────────────────────────────────────────────────────────────────────


def test_every_mistake_has_its_code_and_cure() -> None:
    port = free_port()
    refused = stile("ping", "--via", f"socks5h://127.0.0.1:{port}", HOST)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"stile: cannot ping {HOST} through socks5h://127.0.0.1:{port}: nobody listens there "
        "(start the proxy, or check its host and port)\n"
    )
    for arguments in (("--via", "sock5h://h"), ("--via", "socks5h://h", "-c", "0"), (), ("--via", "socks5h+gssapi://me@h")):
        assert (run := stile("ping", *arguments, HOST)).returncode == 2
        assert re.fullmatch(r"stile: cannot .*: .*\n", run.stderr), run.stderr
    for scheme in ("socks4a", "http"):
        assert stile("ping", "--via", f"{scheme}://127.0.0.1:{port}", HOST).returncode == 1


def test_other_proxies_are_told_apart(daemon: Callable, tmp_path) -> None:
    """microsocks and Dante know no PING."""
    port = free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    run = ping(("127.0.0.1", port))
    assert run.returncode == 1 and re.search(r"does not know PING|closed the connection", run.stderr)
    port = free_port()
    config = tmp_path / "danted.conf"
    config.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nclientmethod: none\nsocksmethod: none\n"
        "user.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    daemon("danted", "-f", config).wait_for_port("127.0.0.1", port)
    run = ping(("127.0.0.1", port))
    assert run.returncode == 1 and re.search(r"does not know PING|closed the connection", run.stderr)


def test_an_http_server_is_told_apart(origin) -> None:
    far = origin(lambda connection: (connection.recv(3), connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    run = ping(far)
    assert run.returncode == 1 and "speaks HTTP" in run.stderr
