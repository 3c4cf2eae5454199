"""Text as a terminal shows it: what may be written there at all, and how many cells it takes."""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erasing
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # strings: titles, links, pictures
    r"|\x1b[ -/]*[0-~]?"  # all other escapes
    r"|\x9b[0-?]*[ -/]*[@-~]?"  # CSI as one character
)
_SELECTORS = "\ufe0e\ufe0f\u200d"
"""Terminals disagree on what these do to a character's width, so they are left out."""
_LONGEST = 2000
"""Characters of a line that are looked at; no terminal is wider."""


def safe(text: str) -> str:
    """One line without anything that moves the cursor, rings or sets a colour; tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text).expandtabs(8)
    if not text.isprintable() or not text.isascii():
        text = "".join(map(_shown, text))
    return text


def _shown(character: str) -> str:
    if character in _SELECTORS or unicodedata.category(character) == "Cf":
        return ""
    return character if character.isprintable() else " "


def width(text: str) -> int:
    """How many cells a safe text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    # Emoji that are narrow by the standard are wide in some terminals: better a gap than a line too long.
    wide = unicodedata.east_asian_width(character) in "WF" or "\u2600" <= character <= "\u27bf"
    return 2 if wide and character not in _NARROW else 1


_NARROW = "✓✗"
"""Signs of our own from among the pictures: narrow everywhere."""


def clip(text: str, most: int, more: str = "…") -> str:
    """A safe text in at most so many cells; `more` (one cell) says that some of it is missing."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST]
    if width(text) <= most:
        return text
    if most <= 0:
        return ""
    if text.isascii():
        return text[: most - 1] + more
    used, out = 0, []
    for character in text:
        used += _cells(character)
        if used > most - 1:
            break
        out.append(character)
    return "".join(out) + more


def rows(text: str, columns: int) -> int:
    """How many rows a safe text takes in a terminal that breaks lines at `columns`."""
    if text.isascii():
        return max(-(-len(text) // columns), 1)
    count, used = 1, 0
    for cells in map(_cells, text):
        if used + cells > columns:
            count, used = count + 1, 0
        used += cells
    return count
