"""Rules for the compliance book (docs/compliance): every entry is proved by tests that exist, or says why it is not.

Tested in samples_test.py, applied in house_test.py.
"""

import ast
import re
import tomllib

Tree = dict[str, str]

FOLDER = "docs/compliance/"
KEYWORDS = {"MUST", "MUST NOT", "SHOULD", "MAY", "must", "shall", "should", "may", "states"}
KEYS = {"id", "section", "keyword", "says", "status", "tests", "reason"}
# What an entry of each status needs beside its requirement, and what it may have.
STATUS = {
    "met": ({"tests"}, set()),
    "open": ({"reason"}, {"tests"}),
    "exception": ({"reason"}, {"tests"}),
}

SINGLE = re.compile(r"^\s*(?:(?:TYPED_)?TEST(?:_F|_P)?|RC_GTEST(?:_FIXTURE)?_PROP)\(\s*(\w+),\s*(\w+)", re.MULTILINE)
SUITE = re.compile(r"^\s*INSTANTIATE_(?:TYPED_)?TEST_SUITE_P\(\s*(\w+),\s*(\w+)", re.MULTILINE)


def cpp_tests(text: str) -> set[str]:
    """ "Suite.Name" of each test, "Prefix/Suite" of each suite that is run for a type or value."""
    found = {f"{suite}.{name}" for suite, name in SINGLE.findall(text)}
    return found | {f"{prefix}/{suite}" for prefix, suite in SUITE.findall(text)}


def python_tests(text: str) -> set[str]:
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def missing(tree: Tree, test: str) -> str | None:
    """What is wrong with the name of a test: PATH::NAME, for pytest with the case in brackets if one is meant."""
    path, _, name = test.partition("::")
    if path not in tree or not path.split("/")[-1].endswith(("_test.py", "_test.cc")):
        return f"there is no test file {path}"
    if path.endswith(".cc"):
        return None if name in cpp_tests(tree[path]) else f"{path} has no test {name}"
    function, _, case = name.partition("[")
    if function not in python_tests(tree[path]):
        return f"{path} has no test {function}"
    if case and f'"{case.removesuffix("]")}"' not in tree[path]:
        return f"{path} has no case {case.removesuffix(']')}"
    return None


def faults_of_entry(tree: Tree, entry: dict[str, object]) -> list[str]:
    faults = [f"unknown key {key}" for key in entry if key not in KEYS]
    faults += [f"no {key}" for key in ("section", "keyword", "says", "status") if not entry.get(key)]
    if entry.get("keyword", "must") not in KEYWORDS:
        faults.append(f"keyword {entry['keyword']} (one of {', '.join(sorted(KEYWORDS))})")
    status = entry.get("status", "met")
    if status not in STATUS:
        return [*faults, f"status {status} (one of {', '.join(STATUS)})"]
    needed, allowed = STATUS[status]
    faults += [f"{status}, but no {key}" for key in sorted(needed) if not entry.get(key)]
    faults += [f"{status} takes no {key}" for key in ("tests", "reason") if key in entry and key not in needed | allowed]
    tests = entry.get("tests", [])
    return faults + [fault for test in tests if (fault := missing(tree, test))]


def book(tree: Tree) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    for path, text in sorted(tree.items()):
        if not path.startswith(FOLDER) or not path.endswith(".toml"):
            continue
        entries = tomllib.loads(text).get("rule", [])
        if not entries:
            faults.append(f"{path}:1: no [[rule]]")
        for entry in entries:
            name = str(entry.get("id", "without an id"))
            if name in seen or "id" not in entry:
                faults.append(f"{path}: {name}: every id is unique")
            seen.add(name)
            faults += [f"{path}: {name}: {fault}" for fault in faults_of_entry(tree, entry)]
    return faults
