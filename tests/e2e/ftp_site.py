"""vsftpd for anonymous users: a file to get, a folder to put into."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from networks import HERE, Namespace
from processes import Daemon, free_port


def start_vsftpd(
    daemon: Callable[..., Daemon], folder: Path, passive: bool, at: tuple[Namespace, str, int] | None = None
) -> tuple[int, Path]:
    """Serves loopback, or another place, in one mode alone; returns its port and its root, with `large` in it and
    `incoming` for uploads."""
    if os.geteuid() != 0:
        pytest.skip("vsftpd needs root to confine its users")
    host, port = ("127.0.0.1", free_port()) if at is None else at[1:]
    six = ":" in host
    root = folder / "ftp"
    (root / "incoming").mkdir(parents=True)
    for parent in (root, *list(root.parents)[:-2]):
        parent.chmod(parent.stat().st_mode | 0o005)  # the anonymous user has to get there
    (root / "incoming").chmod(0o777)
    (root / "large").write_bytes(os.urandom(5_000_000))
    (root / "large").chmod(0o644)
    Path("/var/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
    settings = {
        "listen": "NO" if six else "YES", "listen_ipv6": "YES" if six else "NO", "background": "NO",
        "listen_address6" if six else "listen_address": host, "listen_port": port,
        "anonymous_enable": "YES", "local_enable": "NO", "anon_root": root, "no_anon_password": "YES",
        "write_enable": "YES", "anon_upload_enable": "YES", "anon_umask": "022", "seccomp_sandbox": "NO",
        "secure_chroot_dir": "/var/run/vsftpd/empty", "connect_from_port_20": "NO",
        "pasv_enable": "YES" if passive else "NO", "port_enable": "NO" if passive else "YES",
    }  # fmt: skip
    config = folder / "vsftpd.conf"
    config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    with (HERE if at is None else at[0]).inside():
        daemon("/usr/sbin/vsftpd", config).wait_for_port(host, port)
    return port, root
