"""Cutting the text of an instruction: its name, its flags, its words (quotes and escapes kept)."""

from __future__ import annotations

import re
from functools import cache

BLANKS = re.compile(r"[\t\v\f\r ]+")


@cache
def _word_pattern(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""(?:[^\s'"{e}]++|{e}.|{e}\Z|'[^']*+(?:'|\Z)|"(?:[^"{e}]++|{e}.|{e}\Z)*+(?:"|\Z))++""", re.DOTALL
    )


# Flags know only the backslash, whatever the escape directive says, and know it in single quotes too.
_FLAG = re.compile(
    r"""(?:[^\s'"\\]++|\\.|\\\Z|'(?:[^'\\]++|\\.|\\\Z)*+(?:'|\Z)|"(?:[^"\\]++|\\.|\\\Z)*+(?:"|\Z))++""",
    re.DOTALL,
)
_FLAG_PART = re.compile(
    r"""(?P<plain>[^'"\\]+)|\\(?P<kept>.?)|'(?P<single>(?:[^'\\]|\\.|\\\Z)*)(?:'|\Z)|"(?P<double>(?:[^"\\]|\\.|\\\Z)*)(?:"|\Z)""",
    re.DOTALL,
)
_NO_BLANK = re.compile(r"\s*")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def split_words(text: str, escape: str) -> list[str]:
    """Words separated by blanks that are neither quoted nor escaped. An escape at the very end is dropped."""
    if "'" not in text and '"' not in text and escape not in text:
        return text.split()
    words = [found.group() for found in _word_pattern(escape).finditer(text)]
    if words and text.endswith(escape):
        last = words[-1]
        if (len(last) - len(last.rstrip(escape))) % 2:
            words[-1] = last[:-1]
            if not words[-1]:
                words.pop()
    return words


def split_instruction(line: str) -> tuple[str, list[str], str]:
    """The name, the flags (unquoted, with their dashes) and the rest of a line."""
    parts = BLANKS.split(line, 1)
    if len(parts) == 1:
        return parts[0], [], ""
    name, rest = parts
    if not rest.startswith("--"):
        return name, [], rest.strip()
    flags, rest = split_flags(rest)
    return name, flags, rest.strip()


def split_flags(text: str) -> tuple[list[str], str]:
    """The flags at the start of a text, unquoted, and what follows them. A lone `--` ends the flags."""
    flags: list[str] = []
    at = 0
    while True:
        found = _FLAG.match(text, _NO_BLANK.match(text, at).end())  # type: ignore[union-attr]
        if not found or not text.startswith("--", found.start()):
            return flags, text[at:]
        word = found.group()
        at = found.end()
        if "'" in word or '"' in word or "\\" in word:
            word = "".join(_unquoted(part) for part in _FLAG_PART.finditer(word))
        if word == "--":
            return flags, text[at:]
        flags.append(word)


def _unquoted(part: re.Match[str]) -> str:
    if part["plain"] is not None:
        return part["plain"]
    if part["kept"] is not None:
        return part["kept"]
    quoted = part["single"] if part["single"] is not None else part["double"]
    return _ESCAPED.sub(r"\1", quoted)
