"""`./dev bench`: the harness, in its shortest run. That everything is measured and kept is judged; no figure is."""

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree
from contextlib import suppress
from pathlib import Path

import networks
import pytest
from processes import BINARY, ROOT, run, wait_until

pytestmark = pytest.mark.skipif(networks.reason_to_skip() is not None, reason="network namespaces need root")
TEXTS = {"commands.txt", "versions.txt", "table.md", "goals.md"}
TCP = {"bulk", "rr", "rr-1", "connect", "handshake"}


def harness(*arguments: object, timeout: float = 240):
    return run(sys.executable, ROOT / "bench" / "run.py", "--binary", BINARY, *arguments, timeout=timeout)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one quick run leaves."""
    folder = tmp_path_factory.mktemp("bench") / "kept"
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    result = harness("--quick", "--keep", folder)
    assert result.returncode == 0, result.stderr
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page, "only a full run is shown"
    return folder


@pytest.mark.timeout(300)
def test_every_file_is_there_and_parses(kept: Path) -> None:
    charts = {path.stem for path in kept.glob("*.svg")}
    assert charts > TCP and "udp-64-offload" in charts
    for path in kept.glob("*.svg"):
        assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")
    assert {path.name for path in kept.iterdir()} - {f"{name}.svg" for name in charts} == TEXTS | {"results.json", "goals.json"}
    for name in TEXTS:
        assert (kept / name).read_text().strip()
    assert sum(path.stat().st_size for path in kept.iterdir()) < 300_000


@pytest.mark.timeout(300)
def test_every_mode_has_figures(kept: Path) -> None:
    results = json.loads((kept / "results.json").read_text())
    assert results["complete"] is True
    # perf may need more rights than a container gives; everything else works wherever the run itself does.
    assert {what: why for what, why in results["failures"].items() if not what.startswith("switches")} == {}
    measured = {(sample["peer"], sample["mode"]) for sample in results["samples"]}
    assert measured >= {(peer, mode) for peer in ("stile", "direct", "microsocks") for mode in TCP}
    assert ("stile", "udp-1-offload") in measured and ("microsocks", "udp-1") not in measured
    assert all(sample["processor"] > 0 and sample["units"] > 0 for sample in results["samples"])
    assert {(one["peer"], one["mode"], one["placement"]) for one in results["medians"]} >= {
        ("stile", "rr", placement) for placement in ("same", *(["split"] if "the split placement" not in results["absent"] else []))
    }
    assert results["idle"]["stile"]["200"]["tunnels"] == 200
    assert results["stall"]["stile"]["whole"] is True
    assert results["life"]["stile"]["tunnels"] == 200
    assert set(results["fairness"]) == {"direct", "stile", "microsocks"}
    for name in ("stile", "microsocks"):
        assert results["system_calls"][name]["connection"] > 0 and results["instructions"][name]["connection"] > 0
    assert {"processor", "kernel", "commit", "package microsocks"} <= results["versions"].keys()


@pytest.mark.timeout(300)
def test_goals_are_judged_from_the_figures(kept: Path) -> None:
    goals = json.loads((kept / "goals.json").read_text())
    judged = [goal for goal in goals if goal["value"] is not None]
    assert judged and all(goal["met"] in (True, False) for goal in judged)
    assert all(goal["met"] is None and goal["note"] for goal in goals if goal["value"] is None)


@pytest.mark.timeout(300)
def test_commands_can_be_repeated(kept: Path) -> None:
    commands = (kept / "commands.txt").read_text()
    assert "taskset -c" in commands and "--via socks5h://127.0.0.1:1080" in commands
    assert re.search(r"strace -f -c -o \S+ \S+ serve", commands) and "valgrind" in commands
    assert "/tmp" not in commands.replace(str(BINARY), "")


def test_a_choice_is_obeyed(tmp_path: Path) -> None:
    result = harness("--quick", "--only", "rr-1", "--peers", "direct", "--keep", tmp_path / "kept")
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "kept" / "results.json").read_text())
    assert [(sample["peer"], sample["mode"]) for sample in results["samples"]] == [("direct", "rr-1")]
    assert "idle" not in results


def test_an_interrupt_keeps_what_was_measured(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    words = [sys.executable, ROOT / "bench" / "run.py", "--binary", BINARY, "--only", "rr-1", "--peers", "stile,direct"]
    command = [str(word) for word in [*words, "--rounds", 1000, "--keep", folder]]
    # Whoever runs the tests in the background may have left Ctrl-C ignored.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        # A disturbed sample is taken three times at most: with the fourth generator, one has been kept.
        wait_until("a second sample begins", lambda: generators(process.pid) > 3, 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"Interrupted" in err, err
    results = json.loads((folder / "results.json").read_text())
    assert results["complete"] is False and results["samples"]
    assert (folder / "goals.md").exists()


seen: set[int] = set()


def generators(parent: int) -> int:
    """How many load generators this process has been seen to start."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(OSError):
            if b"\0bench\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                seen.add(int(child))
    return len(seen)


@pytest.mark.parametrize("flag", ["--only", "--peers"])
def test_what_does_not_exist_is_refused(flag: str) -> None:
    result = harness(flag, "nothing")
    assert result.returncode == 2 and "there is no 'nothing'" in result.stderr
