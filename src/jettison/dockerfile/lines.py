"""From bytes to logical lines: directives, comments, continuations and here-documents."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jettison.dataclass import dataclass, replace
from jettison.dockerfile.heredoc import announced
from jettison.dockerfile.instructions import Heredoc
from jettison.dockerfile.mistake import Mistake, shown

DEFAULT_ESCAPE = "\\"
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*)\Z")
_DIRECTIVES = frozenset(("syntax", "escape", "check"))


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """An instruction's text in one line, without comments, and its here-documents. Lines count from 1."""

    text: str
    first: int
    last: int
    heredocs: tuple[Heredoc, ...] = ()


class Unterminated(Mistake):
    """A here-document without its last line. `first` is the line that announces it."""

    def __init__(self, name: str, first: int) -> None:
        super().__init__(
            f"unterminated here-document: expected a line with nothing but {name[:80]}",
            f"put {name[:80]} on a line of its own, without blanks (tabs before it only after <<-)",
        )
        self.first = first


def decode(data: bytes) -> list[str]:
    """The physical lines, without their line feeds. Raises Mistake for UTF-16."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Mistake("the file is UTF-16, expected UTF-8", "save it as UTF-8")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")


def read_directives(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """The parser directives at the top, as (line number, key in lower case, value)."""
    for number, line in enumerate(lines, 1):
        found = _DIRECTIVE.match(line.rstrip())
        if not found or found[1].lower() not in _DIRECTIVES:
            return
        yield number, found[1].lower(), found[2]


def check_escape(value: str) -> str:
    """The escape character that the directive gives. Raises Mistake for any but backslash and backtick."""
    if value not in ("\\", "`"):
        raise Mistake(f"invalid escape character {shown(value)} in the escape directive", "use \\ or `")
    return value


def logical_lines(lines: list[str], escape: str) -> Iterator[LogicalLine]:
    """Join continued lines, drop comments and blank lines, collect here-documents. Raises Unterminated."""
    total = len(lines)
    at = 0
    while at < total:
        text = lines[at].strip()
        at += 1
        if not text or text[0] == "#":
            continue
        first = at
        if text[-1] == escape:
            at, text = _continued(lines, at, escape)
        if "<<" in text:
            at, documents = _documents(lines, at, announced(text), first)
            yield LogicalLine(text, first, at, documents)
        else:
            yield LogicalLine(text, first, at)


def _continued(lines: list[str], at: int, escape: str) -> tuple[int, str]:
    """Join the line before `at` with those that continue it; gives the next line's index and the text."""
    part = _without_escape(lines[at - 1].lstrip(), escape)
    if part is None:
        return at, lines[at - 1].strip()
    parts = [part]
    while at < len(lines):
        line = lines[at].rstrip("\r")
        at += 1
        start = line.lstrip()
        if not start or start[0] == "#":
            continue
        part = _without_escape(line, escape)
        if part is None:
            parts.append(line)
            break
        parts.append(part)
    return at, "".join(parts).strip()


def _without_escape(line: str, escape: str) -> str | None:
    """The line up to its continuation character, or None when it is not continued (a doubled one is none)."""
    line = line.rstrip("\r").rstrip(" \t")
    if line.endswith(escape) and not line.endswith(escape * 2):
        return line[:-1]
    return None


def _documents(
    lines: list[str], at: int, documents: list[Heredoc], first: int
) -> tuple[int, tuple[Heredoc, ...]]:
    """Read the bodies that start at index `at`."""
    filled: list[Heredoc] = []
    for document in documents:
        start = at
        while True:
            if at >= len(lines):
                raise Unterminated(document.name, first)
            line = lines[at].rstrip("\r")
            at += 1
            if (line.lstrip("\t") if document.strip_tabs else line) == document.name:
                break
        data = "".join(line + "\n" for line in lines[start : at - 1])
        filled.append(replace(document, data=data))
    return at, tuple(filled)
