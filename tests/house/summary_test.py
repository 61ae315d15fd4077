"""tests/summary.py: what it counts, and that nothing which failed can look as if it passed."""

import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).resolve().parents[1] / "summary.py"

GOOGLETEST = "[==========] 9 tests from 2 test suites ran. (3 ms total)\n[  PASSED  ] 8 tests.\n"
SKIPPING = "a_test.cc:7: Skipped\nno second address\n" + GOOGLETEST + "[  SKIPPED ] 1 test, listed below:\n"
FAILING = GOOGLETEST + "[  FAILED  ] 2 tests, listed below:\n"


def ctest(output: str, fault: str = "") -> str:
    return f'<testsuite><testcase name="unit.a" status="run">{fault}<system-out>{output}</system-out></testcase></testsuite>'


def run(folder: Path, document: str, steps_failed: str = "0") -> tuple[int, list[str]]:
    (folder / "release.xml").write_text(document)
    result = subprocess.run([sys.executable, SUMMARY, steps_failed, folder], capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


@pytest.mark.parametrize(
    ("document", "steps_failed", "code", "last"),
    [
        (ctest(GOOGLETEST), "0", 0, "9 passed, 0 failed, 0 skipped"),
        (ctest(SKIPPING), "0", 0, "8 passed, 0 failed, 1 skipped"),
        (ctest(FAILING, "<failure/>"), "0", 1, "7 passed, 2 failed, 0 skipped"),
        (ctest("Segmentation fault", "<failure/>"), "0", 1, "0 passed, 1 failed, 0 skipped"),
        (ctest("12 inputs replayed"), "0", 0, "1 passed, 0 failed, 0 skipped"),
        (ctest("41 passed, 1 skipped in 3.21s"), "0", 0, "41 passed, 0 failed, 1 skipped"),
        (ctest(GOOGLETEST), "1", 1, "9 passed, 1 failed, 0 skipped"),
        ("<testsuites/>", "0", 1, "0 passed, 0 failed, 0 skipped"),
        ('<testsuite><testcase name="t"><error message="x"/></testcase></testsuite>', "0", 1, "0 passed, 1 failed, 0 skipped"),
    ],
)
def test_the_last_line_and_the_exit_code(tmp_path: Path, document: str, steps_failed: str, code: int, last: str) -> None:
    returned, lines = run(tmp_path, document, steps_failed)
    assert (returned, lines[-1]) == (code, last)


def test_reasons_and_figures_are_printed(tmp_path: Path) -> None:
    _, lines = run(tmp_path, ctest(SKIPPING))
    assert "  release: unit.a: no second address" in lines
    figure = '<properties><property name="memory" value="2 KiB"/></properties>'
    _, lines = run(tmp_path, f'<testsuite><testcase name="t">{figure}<skipped message="needs root"/></testcase></testsuite>')
    assert "  memory: 2 KiB" in lines and "  release: t: needs root" in lines
