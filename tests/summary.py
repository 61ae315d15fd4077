"""Adds up what the test runners of one ./dev run left behind.

usage: summary.py STEPS_FAILED RESULTS_FOLDER

Reads the JUnit files that ctest and pytest wrote. A ctest entry that is a GoogleTest program or a pytest run counts as
its cases. The last line printed is "N passed, N failed, N skipped"; every failure, every reason for a skip and every
figure that a test reported stands above it. The exit code is 1 if anything failed, or if nothing ran.
Tested in tests/house/summary_test.py.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

CASES_RAN = re.compile(r"^\[=+\] (\d+) tests? from \d+ test (?:suites?|cases?) ran", re.MULTILINE)
CASES_FAILED = re.compile(r"^\[  FAILED  \] (\d+) tests?, listed below", re.MULTILINE)
CASES_SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) tests?, listed below", re.MULTILINE)
PYTEST_RAN = re.compile(r"^(?=.* in [\d.]+s)(?:=+ )?(.*\bpassed\b.*)", re.MULTILINE)
SKIP_REASON = re.compile(r"^.*: Skipped\n(.*)$", re.MULTILINE)


@dataclass
class Summary:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def add(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def first_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[0] if lines else "no reason given"


def count(pattern: re.Pattern[str], text: str) -> int:
    return sum(int(number) for number in pattern.findall(text))


def counts(output: str) -> tuple[int, int, int]:
    """How many cases a program inside a ctest entry ran, and how many of them failed and were skipped."""
    ran, failed, skipped = (count(pattern, output) for pattern in (CASES_RAN, CASES_FAILED, CASES_SKIPPED))
    for line in PYTEST_RAN.findall(output):
        words = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped)", line)}
        ran, failed, skipped = sum(words.values()), words.get("failed", 0), words.get("skipped", 0)
    return ran, failed, skipped


def add_case(summary: Summary, suite: str, case: ElementTree.Element) -> None:
    """One <testcase>: a pytest function, or a ctest entry, which may hold many GoogleTest cases."""
    name = f"{suite}: {case.get('name')}"
    output = case.findtext("system-out") or ""
    ran, failed, skipped = counts(output)
    for entry in case.iterfind("properties/property"):
        if case.get("status") is None:  # pytest: a figure that a test reported
            summary.figures.append(f"{entry.get('name')}: {entry.get('value')}")
    broken = case.find("failure") is not None or case.find("error") is not None
    idle = case.find("skipped")
    if broken:
        # A program that crashed counts as one failure beside the cases that it still reported.
        summary.add(passed=max(ran - failed - skipped, 0), failed=max(failed, 1), skipped=skipped)
        summary.failures.append(name)
    elif idle is not None:
        summary.add(skipped=1)
        summary.skips.append(f"{name}: {first_line(idle.get('message') or idle.text)}")
    elif ran:
        summary.add(passed=ran - skipped, skipped=skipped)
    else:
        summary.add(passed=1)
    summary.skips += [f"{name}: {reason}" for reason in SKIP_REASON.findall(output)]


def read(folder: Path, steps_failed: bool) -> Summary:
    summary = Summary()
    for path in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            add_case(summary, path.stem, case)
    if steps_failed and not summary.failed:
        summary.add(failed=1)
        summary.failures.append("a step before its tests (its log is named above)")
    return summary


def main(arguments: list[str]) -> int:
    summary = read(Path(arguments[1]), steps_failed=arguments[0] != "0")
    for title, lines in (("Figures", summary.figures), ("Skipped", summary.skips), ("Failed", summary.failures)):
        if lines:
            print(f"{title}:", *(f"  {line}" for line in lines), sep="\n")
    if not summary.passed + summary.failed:
        print("No test was run: nothing has that name.")
    print(f"{summary.passed} passed, {summary.failed} failed, {summary.skipped} skipped")
    return 1 if summary.failed or not summary.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
