"""Unchanged programs of every kind through each way that needs no change of them: by name, and past the proxy nowhere.

The programs are in unchanged.py, the ways in ways.py. What a way does not carry is named there, too, and must fail without a
packet that leaves. docs/run-compared.md has the same programs under other wrappers.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fenced import FAR, NOBODY, fence
from networks import Lab
from processes import run
from server import Server
from unchanged import GRANTED, HOST, PROGRAMS, Program, Stage, attempt, found
from ways import OWN, Way

NOT_CARRIED_SECONDS = 2  # whoever waits for what cannot come is ended
KNOWN = {name: way for name, way in OWN.items() if way.known()}


def cells(carried: bool) -> list:
    return [
        pytest.param(way, program, id="-".join(re.findall(r"\w+", f"{name} {program.name}")))
        for name, way in KNOWN.items()
        for program in PROGRAMS
        if (program.name in way.lacks) != carried
    ]


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stile-programs-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def stage(way: Way, lab: Lab, serve: Callable[..., Server], place: Path, compiled: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(fence(lab, serve, stack, place, GRANTED, way.routed), place, compiled, stack)


def needed(program: Program) -> None:
    if not found(program.needs):
        pytest.skip(f"{program.needs} is not installed")


@pytest.mark.parametrize("way", [Way(lambda _: []), Way(lambda _: [], routed=True)], ids=["alone", "routed"])
def test_without_a_way_packets_are_counted(stage: Stage, way: Way) -> None:
    """Else no test here would show anything."""
    assert stage.fenced.leaks() == (0, 0)
    for target in (HOST, FAR):
        fetch = [*stage.fenced.client.prefix(), *NOBODY, "curl", "--silent", f"http://{target}/"]
        assert run(*fetch).returncode != 0
    names, others = stage.fenced.leaks()
    assert names > 0
    assert others > 0


@pytest.mark.parametrize(("way", "program"), cells(carried=True))
def test_it_goes_through_the_proxy_by_name(stage: Stage, way: Way, program: Program) -> None:
    needed(program)
    outcome = attempt(stage, program, way.before(stage))
    print(outcome.said)
    assert outcome.worked
    assert outcome.by_name(), f"{sorted(outcome.sessions)}, asked DNS: {sorted(outcome.asked)}"
    assert (outcome.leaked_names, outcome.leaked_others) == (0, 0)


@pytest.mark.parametrize(("way", "program"), cells(carried=False))
def test_what_is_not_carried_does_not_leave(stage: Stage, way: Way, program: Program) -> None:
    needed(program)
    outcome = attempt(stage, program, way.before(stage), seconds=NOT_CARRIED_SECONDS)
    print(outcome.said)
    assert not outcome.worked, f"take {program.name} out of what it lacks"
    assert (outcome.leaked_names, outcome.leaked_others) == (0, 0)
