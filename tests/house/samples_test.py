"""Each house rule finds its fault in a small bad sample, and lets the good one beside it pass."""

from pathlib import Path

import compliance
import documents
import headers
import pytest
import rules
import source

GOOD_HEADER = "// What it is for.\n#pragma once\nint f();\n"


def lines(count: int) -> str:
    return "  g();\n" * count


def function(count: int, head: str = "void f() {") -> str:
    """A function of that many lines, head and closing brace included."""
    return f"{head}\n{lines(count - 2)}}}\n"


def book_of(*entries: str) -> dict[str, str]:
    """A compliance book of one file, with a C++ and a Python test to name."""
    whole = "".join(f"[[rule]]\nsection = '3'\nkeyword = 'MUST'\nsays = 'so'\n{entry}\n" for entry in entries)
    tests = {
        "src/wire/a_test.cc": "TEST(Suite, Name) {}\nTEST_F(Other, Name) {}\nINSTANTIATE_TYPED_TEST_SUITE_P(A, CodecTest, X);\n",
        "tests/e2e/a_test.py": 'CASES = {"one": 1}\ndef test_it() -> None: ...\n',
    }
    return tests | {"docs/compliance/a.toml": whole}


def met(*tests: str, label: str = "1") -> str:
    return f"id = '{label}'\nstatus = 'met'\ntests = {list(tests)}"


# rule, what the fault says, a tree that has it, a tree that has it not
SAMPLES = [
    (
        rules.layers,
        "wire (rank 1) may not know engine",
        {"src/wire/a.cc": '#include "engine/b.h"\n', "src/engine/b.h": ""},
        {"src/engine/a.cc": '#include "sys/b.h"\n', "src/sys/b.h": ""},
    ),
    (
        rules.layers,
        "wire (rank 1) may not know policy",
        {"src/wire/a.cc": '#include "policy/b.h"\n', "src/policy/b.h": ""},
        {"src/wire/a.cc": '#include "wire/b.h"\n', "src/wire/b.h": ""},
    ),
    (
        rules.layers,
        "engine (rank 3) may not know session",
        {"src/engine/a.cc": '#include "session/b.h"\n', "src/session/b.h": ""},
        {"src/server/a.cc": '#include "session/b.h"\n', "src/session/b.h": ""},
    ),
    (
        rules.layers,
        "relay includes sys, which CMakeLists.txt does not list",
        {"CMakeLists.txt": "stile_room(relay USES engine base)", "src/relay/a.cc": '#include "sys/b.h"\n', "src/sys/b.h": ""},
        {"CMakeLists.txt": "stile_room(relay USES sys base)", "src/relay/a.cc": '#include "sys/b.h"\n', "src/sys/b.h": ""},
    ),
    (
        rules.layers,
        "room base may not use wire",
        {"CMakeLists.txt": "stile_room(base USES wire)"},
        {"CMakeLists.txt": "stile_executable(stile cli USES server LIBRARIES CLI11::CLI11)"},
    ),
    (rules.layers, "no room is called attic", {"src/attic/a.cc": ""}, {"src/base/a.cc": ""}),
    (
        rules.layers,
        '"base/gone.h" is no file',
        {"src/base/a.cc": '#include "base/gone.h"\n'},
        {"src/base/a.cc": "#include <vector>\n"},
    ),
    (
        rules.libraries,
        "belongs in a .cc file",
        {"src/cli/a.h": "#include <CLI/CLI.hpp>\n"},
        {"src/cli/a.cc": "#include <CLI/CLI.hpp>\n"},
    ),
    (
        rules.libraries,
        "relay may not use nlohmann",
        {"src/relay/a.cc": "#include <nlohmann/json.hpp>\n"},
        {"src/observe/a.cc": "#include <nlohmann/json.hpp>\n"},
    ),
    (
        rules.libraries,
        "belongs in tests",
        {"src/base/a.cc": "#include <gtest/gtest.h>\n"},
        {"src/base/a_test.cc": "#include <gtest/gtest.h>\n"},
    ),
    (
        rules.purity,
        "may not include <sys/socket.h>",
        {"src/wire/a.cc": "#include <sys/socket.h>\n"},
        {"src/sys/a.cc": "#include <sys/socket.h>\n"},
    ),
    (
        rules.purity,
        "may not include <thread>",
        {"src/session/a.h": "#include <thread>\n"},
        {"src/session/a_test.cc": "#include <thread>\n"},
    ),
    (
        rules.purity,
        "may not call ::now",
        {"src/policy/a.cc": "auto t = std::chrono::steady_clock::now();\n"},
        {"src/policy/a.cc": "// not ::now()\nauto t = f(now);\n"},
    ),
    (
        rules.descriptors,
        "::close(…) belongs in sys/",
        {"src/server/a.cc": "void f(int d) { ::close(d); }\n"},
        {"src/server/a.cc": "void f(Session& s) { s.close(d); Session::close(); close(); }\n"},
    ),
    (
        rules.descriptors,
        "setsockopt(…) belongs in sys/",
        {"src/relay/a.cc": "void f(int d) { setsockopt(d, 0, 0, 0, 0); }\n"},
        {"src/engine/a.cc": "void f(int d) { setsockopt(d, 0, 0, 0, 0); }\n"},
    ),
    (
        rules.descriptors,
        "<unistd.h> belongs in sys/",
        {"src/route/a.cc": "#include <unistd.h>\n"},
        {"src/route/a.cc": "#include <utility>\n"},
    ),
    (
        rules.descriptors,
        "getaddrinfo(…) takes no name",
        {"src/sys/a.cc": "int f() { return getaddrinfo(a, b, c, d); }\n"},
        {"src/sys/a.cc": "// getaddrinfo(name) is for others\nint f();\n"},
    ),
    (rules.sizes, "f has 71 lines", {"src/base/a.cc": function(71)}, {"src/base/a.cc": function(70)}),
    (
        rules.sizes,
        "Room::f has 71 lines",
        {"src/base/a.cc": "namespace n {\n" + function(71, "int Room::f(int a) const noexcept {") + "}\n"},
        {"src/base/a.cc": "namespace n {\n" + lines(0) + "int a[] = {\n" + "1,\n" * 90 + "};\n}\n"},
    ),
    (
        rules.sizes,
        "f has 72 lines",
        {"tests/a.py": "def f():\n" + "    g()\n" * 71},
        {"tests/a.py": "class A:\n" + "    b = 1\n" * 90},
    ),
    (rules.sizes, "1001 lines", {"src/base/a.h": "\n" * 1001}, {"src/base/a.h": "\n" * 1000}),
    (rules.header_form, "opens with its purpose", {"src/base/a.h": "#pragma once\n"}, {"src/base/a.h": GOOD_HEADER}),
    (rules.header_form, "no #pragma once", {"src/base/a.h": "// Why.\nint f();\n"}, {"src/base/a.h": GOOD_HEADER}),
    (rules.both_compilers, "stable_sort", {"src/base/a.cc": "std::ranges::stable_sort(all);\n"}, {"src/base/a.cc": "std::ranges::sort(all);\n"}),
    (rules.left_for_later, "TO" + "DO", {"README.md": "a TO" + "DO here\n"}, {"README.md": "a to-do list\n"}),
    (
        rules.dead_files,
        "nothing includes it",
        {"src/base/a.h": GOOD_HEADER},
        {"src/base/a.h": GOOD_HEADER, "src/base/a.cc": '#include "base/a.h"\n'},
    ),
    (
        rules.dead_files,
        "no header of its own room",
        {"src/base/a.cc": "int f() { return 1; }\n"},
        {"src/main.cc": "int main() {}\n"},
    ),
    (
        rules.dead_files,
        "fuzz target a has no corpus",
        {"src/base/a_fuzz.cc": '#include "base/a.h"\n', "src/base/a.h": ""},
        {"src/base/a_fuzz.cc": '#include "base/a.h"\n', "src/base/a.h": "", "fuzz/corpus/a/1": ""},
    ),
    (rules.dead_files, "no fuzz target has this name", {"fuzz/corpus/gone/1": ""}, {}),
    (
        documents.links,
        "b.md leads nowhere",
        {"docs/a.md": "[b](b.md)\n"},
        {"docs/a.md": "[b](../b.md#the-end-of-it) [c](https://example.com)\n", "b.md": "# The end, of it\n"},
    ),
    (
        documents.links,
        "no heading #two",
        {"a.md": "[b](b.md#two)\n", "b.md": "# One\n"},
        {"a.md": "# One\n[b](#one)\n"},
    ),
    (documents.links, "there is no src/base/gone.h", {"a.md": "see `src/base/gone.h`\n"}, {"a.md": "```\n`src/base/gone.h`\n```\n"}),
    (
        documents.unreachable,
        "no page links to it",
        {"docs/a.md": "alone\n"},
        {"README.md": "[a](docs/a.md)\n", "docs/a.md": "found\n"},
    ),
    (
        compliance.book,
        "has no test Suite.Gone",
        book_of(met("src/wire/a_test.cc::Suite.Gone")),
        book_of(met("src/wire/a_test.cc::Suite.Name", "src/wire/a_test.cc::Other.Name", "src/wire/a_test.cc::A/CodecTest")),
    ),
    (
        compliance.book,
        "has no test test_gone",
        book_of(met("tests/e2e/a_test.py::test_gone")),
        book_of(met("tests/e2e/a_test.py::test_it")),
    ),
    (
        compliance.book,
        "has no case two",
        book_of(met("tests/e2e/a_test.py::test_it[two]")),
        book_of(met("tests/e2e/a_test.py::test_it[one]")),
    ),
    (compliance.book, "there is no test file", book_of(met("src/wire/b_test.cc::Suite.Name")), {}),
    (
        compliance.book,
        "every id is unique",
        book_of(met("tests/e2e/a_test.py::test_it"), met("tests/e2e/a_test.py::test_it")),
        book_of(met("tests/e2e/a_test.py::test_it"), met("tests/e2e/a_test.py::test_it", label="2")),
    ),
    (
        compliance.book,
        "met, but no tests",
        book_of("id = '1'\nstatus = 'met'\n"),
        book_of("id = '1'\nstatus = 'open'\nreason = 'later'\n"),
    ),
    (
        compliance.book,
        "exception, but no reason",
        book_of("id = '1'\nstatus = 'exception'\n"),
        book_of("id = '1'\nstatus = 'exception'\nreason = 'harm'\n"),
    ),
    (compliance.book, "status maybe", book_of("id = '1'\nstatus = 'maybe'\n"), {}),
    (compliance.book, "no [[rule]]", {"docs/compliance/a.toml": ""}, {"docs/compliance/README.md": ""}),
]


@pytest.mark.parametrize(("rule", "fault", "bad", "good"), SAMPLES, ids=lambda value: getattr(value, "__name__", None))
def test_a_bad_sample_is_found_and_a_good_one_passes(rule, fault, bad, good) -> None:
    assert any(fault in line for line in rule(bad)), rule(bad)
    assert rule(good) == []


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("int f(int a) {", "f"),
        ("auto A::g() const -> int {", "A::g"),
        ("TEST(Suite, Case) {", "TEST"),
        ("template <class T> requires (sizeof(T) > 1)\nvoid h(T t) {", "requires"),
        ("A::~A() {", "A::~A"),
    ],
)
def test_functions_are_seen_in_every_spelling(head: str, name: str) -> None:
    found = source.functions(f"namespace a {{\n{head}\n  if (b) {{ c({{1, 2}}); }}\n}}\n}}  // namespace a\n")
    assert [function.name for function in found] == [name]


def test_functions_in_classes_are_told_apart_from_data() -> None:
    text = "class A {\n public:\n  int f() { return 1; }\n  std::array<int, 2> b_ = {1, 2};\n  int g() {\n    return 2;\n  }\n};\n"
    assert [(f.name, f.line, f.lines) for f in source.functions(text)] == [("f", 3, 1), ("g", 5, 3)]


def test_literals_and_comments_hide_nothing() -> None:
    text = 'char a = \'{\'; auto b = "}{"; auto c = R"x({ )" })x"; /* { */ int d = 1\'000; // {\nvoid f() {}\n'
    assert [(f.name, f.line) for f in source.functions(text)] == [("f", 2)]


def test_a_header_that_does_not_compile_alone_is_found_and_found_again(tmp_path: Path) -> None:
    tree = {"src/base/a.h": "// Why.\n#pragma once\nstd::vector<int> f();\n", "src/base/b.h": GOOD_HEADER}
    for path, text in tree.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    memory = tmp_path / "memory.json"
    for _ in range(2):
        faults = headers.alone(tmp_path, tree, memory)
        assert len(faults) == 1 and faults[0].startswith("src/base/a.h:1: does not compile alone")


def test_a_header_is_compiled_anew_when_one_that_it_includes_changes() -> None:
    tree = {"src/base/a.h": '#include "base/b.h"\n', "src/base/b.h": '#include "base/c.h"\n', "src/base/c.h": ""}
    before = headers.fingerprint(tree, "src/base/a.h")
    assert headers.fingerprint(tree | {"src/base/c.h": "int x;"}, "src/base/a.h") != before
    assert headers.fingerprint(tree | {"src/base/d.h": "int x;"}, "src/base/a.h") == before


def test_the_build_shows_the_headers_that_come_first() -> None:
    tree = {"src/a/a.cc": '#include "a/a.h"\n#include "a/b.h"\n', "src/a/b.cc": "#include <vector>\n"}
    assert headers.shown_by_the_build(tree) == {"src/a/a.h"}
