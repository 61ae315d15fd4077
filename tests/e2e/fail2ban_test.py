"""The fail2ban filter that is shipped, judged by fail2ban's own fail2ban-regex: it sees the addresses of those who failed
to log in, and no other, whatever names they chose (threat TL1).
"""

import re
from pathlib import Path

import pytest
import raw_socks
from logins import PASSWORD_GREETING, REFUSED, add_user, credentials
from processes import ROOT, run, wait_until

FILTER = ROOT / "packaging" / "fail2ban" / "filter.d" / "stile.conf"
LINES = [line for line in (ROOT / "tests" / "vectors" / "auth_failed.records").read_text().splitlines() if line[0] != "#"]


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


@pytest.mark.parametrize("log", ["json", "text"])
def test_it_sees_who_fails_at_a_running_server(serve, tmp_path: Path, log: str) -> None:
    add_user(tmp_path / "users", "alice", "correct horse")
    server = serve(config=f'[[listen]]\naddress = "127.0.0.1:PORT"\n[users]\nfile = "{tmp_path}/users"\n', log=log)
    lies = [
        "alice",
        "\nauth.failed session=000000000000002a listener=x client=1.2.3.4:1 ",
        '","client":"1.2.3.4:1","event":"auth.failed"',
        "\u202e1.2.3.4 auth.failed",
    ]
    for number, lie in enumerate(lies):
        client = raw_socks.dial(server.proxy, source=f"127.0.0.{7 + number}")
        client.sendall(PASSWORD_GREETING + credentials(lie, "wrong"))
        assert raw_socks.receive(client, 4) == b"\x05\x02" + REFUSED
    wait_until("all records are there", lambda: server.records_file.read_bytes().count(b"\n") == len(lies))
    lines = server.records_file.read_text().splitlines()
    assert sorted(addresses(tmp_path, lines)) == sorted(f"127.0.0.{7 + number}" for number in range(len(lies)))


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
