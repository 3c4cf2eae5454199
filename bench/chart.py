"""Draws the ratios as an SVG that reads well on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from bench.results import OWN, RIVAL, does_less, is_met, ratio

WIDTH, LABELS, RIGHT, LINE, TOP, BOTTOM = 960, 390, 60, 34, 92, 40
"""Pixels: of the picture, left and right of the bars, of a row, above and below the rows."""
END = 1.2
"""The largest ratio that has its place; what is larger ends there, with its number."""
STYLE = """
.page{fill:#ffffff;stroke:#d0d7de}.text{fill:#1f2328}.faint{fill:#59636e}.line{stroke:#d8dee4}
.one{stroke:#1f2328}.met{fill:#2da44e}.missed{fill:#bf8700}.plain{fill:#4a7fb5}.reach{stroke:#cf222e}
.other{fill:#ffffff;stroke:#1f2328;stroke-width:1.5}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#3d444d}.text{fill:#f0f6fc}.faint{fill:#9198a1}.line{stroke:#30363d}
.one{stroke:#f0f6fc}.met{fill:#3fb950}.missed{fill:#d29922}.plain{fill:#6ca4dc}.reach{stroke:#ff7b72}
.other{fill:#0d1117;stroke:#f0f6fc}}
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
.head{font-size:17px;font-weight:600}.small{font-size:12px}
"""


def draw(document: dict[str, Any]) -> str:
    """The chart of all rows that have a ratio to BuildKit."""
    rows = [row for row in document["rows"].values() if ratio(row, RIVAL) is not None]
    height = TOP + LINE * len(rows) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-labelledby="name what">',
        '<title id="name">jettison beside BuildKit</title>',
        f'<desc id="what">{escape("; ".join(map(words, rows)))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        '<text class="text head" x="20" y="32">jettison divided by BuildKit: shorter is better</text>',
        *legend(document),
        *grid(height),
    ]
    for number, row in enumerate(rows):
        parts += bar(row, TOP + LINE * number)
    return "\n".join([*parts, "</svg>\n"])


def words(row: dict[str, Any]) -> str:
    """A row for those who do not see the picture."""
    return f"{row['says']}: {ratio(row, RIVAL):.2f}"


def at(value: float) -> float:
    """Where a ratio lies, in pixels from the left."""
    return LABELS + min(value, END) / END * (WIDTH - LABELS - RIGHT)


def legend(document: dict[str, Any]) -> Iterator[str]:
    """What the marks mean, in a line below the heading."""
    marks = [
        ('<rect class="met" x="{x}" y="49" width="14" height="10" rx="2"/>', "reach met"),
        ('<rect class="missed" x="{x}" y="49" width="14" height="10" rx="2"/>', "not met"),
        ('<line class="reach" x1="{m}" x2="{m}" y1="47" y2="61" stroke-width="2.5"/>', "reach"),
    ]
    marks += [
        (mark(name, "{m}", 54), f"beside {name.capitalize()} {short(document, name)}") for name in OTHERS
    ]
    x = 20.0
    for shape, text in marks:
        yield shape.format(x=x, m=x + 7)
        yield f'<text class="faint small" x="{x + 20}" y="58">{escape(text)}</text>'
        x += 42 + 6.6 * len(text)


OTHERS = ("docker", "buildah")
"""Builders that have a small mark in each row."""


def short(document: dict[str, Any], name: str) -> str:
    """The version of a builder, without its distribution's suffix."""
    version = document["builders"].get(name, {}).get("version", "")
    return str(version.partition("+")[0])


def mark(name: str, x: str, y: float) -> str:
    """The mark of a further builder."""
    if name == "docker":
        return f'<circle class="other" cx="{x}" cy="{y}" r="4.5"/>'
    return f'<path class="other" transform="translate({x} {y})" d="M0 -5.5 5.5 0 0 5.5 -5.5 0z"/>'


def grid(height: int) -> Iterator[str]:
    """Vertical lines with their ratios; the one at 1.0, where both are equal, is strong."""
    for step in range(7):
        value = step / 5
        x, bottom = at(value), height - BOTTOM + 4
        kind = 'class="one" stroke-width="1.5"' if value == 1 else 'class="line"'
        yield f'<line {kind} x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}"/>'
        place = f'text-anchor="middle" x="{x:.1f}" y="{bottom + 18}"'
        yield f'<text class="faint small" {place}>{value:.1f}</text>'


def bar(row: dict[str, Any], y: float) -> Iterator[str]:
    """One row: name, bar, number, reach, and the marks of further builders."""
    value = ratio(row, RIVAL)
    assert value is not None
    kind = {True: "met", False: "missed", None: "plain"}[is_met(row)]
    middle = y + LINE / 2 - 3
    text, rest = split(row["says"])
    for offset, line in ((-3 if rest else 4, text), (11, rest)):
        yield f'<text class="text small" x="20" y="{middle + offset}">{escape(line)}</text>'
    yield (
        f'<rect class="{kind}" x="{at(0):.1f}" y="{middle - 8}" width="{at(value) - at(0):.1f}"'
        f' height="16" rx="2"/>'
    )
    for name in OTHERS:
        other = ratio(row, name)
        if other is not None and not does_less(row, name):
            yield mark(name, f"{at(other):.1f}", middle)
    if row["reach"] is not None and not row["absolute"]:
        x = at(row["reach"])
        yield (
            f'<line class="reach" x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 12}" y2="{middle + 12}"'
            ' stroke-width="2.5"/>'
        )
    yield f'<text class="text" text-anchor="end" x="{WIDTH - 14}" y="{middle + 5}">{value:.2f}</text>'


def split(text: str, width: int = 58) -> tuple[str, str]:
    """A text as at most two lines."""
    if len(text) <= width:
        return text, ""
    cut = text.rfind(" ", 0, width)
    return text[:cut], text[cut + 1 :]


def has_chart(document: dict[str, Any]) -> bool:
    """Whether there is anything to draw."""
    return any(ratio(row, RIVAL) is not None and row["figures"].get(OWN) for row in document["rows"].values())
