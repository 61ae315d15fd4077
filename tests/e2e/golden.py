"""The golden vectors of tests/vectors as Python sees them; their columns are described at the top of socks5.txt."""

from typing import NamedTuple

from processes import ROOT

FOLDER = ROOT / "tests" / "vectors"


class Vector(NamedTuple):
    octets: bytes
    name: str
    expected: str  # what the whole server does, for people


def octets_of(text: str) -> bytes:
    """ "05 FF 80*254 00" as octets."""
    pieces = (token.partition("*") for token in text.split())
    return b"".join(bytes.fromhex(octet) * int(repeats or 1) for octet, _, repeats in pieces)


def read() -> dict[str, Vector]:
    """Every vector of every file, by its id."""
    vectors = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for line in path.read_text().splitlines():
            if line.startswith("#") or not line:
                continue
            label, _, octets, _, name, expected = line.split(" | ")
            assert label not in vectors, f"{path}: {label} stands there twice"
            vectors[label] = Vector(octets_of(octets), name, expected)
    return vectors
