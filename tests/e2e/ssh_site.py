"""sshd with keys of its own."""

import getpass
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from networks import HERE, Namespace
from processes import free_port, run


def start_sshd(daemon: Callable, folder: Path, host: str = "127.0.0.1", place: Namespace = HERE) -> tuple[int, list[str]]:
    """Its port, and what `ssh` needs to enter as this user."""
    folder.mkdir(mode=0o700)
    for key in ("host", "user"):
        assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key).returncode == 0
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it; its service makes it elsewhere
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {host}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n"
    )
    sshd = daemon(*place.prefix(), "/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config")
    with place.inside():
        sshd.wait_for_port(host, port)
    options = ["-F", "none", "-i", f"{folder}/user", "-l", getpass.getuser()]
    for option in ("StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "IdentitiesOnly=yes", "BatchMode=yes"):
        options += ["-o", option]
    return port, options
