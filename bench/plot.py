"""Bar charts as SVG, written by hand: no library, a few kilobytes, and the same figures give the same file."""

import statistics
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, VALUE = 860, 270, 120
BAR, GAP, GROUP_GAP, TOP = 15, 3, 10, 56
COLOURS = {"same": "#4c78a8", "split": "#9ecae9"}
OWN_COLOURS = {"same": "#d6603a", "split": "#f2b59c"}
OTHER = "#999999"
SCALE = 4  # a bar longer than this many times the median is cut, or the others could not be told apart


@dataclass(frozen=True)
class Bar:
    label: str  # who; bars of one label stand together
    series: str  # "same", "split", or anything else: grey
    value: float
    text: str  # the value as it is shown
    own: bool = False  # Stile's


def bar_chart(title: str, note: str, bars: list[Bar]) -> str:
    """One horizontal bar a value, in the order given. Bars far longer than the others are cut, and marked so."""
    labels = list(dict.fromkeys(bar.label for bar in bars))
    values = [bar.value for bar in bars]
    largest = min(max(values), SCALE * statistics.median(values)) or 1
    cut = max(values) > largest
    room = WIDTH - LABEL - VALUE
    parts: list[str] = []
    y = TOP
    for label in labels:
        group = [bar for bar in bars if bar.label == label]
        middle = y + len(group) * (BAR + GAP) / 2 + 3
        weight = ' font-weight="bold"' if any(bar.own for bar in group) else ""
        parts.append(f'<text x="{LABEL - 10}" y="{middle:.0f}" text-anchor="end"{weight}>{escape(label)}</text>')
        for bar in group:
            length = max(min(bar.value / largest, 1) * room, 1)
            colour = (OWN_COLOURS if bar.own else COLOURS).get(bar.series, OTHER)
            parts.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            if bar.value > largest:
                x = LABEL + room - 24
                parts.append(f'<path d="M{x} {y + BAR} l6 -{BAR} h6 l-6 {BAR} z" fill="#ffffff"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{y + BAR - 3}">{escape(bar.text)}</text>')
            y += BAR + GAP
        y += GROUP_GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 4}" width="{WIDTH}" height="{y + 4}" '
        'font-family="sans-serif" font-size="12" fill="#222222" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{y + 4}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="12" y="41" fill="#555555">{escape(note)}{"; a bar with a gap is longer" if cut else ""}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
