"""Here-documents: which words of a line announce one (`<<EOF`, `<<-EOF`, `3<<"EOF"`)."""

from __future__ import annotations

import re

from jettison.dockerfile.execform import read_list
from jettison.dockerfile.instructions import Heredoc
from jettison.dockerfile.mistake import Mistake
from jettison.dockerfile.words import split_instruction

_TAKERS = frozenset(("ADD", "COPY", "RUN"))
_OPERATOR = re.compile(r"\d*<<(-?)([^<]+)\Z")
_WORD = re.compile(r"""\s+|((?:[^\s'"\\]++|\\.|'[^']*'|"(?:[^"\\]++|\\.)*+")++)""", re.DOTALL)
_PART = re.compile(
    r"""[^'"\\]+|\\(?P<kept>.?)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)\"""", re.DOTALL
)
_IN_DOUBLE = re.compile(r'\\(["$\\])')


def announced(line: str) -> list[Heredoc]:
    """The here-documents that a line announces, still without data, in order."""
    name, _, rest = split_instruction(line)
    if name.upper() == "ONBUILD":
        name, _, rest = split_instruction(rest)
    if name.upper() not in _TAKERS:
        return []
    try:
        if read_list(rest) is not None:
            return []
    except Mistake:
        return []
    found = [document for word in _words(line) if (document := read_word(word))]
    return found


def _words(line: str) -> list[str]:
    """Words with quotes kept. A line whose quotes do not pair has none: it is for the shell to judge."""
    words: list[str] = []
    at = 0
    while at < len(line):
        found = _WORD.match(line, at)
        if not found:
            return [] if line[at] != "\\" else words
        if found[1]:
            words.append(found[1])
        at = found.end()
    return words


def is_only_heredoc(text: str) -> bool:
    """Whether a command is nothing but the word of a here-document, which then is the script itself."""
    words = _words(text)
    return len(words) == 1 and read_word(words[0]) is not None


def read_word(word: str) -> Heredoc | None:
    """The here-document that one word announces, or None for any other word."""
    found = _OPERATOR.match(word)
    if not found:
        return None
    raw = found[2]
    name = raw
    if "'" in raw or '"' in raw or "\\" in raw:
        parts = []
        at = 0
        while at < len(raw):
            part = _PART.match(raw, at)
            if not part:
                return None
            parts.append(_unquoted(part))
            at = part.end()
        name = "".join(parts)
    if not name:
        return None
    return Heredoc(name, "", name == raw, bool(found[1]))


def _unquoted(part: re.Match[str]) -> str:
    if part["kept"] is not None:
        return part["kept"]
    if part["single"] is not None:
        return part["single"]
    if part["double"] is not None:
        return _IN_DOUBLE.sub(r"\1", part["double"])
    return part.group()
