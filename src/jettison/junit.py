"""Test reports in the form of JUnit's XML, read piece by piece: what they count, and what did not pass.

The files come out of a build, from anybody: document types are refused, and with them all entities; what is
kept of a file is bounded, however large it is.
"""

from __future__ import annotations

import math
from typing import BinaryIO
from xml.parsers import expat

from jettison.dataclass import dataclass, field

MOST_FAILING = 20
"""Test cases that did not pass and are named; the others are counted."""

_LONGEST = 200
"""Characters of a name, and of a message."""
_PIECE = 1 << 16
_LONGEST_TAG = 1 << 20
"""Bytes. Some versions of expat read an unfinished tag anew with every piece."""
_DEEPEST, _MOST_ELEMENTS = 100, 300_000
"""Elements in each other, and in all: expat keeps the names of all that are open, and all different ones."""
_OUTCOMES = ("error", "failure", "skipped")
"""The worst first: a test case has one."""


class NotReadable(Exception):
    """A report that is broken, with what is wrong."""


@dataclass(slots=True)
class Report:
    """What some reports say. `files` counts them; `failing` has NAME: MESSAGE of the first that failed."""

    files: int = 0
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failing: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take in what another one says."""
        for name in ("files", "tests", "failures", "errors", "skipped", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failing += other.failing[: MOST_FAILING - len(self.failing)]


def read(file: BinaryIO, most: int) -> Report | None:
    """What a report says, or None for XML of another kind. Raises NotReadable for what is broken.

    `most` is the number of bytes that are looked at; a longer file is not readable.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    left = most
    try:
        while data := file.read(min(_PIECE, left + 1)):
            left -= len(data)
            if left < 0:
                raise NotReadable(f"it has more than {most >> 20} MiB")
            parser.Parse(data)
            if most - left - parser.CurrentByteIndex > _LONGEST_TAG:
                raise NotReadable(f"line {parser.CurrentLineNumber}: a tag of more than 1 MiB")
            if reader.other:
                return None
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        if reader.other:
            return None
        raise NotReadable(f"line {error.lineno}: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        # An encoding that it cannot decode.
        raise NotReadable(str(error)) from None
    return reader.report


def _refuse(*parts: object) -> None:
    raise NotReadable("it has a document type, which is not read")


class _Reader:
    """Takes the elements of one file as they come."""

    def __init__(self) -> None:
        self.report = Report(files=1)
        self.other = False
        """Whether this is no report."""
        self._elements = 0
        self._depth = 0
        self._case = 0
        """The depth of the test case that is open; 0 for none."""
        self._name = ""
        self._found: dict[str, str] = {}
        """Of the open test case: how it went, with what was said of that."""
        self._kinds: dict[str, str] = {}
        self._reading = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._depth += 1
        self._elements += 1
        if self._depth > _DEEPEST or self._elements > _MOST_ELEMENTS:
            raise NotReadable("it has more elements than are read")
        if self._depth == 1:
            self.other = name not in ("testsuites", "testsuite")
        elif name == "testcase" and not self._case:
            self._case = self._depth
            self._found.clear()
            self._kinds.clear()
            parts = (attributes.get("classname", ""), attributes.get("name", ""))
            self._name = ".".join(filter(None, parts))[:_LONGEST]
            self.report.seconds += _seconds(attributes.get("time", ""))
        elif self._case and self._depth == self._case + 1 and name in _OUTCOMES:
            self._reading = name if name not in self._found else ""
            self._found.setdefault(name, _first_line(attributes.get("message", "")))
            self._kinds.setdefault(name, _first_line(attributes.get("type", "")))

    def text(self, data: str) -> None:
        if self._reading and not self._found[self._reading]:
            self._found[self._reading] = _first_line(data)

    def end(self, name: str) -> None:
        if self._depth == self._case:
            self._ended()
            self._case = 0
        elif self._depth == self._case + 1:
            self._reading = ""
        self._depth -= 1

    def _ended(self) -> None:
        report = self.report
        report.tests += 1
        outcome = next((name for name in _OUTCOMES if name in self._found), "")
        if outcome == "skipped":
            report.skipped += 1
        elif outcome:
            report.errors += outcome == "error"
            report.failures += outcome == "failure"
            if len(report.failing) < MOST_FAILING:
                said = self._found[outcome] or self._kinds[outcome]
                report.failing.append(": ".join(filter(None, (self._name, said))) or outcome)


def _first_line(text: str) -> str:
    return next(iter(text.lstrip().splitlines()), "").rstrip()[:_LONGEST]


def _seconds(text: str) -> float:
    """Seconds, with or without commas between thousands; 0 for what is no time."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
