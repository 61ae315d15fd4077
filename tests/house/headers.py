"""Each header compiles alone.

A header that some source file includes before anything else is shown to by the build itself; the others are compiled
here. What compiled once is remembered by its content and that of everything it includes.

Tested in samples_test.py, applied in house_test.py.
"""

import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import source

Tree = dict[str, str]

COMPILER = ["g++", "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-x", "c++"]


def reach(tree: Tree, header: str) -> list[str]:
    """The header and all files of the tree that it includes, directly or not."""
    seen: set[str] = set()
    waiting = [header]
    while waiting:
        path = waiting.pop()
        if path in tree and path not in seen:
            seen.add(path)
            waiting += [f"src/{include.path}" for include in source.includes(tree[path]) if include.quoted]
    return sorted(seen)


def shown_by_the_build(tree: Tree) -> set[str]:
    """The headers that come first in a source file: nothing before them could help them compile."""
    first = (source.includes(text)[:1] for path, text in tree.items() if path.endswith(".cc"))
    return {f"src/{include.path}" for includes in first for include in includes if include.quoted}


@cache
def compiler_version() -> str:
    return subprocess.run([COMPILER[0], "--version"], capture_output=True, text=True, check=True).stdout


def fingerprint(tree: Tree, header: str) -> str:
    digest = hashlib.sha256((compiler_version() + " ".join(COMPILER)).encode())
    for path in reach(tree, header):
        digest.update(f"\0{path}\0{tree[path]}".encode())
    return digest.hexdigest()


def compile_alone(root: Path, header: str) -> str | None:
    """The compiler's complaint, if it has one."""
    # A second inclusion also shows a header that does not guard itself.
    text = f'#include "{header.removeprefix("src/")}"\n' * 2
    command = [*COMPILER, "-I", str(root / "src"), "-"]
    run = subprocess.run(command, input=text, capture_output=True, text=True)
    return None if run.returncode == 0 else f"{header}:1: does not compile alone:\n{run.stderr.strip()[:2000]}"


def alone(root: Path, tree: Tree, memory: Path) -> list[str]:
    """Faults of the headers under src/; memory is a file that outlives the run."""
    try:
        known = set(json.loads(memory.read_text()))
    except (OSError, ValueError):
        known = set()
    shown = shown_by_the_build(tree)
    paths = [path for path in sorted(tree) if path.startswith("src/") and path.endswith(".h") and path not in shown]
    prints = {path: fingerprint(tree, path) for path in paths}
    changed = [path for path, value in prints.items() if value not in known]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        complaints = dict(zip(changed, pool.map(lambda path: compile_alone(root, path), changed)))
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(sorted(value for path, value in prints.items() if not complaints.get(path))))
    return [complaint for complaint in complaints.values() if complaint]
