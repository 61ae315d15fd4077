"""What measures `stile run` beside others, at the smallest size: that it works, never how fast."""

import json
from pathlib import Path

import pytest
from processes import BINARY, ROOT, run, stile
from unchanged import found

if "run" not in stile("--version").stdout.split():
    pytest.skip("this stile was built without private networks", allow_module_level=True)


def test_programs_are_compared(namespaces: None, tmp_path: Path) -> None:
    if not found("proxychains4"):
        pytest.skip("proxychains4 is not installed")
    only = ("--only", "stile run", "--only", "proxychains4", "--program", "curl", "--program", "ping")
    done = run(ROOT / "bench" / "run_compared.py", *only, "--times", 1, "--binary", BINARY, "--keep", tmp_path / "said")
    assert done.returncode == 0
    rows = [row for row in done.stdout.splitlines() if row.startswith("|")]
    assert rows[0] == "| | `stile run` | `proxychains4` |"
    assert rows[2:] == ["| curl | **passes** | **passes** |", "| ping | **passes** | fails, leaks DNS |", "| of 2 pass | 2 | 1 |"]
    assert "=== ping, proxychains4: fails, leaks DNS\n$ ping " in (tmp_path / "said").read_text()


def test_times_are_taken(namespaces: None, tmp_path: Path) -> None:
    for needed in ("nginx", "proxychains4"):
        if not found(needed):
            pytest.skip(f"{needed} is not installed")
    script, sizes = ROOT / "bench" / "run_times.py", ("--gib", "0.01", "--connections", 3, "--starts", 2, "--rounds", 1)
    done = run(script, *sizes, "--binary", BINARY)
    assert done.returncode == 0
    figures = json.loads(done.stdout)
    assert figures["loads"].keys() == {"bulk", "connections", "starts"}
    for load in figures["loads"].values():
        assert {"direct", "stile run", "proxychains4", "ratio"} <= load.keys()
        assert load["stile run"]["processor"] > 0
    (tmp_path / "run-times.json").write_text(done.stdout)
    table = run(script, "--table", tmp_path / "run-times.json").stdout.splitlines()
    assert len(table) == 2 + sum(len(load) - 1 for load in figures["loads"].values())
