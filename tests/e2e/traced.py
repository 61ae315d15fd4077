"""What traceroute(8) shows."""

import re


def hops(shown: str, lossy: bool = False) -> list[str]:
    """Of each hop, who answered and the marks behind the times.

    Of echoes by datagram sockets, which is what -I has without root, traceroute misses some answers that come at once, in any
    network (`lossy`): one of three counts."""
    found = []
    for line in shown.splitlines()[1:]:
        words = line.split()
        shown_here = [word for word in words[1:] if word != "ms" and not re.fullmatch(r"\d+\.\d+", word)]
        if lossy and set(shown_here) != {"*"}:
            shown_here = [word for word in shown_here if word != "*"]
        found.append(" ".join(shown_here))
    return found
