"""Rules for the documents: a link leads somewhere, a path that is named exists, every page is reachable.

Tested in samples_test.py, applied in house_test.py.
"""

import posixpath
import re

import source

Tree = dict[str, str]

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
NAMED_PATH = re.compile(r"`((?:src|tests|docs|cmake|fuzz|packaging|include|bench)/[\w./-]+)`")
HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("http://", "https://", "mailto:")


def anchors(text: str) -> set[str]:
    """The names that headings get where the pages are read: lower case, punctuation dropped, hyphens for spaces."""
    titles = (re.sub(r"[^\w\- ]", "", match[1].lower()) for match in HEADING.finditer(FENCE.sub("", text)))
    return {title.replace(" ", "-") for title in titles}


def exists(tree: Tree, path: str) -> bool:
    return path in tree or any(other.startswith(path.rstrip("/") + "/") for other in tree)


def prose(text: str) -> str:
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def links(tree: Tree) -> list[str]:
    faults = []
    for path, text in sorted(tree.items()):
        if not path.endswith(".md"):
            continue
        plain = prose(text)
        for match in LINK.finditer(plain):
            target, _, anchor = match[1].partition("#")
            if match[1].startswith(ELSEWHERE):
                continue
            place = f"{path}:{source.line_of(plain, match.start())}"
            goal = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
            if not exists(tree, goal):
                faults.append(f"{place}: {match[1]} leads nowhere")
            elif anchor and anchor not in anchors(tree.get(goal, "")):
                faults.append(f"{place}: {goal} has no heading #{anchor}")
        for match in NAMED_PATH.finditer(plain):
            if not exists(tree, match[1]):
                faults.append(f"{path}:{source.line_of(plain, match.start())}: there is no {match[1]}")
    return faults


def unreachable(tree: Tree) -> list[str]:
    """Pages under docs/ that no other page links to."""
    linked = set()
    for path, text in tree.items():
        if path.endswith(".md"):
            for match in LINK.finditer(text):
                linked.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1].partition("#")[0])))
    pages = [path for path in sorted(tree) if path.startswith("docs/") and path.endswith(".md")]
    return [
        f"{path}:1: no page links to it"
        for path in pages
        if path not in linked and posixpath.dirname(path) not in linked
    ]
