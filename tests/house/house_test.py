"""The house rules, applied to this tree. The rules themselves are tested in samples_test.py."""

import os
import subprocess
from pathlib import Path

import compliance
import documents
import headers
import pytest
import rules

ROOT = Path(__file__).resolve().parents[2]
BINARY_FOLDERS = ("fuzz/corpus/",)


def listed() -> list[str]:
    """Every file that is or would be committed."""
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        return [path for path in run.stdout.splitlines() if (ROOT / path).is_file()]
    skipped = {"build", ".git"}
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in paths if path.parts[0] not in skipped and "__pycache__" not in path.parts]


@pytest.fixture(scope="session")
def tree() -> rules.Tree:
    def text(path: str) -> str:
        return "" if path.startswith(BINARY_FOLDERS) else (ROOT / path).read_text(errors="replace")

    return {path: text(path) for path in listed()}


def none(faults: list[str]) -> None:
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_the_tree_is_read(tree: rules.Tree) -> None:
    assert len([path for path in tree if path.startswith("src/")]) > 20


@pytest.mark.parametrize(
    "rule",
    [
        rules.layers,
        rules.libraries,
        rules.purity,
        rules.descriptors,
        rules.sizes,
        rules.header_form,
        rules.left_for_later,
        rules.both_compilers,
        rules.dead_files,
        documents.links,
        documents.unreachable,
        compliance.book,
    ],
    ids=lambda rule: rule.__name__,
)
def test_rule(rule, tree: rules.Tree) -> None:
    none(rule(tree))


@pytest.mark.timeout(900)  # a compiler run for each of them, perhaps beside a build
def test_each_header_compiles_alone(tree: rules.Tree) -> None:
    memory = Path(os.environ.get("STILE_HOUSE_MEMORY", ROOT / "build" / "house")) / "headers.json"
    none(headers.alone(ROOT, tree, memory))
