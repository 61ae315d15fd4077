"""A Kerberos realm of the test's own: a real KDC on loopback, with users, services, keys and tickets in one folder.

What the library reads from the environment is set for this process, in which python3-gssapi is the client.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import processes
from processes import Daemon, accepts, free_port, run, wait_until

NAME = "STILE.TEST"
SECRET = "correct horse"
KDC = "/usr/sbin/krb5kdc"


def reason_to_skip() -> str | None:
    if not Path(KDC).exists() or shutil.which("kinit") is None:
        return "krb5-kdc or krb5-user is not installed: GSSAPI is not tested"
    if subprocess.run([sys.executable, "-c", "import gssapi"], capture_output=True).returncode != 0:
        return "python3-gssapi is not installed: GSSAPI is not tested"
    if "gssapi" not in processes.stile("--version").stdout.splitlines()[-1].split():
        return "this stile was built without GSSAPI"
    return None


class Realm:
    """Users alice and bob; services rcmd and socks on localhost, whose keys are in `keytab`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.keytab = folder / "service.keytab"
        self.conf, kdc_conf = folder / "krb5.conf", folder / "kdc.conf"
        self.requests = folder / "requests.log"
        self.conf.write_text(
            f"[libdefaults]\ndefault_realm = {NAME}\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n"
            "dns_canonicalize_hostname = false\nudp_preference_limit = 1\nplugin_base_dir = /nonexistent\n"
            f"[realms]\n{NAME} = {{\nkdc = 127.0.0.1:{self.port}\n}}\n[domain_realm]\nlocalhost = {NAME}\n"
        )
        kdc_conf.write_text(
            f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{self.port}\nkdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n{NAME} = {{\ndatabase_name = {folder}/principal\nkey_stash_file = {folder}/stash\n"
            f"acl_file = {folder}/acl\nmax_life = 1h\n}}\n[logging]\nkdc = FILE:{self.requests}\n"
        )
        self.environment = {"KRB5_CONFIG": str(self.conf), "KRB5_KDC_PROFILE": str(kdc_conf)}
        processes.ENVIRONMENT.update(self.environment)
        os.environ.update(self.environment)
        self.admin_tool("kdb5_util", "create", "-s", "-r", NAME, "-P", "master")
        for user in ("alice", "bob", "alice/admin"):
            self.admin("add_principal", "-pw", SECRET, user)
        for service in ("rcmd", "socks"):
            self.admin("add_principal", "-randkey", f"{service}/localhost")
            self.admin("ktadd", "-k", self.keytab, f"{service}/localhost")
        self.start()

    def start(self) -> None:
        """The KDC, which is running once the realm is made."""
        self.kdc = Daemon(self.folder, KDC, "-n", "-P", self.folder / "kdc.pid")
        wait_until("the KDC listens", lambda: accepts("127.0.0.1", self.port))

    def stop(self) -> None:
        self.kdc.close()

    def logins(self, principal: str) -> int:
        """How often the KDC has let somebody in."""
        lines = self.requests.read_text().splitlines()
        return sum("AS_REQ" in line and "ISSUE" in line and f"{principal}@{NAME} for" in line for line in lines)

    def admin_tool(self, *words: object) -> None:
        result = run(f"/usr/sbin/{words[0]}", *words[1:])
        assert result.returncode == 0, result.stderr

    def admin(self, *words: object) -> None:
        self.admin_tool("kadmin.local", "-r", NAME, *words)

    def key(self, principal: str, file: Path, *words: object) -> Path:
        """A principal without a password, whose key is added to this keytab."""
        self.admin("add_principal", "-randkey", *words, principal)
        self.admin("ktadd", "-k", file, principal)
        return file

    def tickets(self, user: str, *words: str) -> Path:
        """A credential cache with a ticket of this user's."""
        cache = self.folder / f"tickets-{user.replace('/', '-')}{''.join(words)}"
        result = run("kinit", "-c", cache, *words, user, input=SECRET + "\n")
        assert result.returncode == 0, result.stderr
        return cache

    def close(self) -> None:
        self.kdc.close()
        for name in self.environment:
            processes.ENVIRONMENT.pop(name, None)
            os.environ.pop(name, None)
