"""Unchanged programs of every kind through each way that needs no change of them: by name, and past the proxy nowhere.

The programs are in unchanged.py, the ways in MODES. What a way does not carry is named there, too, and must fail without a
packet that leaves. docs/run-compared.md has the same programs under other wrappers.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from fenced import Fenced
from processes import BINARY, stile
from unchanged import PROGRAMS, Program, Stage, attempt, compile_all, found

NOT_CARRIED_SECONDS = 5  # whoever waits for what cannot come is ended


@dataclass(frozen=True)
class Mode:
    before: Callable[[Fenced], list[str]]  # the words before a command
    known: Callable[[], bool]  # whether this executable has the mode
    lacks: tuple[str, ...]  # programs that it does not carry


def run_knows(flag: str) -> bool:
    return "run" in stile("--version").stdout.split() and flag in stile("run", "--help").stdout


MODES = {
    "run": Mode(
        before=lambda fenced: [str(BINARY), "run", "--via", fenced.url, "--"],
        known=lambda: run_knows("--via"),
        lacks=("ftp, active", "traceroute", "forking server"),
    ),
    "preload": Mode(
        before=lambda fenced: [str(BINARY), "run", "--preload", "--via", fenced.url, "--"],
        known=lambda: run_knows("--preload"),
        lacks=("ping", "traceroute", "static C", "Go", "io_uring"),
    ),
}
KNOWN = {name: mode for name, mode in MODES.items() if mode.known()}


def cells(carried: bool) -> list:
    return [
        pytest.param(mode, program, id=f"{name}-{program.name.replace(' ', '-')}")
        for name, mode in KNOWN.items()
        for program in PROGRAMS
        if (program.name in mode.lacks) != carried
    ]


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stile-programs-") as name:
        Path(name).chmod(0o755)
        compile_all(Path(name))
        yield Path(name)


@pytest.fixture
def stage(fenced: Fenced, compiled: Path) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="stile-stage-") as name, ExitStack() as stack:
        Path(name).chmod(0o777)
        yield Stage(fenced, Path(name), compiled, stack)


def needed(program: Program) -> None:
    if not found(program.needs):
        pytest.skip(f"{program.needs} is not installed")


@pytest.mark.parametrize(("mode", "program"), cells(carried=True))
def test_it_goes_through_the_proxy_by_name(stage: Stage, mode: Mode, program: Program) -> None:
    needed(program)
    outcome = attempt(stage, program, mode.before(stage.fenced))
    print(outcome.said)
    assert outcome.worked
    assert outcome.by_name(), f"{sorted(outcome.sessions)}, asked DNS: {sorted(outcome.asked)}"
    assert (outcome.leaked_names, outcome.leaked_others) == (0, 0)


@pytest.mark.parametrize(("mode", "program"), cells(carried=False))
def test_what_is_not_carried_does_not_leave(stage: Stage, mode: Mode, program: Program) -> None:
    needed(program)
    outcome = attempt(stage, program, mode.before(stage.fenced), seconds=NOT_CARRIED_SECONDS)
    print(outcome.said)
    assert not outcome.worked, f"take {program.name} out of what it lacks"
    assert (outcome.leaked_names, outcome.leaked_others) == (0, 0)
