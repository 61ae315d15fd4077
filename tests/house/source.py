"""Reads C++ text just well enough for the house rules: includes, code without comments and literals, functions.

No compiler is involved, so that the rules run in seconds; what a header needs to compile is checked by a compiler
(headers.py). Tested in samples_test.py.
"""

import re
from dataclasses import dataclass

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', re.MULTILINE)
COMMENT = r"//(?:\\\n|[^\n])*|/\*.*?\*/"
RAW_STRING = r'\b(?:u8|[uUL])?R"(?P<fence>[^(\n]*)\(.*?\)(?P=fence)"'
STRING = r'"(?:\\.|[^"\\\n])*"'
CHARACTER = r"(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'"
LITERAL = re.compile("|".join((COMMENT, RAW_STRING, STRING, CHARACTER)), re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
CLASS_HEAD = re.compile(r"\b(?:class|struct|union|enum)\b[^()]*$")
NAMED = re.compile(r"([~\w:]+|operator\s*\S+)\s*\($")


@dataclass(frozen=True)
class Include:
    path: str
    quoted: bool
    line: int


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    lines: int


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def includes(text: str) -> list[Include]:
    return [Include(match[2], match[1] == '"', line_of(text, match.start())) for match in INCLUDE.finditer(text)]


def blank(match: re.Match[str]) -> str:
    """Takes a literal or comment away and keeps its line breaks; a string leaves its quotes as a sign of itself."""
    sign = '""' if match[0].endswith('"') and not match[0].startswith("/") else " "
    return sign + "\n" * match[0].count("\n")


def code(text: str) -> str:
    """The text without comments, literals and preprocessor lines; every line keeps its number."""
    return DIRECTIVE.sub(lambda match: "\n" * match[0].count("\n"), LITERAL.sub(blank, text))


def scope_kind(head: str, outer: str, in_parentheses: bool) -> str:
    """What an opening brace begins, told from the text since the last statement."""
    if outer in ("function", "data") or in_parentheses:
        return "data"
    if re.search(r"\bnamespace\b", head) or re.search(r'\bextern\s*""\s*$', head):
        return "namespace"
    if CLASS_HEAD.search(head):
        return "class"
    if ")" in head and not re.search(r"=\s*$", head):
        return "function"
    return "data"


def function_name(head: str) -> str:
    opening = head.find("(")
    match = NAMED.search(head[: opening + 1])
    return match[1] if match else head.strip()[:40]


def functions(text: str) -> list[Function]:
    """Every function with a body, lambdas counted as part of the function they stand in."""
    found: list[Function] = []
    scopes: list[tuple[str, str, int]] = []  # kind, head, offset of the head's first character
    plain = code(text)
    head_start = depth = 0
    for match in re.finditer(r"[{};()]|\b(?:public|private|protected)\s*:", plain):
        token = match[0]
        outer = scopes[-1][0] if scopes else "namespace"
        if token in "()":
            depth = max(depth + (1 if token == "(" else -1), 0)
            continue
        if token == "{":
            head = plain[head_start : match.start()]
            scopes.append((scope_kind(head, outer, depth > 0), head, head_start))
        elif token == "}" and scopes:
            kind, head, start = scopes.pop()
            if kind == "function":
                first = line_of(plain, start + len(head) - len(head.lstrip()))
                found.append(Function(function_name(head), first, line_of(plain, match.start()) - first + 1))
        if not (token == ";" and depth > 0):
            head_start = match.end()
    return found
