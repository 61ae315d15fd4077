"""The processes that judge passwords for a server: found by their parents, as `ps` would."""

from pathlib import Path


def children_of(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []  # it has ended


def named(process: int, name: str) -> list[int]:
    """Descendants of this name."""
    found = []
    for child in children_of(process):
        try:
            found += [child] if Path(f"/proc/{child}/comm").read_text().strip() == name else []
        except OSError:
            continue
        found += named(child, name)
    return found


def helper_of(process: int) -> int | None:
    found = named(process, "stile-helper")
    return found[0] if found else None
