"""Logins judged by PAM, with the system's real modules. The server runs in a mount namespace in which /etc/pam.d and the
files of accounts are this test's own; nothing of the host's configuration is touched."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from helpers import helper_of, named, needs_activation
from http_origins import HttpOrigin
from logins import GRANTED, REFUSED, log_in
from processes import run, stile, wait_until
from server import Server

SECRET = "correct horse"
MATRIX = "/usr/lib/x86_64-linux-gnu/pam_wrapper/pam_matrix.so"
CONFIG = """
[[listen]]
address = "127.0.0.1:PORT"
auth = "pam"
[pam]
service = "{service}"
{more}
"""
SERVICES = {
    "unix": "auth required pam_unix.so\naccount required pam_unix.so\n",
    "matrix": f"auth required {MATRIX} passdb={{folder}}/passdb\naccount required {MATRIX} passdb={{folder}}/passdb\n",
    "slow": "auth required pam_exec.so quiet /bin/sleep 600\naccount required pam_permit.so\n",
    "mixed": "auth [success=ok default=die] pam_unix.so\n"
    "auth [success=1 default=ignore] pam_succeed_if.so quiet user != carol\n"
    "auth required pam_exec.so quiet /bin/sleep 600\nauth required pam_permit.so\naccount required pam_unix.so\n",
    "rhost": "auth required pam_exec.so quiet /bin/sh {folder}/rhost\naccount required pam_permit.so\n",
}
INJECTIONS = ["*)(uid=*", "*", "alice)(|(uid=*", "alice\\", "\\2a", b"alice\0", b"alice\0x", b"al\nice", b"alice\xff", "a" * 255]


@pytest.fixture(scope="module")
def system(tmp_path_factory) -> list[str]:
    """Words before a command that make it see accounts and services of this test's own."""
    if "pam" not in stile("--version").stdout.splitlines()[-1].split():
        pytest.skip("this stile was built without PAM")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a mount namespace needs root: PAM is not tested")
    folder = tmp_path_factory.mktemp("system")
    services = folder / "pam.d"
    services.mkdir()
    for name, text in SERVICES.items():
        (services / name).write_text(text.format(folder=folder))
    hashed = run("openssl", "passwd", "-6", "-stdin", input=SECRET + "\n").stdout.strip()
    users = ["alice", "bob", "carol", "late"]
    passwd = Path("/etc/passwd").read_text() + "".join(f"{name}:x:{7000 + i}:7000::/:/bin/false\n" for i, name in enumerate(users))
    dates = {"late": "19000:0:99999:7::1:"}
    shadow = "".join(f"{name}:{hashed}:{dates.get(name, '19000:0:99999:7:::')}\n" for name in users)
    files = {
        "passwd": passwd,
        "shadow": Path("/etc/shadow").read_text() + shadow,
        "group": Path("/etc/group").read_text() + "people:x:7000:\nstaff2:x:7001:alice\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "shadow").chmod(0o640)
    (folder / "rhost").write_text('test "$PAM_RHOST" = 127.0.0.1\n')
    (folder / "passdb").write_text("dora:secret:matrix\nelse:secret:other\n")
    mounts = [f"mount --bind {folder}/{name} /etc/{name}" for name in ("pam.d", *files)]
    return ["unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]


def curl(server: Server, scheme: str, user: str, *words: object):
    return run("curl", "-sS", "--noproxy", "", "-x", "{}://{}:{}".format(scheme, *server.proxy), "-U", user, *words)


def config(service: str, more: str = "") -> str:
    return CONFIG.format(service=service, more=more)


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_accounts_of_the_system(serve, system: list[str], scheme: str) -> None:
    rules = "[policy]\nrules = '''\nallow group:staff2 to loopback\nallow bob to loopback\n'''\n"
    server = serve(config=config("unix", rules), under=system)
    far = HttpOrigin()
    try:
        for name, code in (("alice", "200"), ("bob", "200")):
            result = curl(server, scheme, f"{name}:{SECRET}", f"{far.url}/length/3", "-o", "/dev/null", "-w", "%{http_code}")
            assert result.stdout == code, result.stderr
            assert server.wait_for_record(event="session.end", user=name)["method"] == "pam"
        curl(server, scheme, f"carol:{SECRET}", far.url, "-o", "/dev/null")
        server.wait_for_record(event="denied", user="carol", method="pam")
        for name, password in (("alice", "wrong"), ("nobody-here", SECRET), ("late", SECRET), ("bob", SECRET + "x")):
            refused = curl(server, scheme, f"{name}:{password}", far.url, "-o", "/dev/null")
            assert refused.returncode != 0 or scheme == "http"
            assert server.wait_for_record(event="auth.failed", user=name)["reason"] == "auth.failed"
    finally:
        far.close()
    assert SECRET not in server.errors() + server.records_file.read_text()


def test_names_that_a_directory_could_misread_are_nobody(serve, system: list[str]) -> None:
    server = serve(config=config("unix"), under=system)
    for name in INJECTIONS:
        assert log_in(server.proxy, name, SECRET)[1] == REFUSED, name
    assert log_in(server.proxy, "alice", "")[1] == REFUSED
    assert log_in(server.proxy, "alice", SECRET.encode() + b"\0")[1] == REFUSED
    assert log_in(server.proxy, "alice", SECRET)[1] == GRANTED


def test_the_service_of_the_configuration_is_asked(serve, system: list[str]) -> None:
    if not Path(MATRIX).exists():
        pytest.skip("libpam-wrapper is not installed")
    server = serve(config=config("matrix"), under=system)
    assert log_in(server.proxy, "dora", "secret")[1] == GRANTED
    assert log_in(server.proxy, "dora", "secre")[1] == REFUSED
    assert log_in(server.proxy, "else", "secret")[1] == REFUSED, "it may use another service only"
    assert log_in(server.proxy, "alice", SECRET)[1] == REFUSED


def test_a_module_that_hangs_stops_nobody_else(serve, system: list[str]) -> None:
    server = serve(config=config("mixed"), under=system)
    hanging: list[bytes] = []
    thread = threading.Thread(target=lambda: hanging.append(log_in(server.proxy, "carol", SECRET)[1]))
    thread.start()
    wait_until("it is looked at", lambda: bool(named(server.process.pid, "stile-login")))
    assert log_in(server.proxy, "alice", SECRET)[1] == GRANTED
    assert not hanging
    thread.join(30)
    assert hanging == [REFUSED]
    server.wait_for_record(event="auth.failed", user="carol", reason="auth.unavailable")
    wait_until("it is ended", lambda: not named(server.process.pid, "stile-login"))
    wait_until("it is told", lambda: "logins by pam fail" in server.errors())


def test_many_at_once(serve, system: list[str]) -> None:
    server = serve(config=config("unix", 'cache = "0s"'), under=system)
    answers: list[bytes] = []
    users = ["alice", "bob", "carol"] * 4
    threads = [threading.Thread(target=lambda user=user: answers.append(log_in(server.proxy, user, SECRET)[1])) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [GRANTED] * len(users)


def test_a_helper_that_is_stopped_fails_closed_and_goes_on(serve, system: list[str]) -> None:
    server = serve(config=config("unix", 'cache = "0s"'), under=system)
    assert log_in(server.proxy, "alice", SECRET)[1] == GRANTED
    helper = helper_of(server.process.pid)
    assert helper is not None
    os.kill(helper, signal.SIGSTOP)
    try:
        assert log_in(server.proxy, "alice", SECRET)[1] == REFUSED
        server.wait_for_record(event="auth.failed", reason="auth.unavailable")
    finally:
        os.kill(helper, signal.SIGCONT)
    wait_until("logins are judged again", lambda: log_in(server.proxy, "alice", SECRET)[1] == GRANTED)
    assert server.errors().count("logins by pam fail") == 1
    wait_until("that is told", lambda: "logins by pam are judged again" in server.errors())


def test_a_helper_that_is_killed_comes_back(serve, system: list[str]) -> None:
    server = serve(config=config("unix"), under=system)
    first = helper_of(server.process.pid)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until("another one runs", lambda: helper_of(server.process.pid) not in (None, first))
    wait_until("logins are judged", lambda: log_in(server.proxy, "alice", SECRET)[1] == GRANTED)
    limits = Path(f"/proc/{helper_of(server.process.pid)}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], "nothing that holds a password leaves a core"


def test_modules_are_told_where_the_client_is(serve, system: list[str]) -> None:
    server = serve(config=config("rhost"), under=system)
    assert log_in(server.proxy, "alice", SECRET)[1] == GRANTED


@needs_activation
def test_a_helper_of_its_own_asks_pam(helper_unit, serve, system: list[str]) -> None:
    """The accounts are those that the helper sees; the server sees none of them. As the unit's drop-in has it for them: root,
    without capabilities."""
    unit = helper_unit(under=[*system, "setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
    server = serve(config=config("unix", 'cache = "0s"\n' + unit.key()))
    assert log_in(server.proxy, "alice", SECRET)[1] == GRANTED
    assert log_in(server.proxy, "alice", "wrong")[1] == REFUSED
    assert log_in(server.proxy, "late", SECRET)[1] == REFUSED
    assert helper_of(server.process.pid) is None and helper_of(unit.process.pid) is not None
    os.kill(helper_of(unit.process.pid), signal.SIGKILL)
    wait_until("its end is told", lambda: "the process that judged for a server ended (signal 9)" in unit.errors())
    wait_until("logins are judged again", lambda: log_in(server.proxy, "alice", SECRET)[1] == GRANTED)
