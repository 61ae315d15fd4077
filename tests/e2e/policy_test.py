"""The policy as an operator meets it: lists and expectations in a server's file, times, and what `stile explain`, `check`
and `fmt` say and do. The language itself is tested beside its parser.
"""

import json
import signal
from datetime import datetime
from pathlib import Path

import raw_socks
from origins import echo
from processes import stile, wait_until
from server import Server

DENIED = 2
FAILED, BAD_CONFIGURATION = 1, 78

LISTENER = '[[listen]]\naddress = "127.0.0.1:PORT"\n'


def written(folder: Path, rules: str, more: str = "", name: str = "stile.toml") -> Path:
    file = folder / name
    file.write_text(f"[policy]\n{more}rules = '''\n{rules}\n'''\n")
    return file


def code(server: Server, host: str, port: int) -> int:
    return raw_socks.ask(server.proxy, raw_socks.request(host, port))[1].code


def test_a_list_is_read_beside_the_file_and_again_with_a_reload(serve, tmp_path, origin) -> None:
    target = origin(echo)
    (tmp_path / "lists").mkdir()
    blocked = tmp_path / "lists" / "blocked.txt"
    blocked.write_text("# nobody yet\nads.example\n")
    rules = "deny anyone to list:blocked\nallow anyone to loopback"
    text = f"{LISTENER}[policy]\nlists = {{ blocked = '{blocked}' }}\nrules = '''\n{rules}\n'''\n"
    server = serve(config=text)
    assert code(server, target.host, target.port) == 0
    blocked.write_text("127.0.0.0/8\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until("the new list decides", lambda: code(server, target.host, target.port) == DENIED)
    blocked.write_text("127.0.0.1/8\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until("the fault is told", lambda: f"{blocked}:1:1: '127.0.0.1/8' has bits set beyond its prefix length" in server.errors())
    assert code(server, target.host, target.port) == DENIED, "the old list is in force"


def test_an_expectation_that_fails_keeps_a_server_from_starting(tmp_path) -> None:
    file = written(tmp_path, "no: deny anyone to any", "expect = '''\nanyone may connect www.example.com:443\n'''\n")
    for command in ("serve", "check"):
        run = stile(command, "--config", file)
        assert run.returncode == BAD_CONFIGURATION
        expected = f"{file}:3:1: expected 'anyone may connect www.example.com:443', but 'no' (line 6) denies it\n"
        assert expected in run.stderr, run.stderr


def test_an_expectation_that_fails_keeps_the_policy_in_force(serve, tmp_path, origin) -> None:
    target = origin(echo)
    server = serve(config=f"{LISTENER}[policy]\nrules = 'allow anyone to loopback'\n")
    broken = "rules = 'deny anyone to any'\nexpect = 'anyone may connect 127.0.0.1:1'\n"
    server.config_file.write_text(f"{LISTENER.replace('PORT', str(server.proxy[1]))}[policy]\n{broken}")
    server.process.send_signal(signal.SIGHUP)
    wait_until("the failure is told", lambda: "expected 'anyone may connect 127.0.0.1:1', but 'rule 1' (line 4) denies it" in server.errors())
    assert code(server, target.host, target.port) == 0


def test_a_rule_holds_at_its_times(serve, origin) -> None:
    """Two rules between them hold all week; which of them it is depends on the clock."""
    target = origin(echo)
    today = datetime.now().strftime("%a").lower()
    rules = f"today: allow anyone to loopback when {today} 00:00-24:00\nother: allow anyone to loopback"
    server = serve(config=f"{LISTENER}[policy]\nrules = '''\n{rules}\n'''\n")
    assert code(server, target.host, target.port) == 0
    midnight = datetime.now().strftime("%a").lower() != today
    assert server.wait_for_record(event="session.start")["rule"] == ("other" if midnight else "today")


def test_explain_looks_a_name_up_where_its_address_decides(tmp_path) -> None:
    file = written(tmp_path, "local: allow anyone to loopback:80 idle 5m")
    run = stile("explain", "--config", file, "--target", "localhost:80", "--json")
    answer = json.loads(run.stdout)
    assert {each["address"] for each in answer["addresses"]} <= {"127.0.0.1", "::1"}
    assert answer["decision"] == "allow" and answer["options"] == ["idle 5m"]
    assert answer["rule"]["file"] == str(file) and answer["rule"]["line"] == 3
    refused = stile("explain", "--config", file, "--target", "no-such-name.invalid:80")
    assert refused.stdout.startswith("undecided") and "  lookup  " in refused.stdout
    denied = written(tmp_path, "deny anyone to *.invalid", name="denied.toml")
    run = stile("explain", "--config", denied, "--target", "no-such-name.invalid:80")
    assert run.stdout.startswith("denied by a rule\n"), "decided by its name: nothing is looked up"


def test_fmt_lays_a_file_out_once(tmp_path) -> None:
    file = written(tmp_path, "a: deny anyone to any:25 # why\n\n\nlonger: allow anyone from 10.0.0.0/8 to public : 80")
    file.write_text(file.read_text().replace("public : 80", "public:80 , 443"))
    file.chmod(0o600)
    assert stile("fmt", "--check", file).returncode == FAILED
    assert stile("fmt", file).returncode == 0
    expected = "a: deny anyone to any:25  # why\n\nlonger: allow anyone from 10.0.0.0/8 to public:80,443"
    assert file.read_text() == f"[policy]\nrules = '''\n{expected}\n'''\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert stile("fmt", "--check", "--config", file).returncode == 0


def test_check_names_rules_that_do_nothing(tmp_path) -> None:
    file = written(tmp_path, "all: allow anyone from 10.0.0.0/8 to public\nlate: allow anyone from 10.1.0.0/16 to *.example")
    run = stile("check", "--config", file)
    assert run.returncode == 0
    assert f"{file}:4:1: warning: 'late' has no effect: 'all' stands before it" in run.stderr
