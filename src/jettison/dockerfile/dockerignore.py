"""The .dockerignore file: which paths of a build context are left out.

The last line that matches a path or one of its parent directories decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from posixpath import normpath

from jettison.dataclass import dataclass
from jettison.dockerfile.glob import read_class
from jettison.dockerfile.mistake import Mistake
from jettison.errors import DockerfileError, Problem
from jettison.location import Location

_MAGIC = re.compile(r"[*?\[\]\\]")
_STAR, _DEEP = "[^/]*", "(?:.*/)?"
_FREE = 4
"""So many wildcards of a pattern may be matched anew when what follows does not fit."""
MOST_PATTERNS = 10_000
"""Of one file: each is asked about each path."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line. `text` is as written, `path` clean and without the `!`."""

    text: str
    path: str
    negated: bool
    line: int


def parse_ignore(data: bytes, path: str = ".dockerignore") -> tuple[Pattern, ...]:
    """Read an ignore file. Raises DockerfileError with all malformed lines."""
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    patterns: list[Pattern] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        try:
            pattern = _read(line, number)
        except Mistake as mistake:
            problems.append(mistake.problem(Location(path, number, number)))
            continue
        if pattern:
            patterns.append(pattern)
        if len(patterns) > MOST_PATTERNS:
            many = Mistake(f"the file has more than {MOST_PATTERNS:,} patterns", "name whole folders")
            problems.append(many.problem(Location(path, number, number)))
            break
    if problems:
        raise DockerfileError(tuple(problems[:20]))
    return tuple(patterns)


def make_patterns(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Patterns of --exclude flags. Raises DockerfileError."""
    try:
        return tuple(pattern for text in texts if (pattern := _read(text, 0)))
    except Mistake as mistake:
        raise mistake.located(None) from None


def _read(line: str, number: int) -> Pattern | None:
    text = line.strip()
    if not text:
        return None
    negated = text.startswith("!")
    path = text[1:].strip() if negated else text
    if not path:
        raise Mistake("illegal pattern '!': a path is missing", "write !path to keep a path")
    path = normpath(path)
    if path.startswith("/"):
        path = path.lstrip("/") or "/"
    _expression(path)
    return Pattern(text, path, negated, number)


def _expression(path: str) -> str:
    """A pattern as a regular expression. Raises Mistake when it is malformed."""
    if path.startswith("**") and not _MAGIC.search(path, 2):
        # Without other wildcards, leading stars stand for any start: **.txt is any name that ends so.
        rest = path[2:]
        if not rest.startswith("/"):
            return f".*{re.escape(rest)}"
        return f"(?:.*/)?{re.escape(rest[1:])}"
    return _bounded(_parts(path), path)


@dataclass(frozen=True, slots=True)
class _Part:
    """A wildcard with the text that follows it, as expressions.

    `plain` text has no class, which may stand for a slash; `slash` says that it ends with one.
    """

    wildcard: str
    text: str = ""
    plain: bool = True
    slash: bool = False


def _parts(path: str) -> list[_Part]:
    out = [_Part("")]
    at = 0
    while at < len(path):
        char = path[at]
        at += 1
        if char == "*":
            at, expression = _stars(path, at)
            if expression != _DEEP or out[-1] != _Part(_DEEP):
                out.append(_Part(expression))
            continue
        last, plain = out[-1], out[-1].plain
        if char == "?":
            text = "[^/]"
        elif char == "[":
            text, at = read_class(path, at)
            plain = False
        elif char == "\\":
            if at == len(path):
                raise Mistake(f"the pattern {path!r} ends with a backslash", "write \\\\ for the character")
            text = re.escape(path[at])
            at += 1
        else:
            text = re.escape(char)
        out[-1] = _Part(last.wildcard, last.text + text, plain, char == "/")
    return out


def _bounded(parts: Sequence[_Part], path: str) -> str:
    """One expression of which no wildcard, but for a few, is ever asked to match anew.

    The first place that fits the text up to the next wildcard of a kind leaves most for all that follows.
    """
    out: list[str] = []
    free = 0
    deep = [number for number, part in enumerate(parts) if part.wildcard not in ("", _STAR)]
    for number, part in enumerate(parts):
        following = parts[number + 1].wildcard if number + 1 < len(parts) else ""
        if part.wildcard == _STAR and following == _STAR and part.plain:
            out.append(f"(?>[^/]*?{part.text})")
            continue
        if part.wildcard == _DEEP:
            end = next((other for other in deep if other > number), 0)
            if end and all(one.plain for one in parts[number:end]) and parts[end - 1].slash:
                inner = _bounded([_Part("", part.text, True, part.slash), *parts[number + 1 : end]], path)
                out.append(f"(?>(?:.*?/)??{inner})")
                return "".join(out) + _bounded(parts[end:], path)
        free += bool(part.wildcard)
        if free > _FREE:
            raise Mistake(
                f"the pattern {path!r} has more wildcards than can be matched in time",
                "use fewer of them, or write it as several lines",
            )
        out.append(part.wildcard + part.text)
    return "".join(out)


def _stars(path: str, at: int) -> tuple[int, str]:
    """What the star before `at` stands for, alone or doubled; two stars eat a slash after them."""
    if not path.startswith("*", at):
        return at, _STAR
    at += 1
    if path.startswith("/", at):
        at += 1
    return at, _DEEP if at < len(path) else ".*"


class Matcher:
    """Answers for one set of patterns. Paths are clean, relative, with slashes."""

    __slots__ = ("_deciding", "_exact", "_expressions", "_groups", "_names", "patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        # Neighbours of one kind decide the same, so they make one group; group 0 is "no line matches".
        self._groups: list[bool] = [False]
        self._exact: dict[str, int] = {}
        self._names: dict[str, int] = {}
        wild: list[list[str]] = [[]]
        for pattern in self.patterns:
            ignores = not pattern.negated
            if len(self._groups) == 1 or self._groups[-1] != ignores:
                self._groups.append(ignores)
                wild.append([])
            group = len(self._groups) - 1
            path = pattern.path
            if not _MAGIC.search(path):
                self._exact[path] = group
            elif path.startswith("**/") and not _MAGIC.search(path, 3) and "/" not in path[3:]:
                self._names[path[3:]] = group
            else:
                wild[group].append(_expression(path))
        self._expressions = [
            (group, re.compile("|".join(texts), re.DOTALL)) for group, texts in enumerate(wild) if texts
        ][::-1]
        self._deciding: dict[str, int] = {"": 0}

    def ignored(self, path: str) -> bool:
        """Whether the path is left out."""
        if len(self._groups) == 1:
            return False
        parent, _, name = path.rpartition("/")
        return self._groups[self._own(path, name, self._of_directory(parent))]

    def _own(self, path: str, name: str, least: int) -> int:
        """The highest group with a line that matches the path itself, or `least` if none is above that."""
        least = max(least, self._exact.get(path, 0), self._names.get(name, 0))
        for group, expression in self._expressions:
            if group <= least:
                break
            if expression.fullmatch(path):
                return group
        return least

    def _of_directory(self, path: str) -> int:
        """The group that decides about a directory."""
        known = self._deciding.get(path)
        if known is not None:
            return known
        missing: list[str] = []
        while known is None:
            missing.append(path)
            path = path.rpartition("/")[0]
            known = self._deciding.get(path)
        for directory in reversed(missing):
            known = self._own(directory, directory.rpartition("/")[2], known)
            self._deciding[directory] = known
        return known

    def may_reinclude_below(self, directory: str) -> bool:
        """Whether anything below an ignored directory could be kept; if not, nobody needs to look into it."""
        group = 0
        deciding = self._of_directory(directory)
        parts = directory.split("/")
        previous = False
        for pattern in self.patterns:
            ignores = not pattern.negated
            if group == 0 or ignores != previous:
                group += 1
                previous = ignores
            if pattern.negated and group > deciding and _reaches_below(pattern.path, parts):
                return True
        return False

    def why(self, path: str) -> Pattern | None:
        """The line that decides about a path, or None when no line matches it."""
        parts = path.split("/")
        candidates = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        for pattern in reversed(self.patterns):
            expression = re.compile(_expression(pattern.path), re.DOTALL)
            if any(expression.fullmatch(candidate) for candidate in candidates):
                return pattern
        return None


def _reaches_below(pattern: str, directory: list[str]) -> bool:
    """Whether a pattern could match something strictly below a directory; says yes when in doubt."""
    for number, segment in enumerate(pattern.split("/")):
        if "**" in segment or "[" in segment or number >= len(directory):
            return True
        if not _MAGIC.search(segment) and segment != directory[number]:
            return False
    return False
