"""What `stile test` says of a proxy, by the names of its questions."""

import json

from networks import HERE, Namespace
from processes import BINARY, run

Answers = dict[str, tuple[str, str]]  # the answer, and what is said of it


def asked(*words: object, host: Namespace = HERE, works: bool = True) -> Answers:
    result = run(*host.prefix(), BINARY, "test", "--json", *words, timeout=110)
    report = json.loads(result.stdout)
    assert (result.returncode, report["works"]) == ((0, True) if works else (1, False))
    return {one["name"]: (one["answer"], one.get("detail", "")) for one in report["findings"]}


def expect(answers: Answers, **expected: str) -> None:
    """By name, with _ for a space; the answer."""
    named = {name.replace(" ", "_").replace("'", ""): answer for name, (answer, _) in answers.items()}
    assert {name: named.get(name) for name in expected} == expected
