"""Draws what a terminal shows as SVG, for light and dark pages: how docs/terminal.svg is made.

    tmux capture-pane -e -p | python scripts/terminal_svg.py [--columns 80] > docs/terminal.svg

Reads text with ANSI colours on standard input; the same text gives the same picture. Cells keep
their places, whatever font there is.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from html import escape

from jettison.progress.cells import clip, safe, width

FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
SIZE, CELL, ROW, EDGE = 13, 7.9, 19, 16
LIGHT = {"page": "#f6f8fa", "line": "#d1d9e0", "text": "#1f2328", "dim": "#59636e", "red": "#cf222e",
         "green": "#1a7f37", "yellow": "#9a6700", "cyan": "#0969da"}  # fmt: skip
DARK = {"page": "#151b23", "line": "#3d444d", "text": "#e6edf3", "dim": "#9198a1", "red": "#f85149",
        "green": "#3fb950", "yellow": "#d29922", "cyan": "#58a6ff"}  # fmt: skip
CODES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
WEIGHTS = {"bold", "dim"}
_PIECES = re.compile(r"\x1b\[([\d;]*)m|([^\x1b]+)")


def pieces(line: str, on: set[str]) -> Iterator[tuple[str, str]]:
    """The parts of a line: the classes of each, and its text. `on` is what the line before left on."""
    for codes, text in _PIECES.findall(line):
        if text:
            yield " ".join(sorted(on)), safe(text)
            continue
        for code in codes.split(";"):
            if code in CODES:
                on.add(CODES[code])
            elif code in ("", "0"):
                on.clear()
            elif code == "39":
                on &= WEIGHTS
            elif code == "22":
                on -= WEIGHTS


def drawn(line: str, y: float, columns: int, on: set[str]) -> Iterator[str]:
    """The elements of a line, each where its first cell is."""
    column = 0
    for classes, text in pieces(line, on):
        text = clip(text, columns - column)
        begin = column + len(text) - len(text.lstrip(" "))
        column += width(text)
        if shown := text.strip(" "):
            name = f' class="{classes}"' if classes else ""
            x = EDGE + begin * CELL
            long = width(shown) * CELL
            yield f'<text{name} x="{x:g}" y="{y:g}" textLength="{long:g}">{escape(shown)}</text>'


def style(colours: dict[str, str]) -> str:
    """The rules for one set of colours."""
    rules = [f".{name}{{fill:{colour}}}" for name, colour in colours.items() if name not in ("page", "line")]
    rules.append(f"rect{{fill:{colours['page']};stroke:{colours['line']}}}text{{fill:{colours['text']}}}")
    return "".join(reversed(rules))


def svg(text: str, columns: int) -> str:
    """The whole picture."""
    lines = text.rstrip("\n").split("\n")
    wide, high = columns * CELL + 2 * EDGE, len(lines) * ROW + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" '
        f'height="{high:g}" role="img" xml:space="preserve" font-family="{FONT}" font-size="{SIZE}">',
        "<title>A terminal with a build of jettison</title>",
        f"<style>text{{white-space:pre}}.bold{{font-weight:bold}}{style(LIGHT)}"
        f"@media (prefers-color-scheme:dark){{{style(DARK)}}}</style>",
        f'<rect x="0.5" y="0.5" width="{wide - 1:g}" height="{high - 1:g}" rx="8"/>',
    ]
    on: set[str] = set()
    for number, line in enumerate(lines):
        out += drawn(line, EDGE + number * ROW + SIZE, columns, on)
    return "\n".join([*out, "</svg>"]) + "\n"


def main() -> None:
    """Standard input to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=80)
    sys.stdout.write(svg(sys.stdin.read(), parser.parse_args().columns))


if __name__ == "__main__":
    main()
