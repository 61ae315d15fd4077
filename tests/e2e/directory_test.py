"""Users of an LDAP directory, behind PAM: a real slapd, asked by nslcd for libpam-ldapd and libnss-ldapd. The server and
nslcd run in mount namespaces in which /run and their files in /etc are this test's own; the host's are not touched."""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from logins import GRANTED, REFUSED, log_in
from processes import Daemon, free_port, run, stile, wait_until

SUFFIX = "dc=example,dc=com"
PEOPLE = {"alice": "correct horse", "bob": "battery staple"}
SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
database mdb
suffix "{suffix}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""
LDIF = """
dn: {suffix}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=directory-staff,{suffix}
objectClass: posixGroup
cn: directory-staff
gidNumber: 7100
memberUid: alice
"""
PERSON = """
dn: uid={name},{suffix}
objectClass: account
objectClass: posixAccount
objectClass: shadowAccount
uid: {name}
cn: {name}
uidNumber: {number}
gidNumber: 7101
homeDirectory: /
userPassword: {hashed}
"""
NSLCD = """
uri ldap://127.0.0.1:{port}/
base {suffix}
bind_timelimit 2
timelimit 2
reconnect_sleeptime 0
reconnect_retrytime 1
"""
NSSWITCH = "passwd: files ldap\ngroup: files ldap\nshadow: files\nhosts: files\n"
CONFIG = """
[[listen]]
address = "127.0.0.1:PORT"
auth = ["pam"]
[pam]
service = "directory"
cache = "0s"
[policy]
rules = '''
allow group:directory-staff to loopback
'''
"""


@dataclass
class Directory:
    folder: Path
    port: int
    under: list[str]  # words before a command that make it see the directory's people
    daemon: Callable[..., Daemon]
    slapd: Daemon | None = None

    def start(self) -> None:
        url = f"ldap://127.0.0.1:{self.port}/"
        self.slapd = self.daemon("slapd", "-f", self.folder / "slapd.conf", "-h", url, "-d", "0")
        self.slapd.wait_for_port("127.0.0.1", self.port)


def mounted(pairs: dict[Path, str]) -> list[str]:
    mounts = [f"mount --bind {own} {place}" for own, place in pairs.items()]
    return ["unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]


@pytest.fixture
def directory(daemon, tmp_path: Path) -> Directory:
    if "pam" not in stile("--version").stdout.splitlines()[-1].split():
        pytest.skip("this stile was built without PAM")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a mount namespace needs root: a directory behind PAM is not tested")
    folder, port = tmp_path / "directory", free_port()
    for name in ("data", "pam.d", "run/nslcd"):
        (folder / name).mkdir(parents=True)
    people = ""
    for number, (name, password) in enumerate(PEOPLE.items(), 7101):
        hashed = run("slappasswd", "-h", "{SSHA}", "-s", password).stdout.strip()
        people += PERSON.format(name=name, number=number, hashed=hashed, suffix=SUFFIX)
    files = {
        "slapd.conf": SLAPD.format(folder=folder, suffix=SUFFIX),
        "people.ldif": LDIF.format(suffix=SUFFIX) + people,
        "nslcd.conf": NSLCD.format(port=port, suffix=SUFFIX),
        "nsswitch.conf": NSSWITCH,
        "pam.d/directory": "auth required pam_ldap.so\naccount required pam_ldap.so\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "nslcd.conf").chmod(0o600)
    filled = run("slapadd", "-f", folder / "slapd.conf", "-l", folder / "people.ldif")
    assert filled.returncode == 0, filled.stderr
    under = mounted({folder / "run": "/run", folder / "pam.d": "/etc/pam.d", folder / "nsswitch.conf": "/etc/nsswitch.conf"})
    built = Directory(folder, port, under, daemon)
    built.start()
    asks = mounted({folder / "run": "/run", folder / "nslcd.conf": "/etc/nslcd.conf"})
    daemon(*asks, "nslcd", "-n")
    wait_until("nslcd listens", (folder / "run/nslcd/socket").exists)
    return built


def test_right_passwords_and_groups_of_the_directory(serve, origin, directory: Directory) -> None:
    server, far = serve(config=CONFIG, under=directory.under), origin(lambda connection: connection.sendall(b"hello"))
    assert log_in(server.proxy, "alice", PEOPLE["alice"])[1] == GRANTED
    for name, password in (("alice", "wrong"), ("alice", PEOPLE["bob"]), ("nobody-here", PEOPLE["alice"]), ("*", PEOPLE["alice"])):
        assert log_in(server.proxy, name, password)[1] == REFUSED, name
        assert server.wait_for_record(event="auth.failed", user=name)["reason"] == "auth.failed"
    for name in ("*)(uid=*", "alice)(|(uid=*", "alice\\", "\\2a", "uid=alice", "ali*", f"uid=alice,{SUFFIX}", b"alice\0x"):
        assert log_in(server.proxy, name, PEOPLE["alice"])[1] == REFUSED, f"threat TA5: {name}"
    assert log_in(server.proxy, "alice", "")[1] == REFUSED, "threat TA4: the directory would take it for an anonymous bind"
    assert log_in(server.proxy, "alice", PEOPLE["alice"])[1] == GRANTED
    for name, right in (("alice", True), ("bob", False)):
        proxy = "socks5h://{}:{}".format(*server.proxy)
        login = f"{name}:{PEOPLE[name]}"
        result = run("curl", "-sS", "--http0.9", "--noproxy", "", "-x", proxy, "-U", login, f"http://127.0.0.1:{far.port}/")
        assert (result.stdout == "hello") == right
    assert server.wait_for_record(event="session.start")["user"] == "alice"
    assert server.wait_for_record(event="denied")["user"] == "bob", "in the directory, and in no group that may"
    seen = server.errors() + server.records_file.read_text()
    assert not any(password in seen for password in PEOPLE.values())


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_directory_that_is_down_is_unavailable_and_comes_back(serve, directory: Directory, how: str) -> None:
    server = serve(config=CONFIG, under=directory.under)
    assert log_in(server.proxy, "alice", PEOPLE["alice"])[1] == GRANTED
    process = directory.slapd.process
    process.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    if how == "killed":
        process.wait()
    try:
        assert log_in(server.proxy, "alice", PEOPLE["alice"], 10)[1] == REFUSED, "within a bounded time"
        server.wait_for_record(event="auth.failed", reason="auth.unavailable")
        wait_until("it is told", lambda: "logins by pam fail" in server.errors())
    finally:
        if how == "stopped":
            process.send_signal(signal.SIGCONT)
        else:
            directory.start()
    wait_until("logins are judged again", lambda: log_in(server.proxy, "alice", PEOPLE["alice"])[1] == GRANTED)
    wait_until("that is told", lambda: "logins by pam are judged again" in server.errors())
