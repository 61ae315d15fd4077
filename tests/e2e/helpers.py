"""The processes that judge passwords for a server: found by their parents, as `ps` would; and the helper as a service of
its own, with systemd-socket-activate in the place of the service manager."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from processes import BINARY, ENVIRONMENT, wait_until

needs_activation = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not installed"
)


def children_of(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []  # it has ended


def named(process: int, name: str) -> list[int]:
    """Descendants of this name."""
    found = []
    for child in children_of(process):
        try:
            found += [child] if Path(f"/proc/{child}/comm").read_text().strip() == name else []
        except OSError:
            continue
        found += named(child, name)
    return found


def helper_of(process: int) -> int | None:
    found = named(process, "stile-helper")
    return found[0] if found else None


class HelperUnit:
    """`stile helper` at a socket in the folder. `under`: a command that is to run it."""

    def __init__(self, folder: Path, config: str = "", under: list[str] | None = None) -> None:
        self.path, self.config_file, self.errors_file = folder / "helper.sock", folder / "helper.toml", folder / "helper.errors"
        self.config_file.write_text(config)
        self.under = under or []
        self.errors_file.write_bytes(b"")
        self.begin()

    def begin(self) -> None:
        """The socket is there when this returns; the helper is when somebody has connected."""
        self.path.unlink(missing_ok=True)
        passed_on = [f"--setenv={name}" for name in ("KRB5_CONFIG", "ASAN_OPTIONS", "UBSAN_OPTIONS") if name in ENVIRONMENT]
        activate = ["systemd-socket-activate", "--seqpacket", f"--listen={self.path}", *passed_on]
        with self.errors_file.open("ab") as errors:
            self.process = subprocess.Popen(
                [*self.under, *activate, str(BINARY), "helper", "--config", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=ENVIRONMENT,
            )
        wait_until("its socket is there", self.path.exists)

    def key(self) -> str:
        """For the server's configuration."""
        return f'[helper]\nsocket = "unix:{self.path}"\n'

    def errors(self) -> str:
        return self.errors_file.read_text(errors="replace")

    def runs(self) -> bool:
        return Path(f"/proc/{self.process.pid}/comm").read_text().strip() == "stile"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def finish(self) -> None:
        """Ends it unless the test did."""
        if self.process.poll() is None:
            started = self.runs()
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(30)
            assert code == 0 or not started, f"exit code {code}"
        print(f"--- the helper's messages\n{self.errors()[-4000:]}")
        assert "Sanitizer" not in self.errors() and "runtime error" not in self.errors()
