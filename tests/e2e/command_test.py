"""Logins judged by a program of the operator's: the one that the documentation shows, and those that misbehave."""

import os
import re
import signal
from pathlib import Path

import pytest
from helpers import helper_of, named
from http_origins import HttpOrigin
from logins import GRANTED, REFUSED, log_in
from processes import ROOT, run, stile, wait_until
from server import Server

SECRETS = ("correct-horse", "p\u00e4ss\u20ac\"\\")
CONFIG = """
[[listen]]
address = "127.0.0.1:PORT"
auth = "command"
[command]
program = {program}
{more}
"""


def example(folder: Path) -> list[str]:
    """The program of docs/authentication.md, as it stands there."""
    text = (ROOT / "docs" / "authentication.md").read_text()
    program, people = folder / "ask", folder / "people"
    program.write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    program.chmod(0o755)
    people.write_text(f"alice {SECRETS[0]} staff ops\nbob {SECRETS[1]}\n")
    return [str(program), str(people)]


def config(program: list[str], more: str = "") -> str:
    words = ", ".join(f"'{word}'" for word in program)
    return CONFIG.format(program=f"[{words}]", more=more)


def script(folder: Path, text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def curl(server: Server, scheme: str, user: str, *words: object):
    return run("curl", "-sS", "--noproxy", "", "-x", "{}://{}:{}".format(scheme, *server.proxy), "-U", user, *words)


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_the_documented_program(serve, tmp_path: Path, scheme: str) -> None:
    rules = "[policy]\nrules = '''\nallow group:staff to loopback\nallow bob to loopback\n'''\n"
    server = serve(config=config(example(tmp_path), rules))
    far = HttpOrigin()
    try:
        for name, password in (("alice", SECRETS[0]), ("bob", SECRETS[1])):
            result = curl(server, scheme, f"{name}:{password}", f"{far.url}/length/3", "-o", "/dev/null", "-w", "%{http_code}")
            assert result.stdout == "200", result.stderr
            assert server.wait_for_record(event="session.end", user=name)["method"] == "command"
        for name, password in (("alice", "wrong"), ("nobody", SECRETS[0]), ("bob", SECRETS[0])):
            refused = curl(server, scheme, f"{name}:{password}", far.url, "-o", "/dev/null")
            assert refused.returncode != 0 or scheme == "http"
            failed = server.wait_for_record(event="auth.failed", user=name)
            assert failed["method"] == "command" and failed["reason"] == "auth.failed"
    finally:
        far.close()
    said = server.errors() + server.records_file.read_text()
    assert not any(secret in said for secret in SECRETS)


def test_a_program_that_hangs_or_ends_fails_closed_and_is_told_once(serve, tmp_path: Path) -> None:
    silent = serve(config=config(script(tmp_path, "while read -r line; do :; done")))
    for _ in range(2):
        assert log_in(silent.proxy, "alice", "x")[1] == REFUSED
    silent.wait_for_record(event="auth.failed", reason="auth.unavailable", user="alice")
    assert silent.errors().count("logins by command fail") == 1
    short = serve(config=config(script(tmp_path, "read -r line; exit 5")))
    assert log_in(short.proxy, "alice", "x")[1] == REFUSED
    wait_until("its end is told", lambda: "ended (exit code 5) and is started again" in short.errors())


def test_the_program_comes_back_with_its_helper(serve, tmp_path: Path) -> None:
    server = serve(config=config(example(tmp_path)))
    assert log_in(server.proxy, "alice", SECRETS[0])[1] == GRANTED
    helper = helper_of(server.process.pid)
    assert helper is not None
    os.kill(helper, signal.SIGKILL)
    wait_until("its end is told", lambda: "ended (signal 9)" in server.errors())
    wait_until("bob is let in", lambda: log_in(server.proxy, "bob", SECRETS[1])[1] == GRANTED)
    warden = named(server.process.pid, "stile-warden")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert warden and not any(Path(f"/proc/{process}").exists() for process in warden)


def test_check_refuses_two_who_judge(tmp_path: Path) -> None:
    file = tmp_path / "stile.toml"
    file.write_text(config(["/bin/cat"]).replace("PORT", "1080").replace('"command"', '["command", "pam"]'))
    result = stile("check", "--config", file)
    assert result.returncode == 78
    assert "name one of them, or give pam a listener of its own" in result.stdout + result.stderr
