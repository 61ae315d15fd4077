"""The fail2ban filter that is shipped, judged by fail2ban's own fail2ban-regex: it sees the addresses of those who failed
to log in, and no other, whatever names they chose (threat TL1).
"""

import re
from pathlib import Path

import pytest
from processes import ROOT, run

FILTER = ROOT / "packaging" / "fail2ban" / "filter.d" / "stile.conf"
LINES = [line for line in (ROOT / "tests" / "vectors" / "auth_failed.txt").read_text().splitlines() if line[0] != "#"]


def addresses(folder: Path, lines: list[str]) -> list[str]:
    """What the filter finds in a log of these lines."""
    log = folder / "records.log"
    log.write_text("".join(line + "\n" for line in lines))
    result = run("fail2ban-regex", "--out", "<ip>", log, FILTER)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def real_address(line: str) -> str:
    found = re.search(r'client(?:":"|=)\[?([0-9a-f.:]+?)\]?:40000', line)
    assert found
    return found[1]


@pytest.mark.parametrize("prefix", ["", "Sep 21 14:13:20 gate stile[77]: ", "Sep 21 14:13:20 gate stile: "])
def test_it_sees_who_failed_and_nobody_else(tmp_path: Path, prefix: str) -> None:
    found = addresses(tmp_path, [prefix + line for line in LINES])
    assert found == [real_address(line) for line in LINES]
    assert set(found) == {"203.0.113.9", "2001:db8::9"}


@pytest.mark.parametrize("event", ["denied", "error", "session.start", "session.end", "request", "drop"])
def test_other_records_are_nothing_to_it(tmp_path: Path, event: str) -> None:
    """Though their names are the same lies."""
    others = [
        line.replace('"event":"auth.failed"', f'"event":"{event}"', 1) if line[0] == "{" else line.replace("Z auth.failed ", f"Z {event} ", 1)
        for line in LINES
    ]
    for line, other in zip(LINES, others):
        assert line != other
    assert addresses(tmp_path, others) == []
