"""Wildcards of paths as Go's filepath.Match has them, and `**` for any number of directories."""

from __future__ import annotations

import re
from functools import lru_cache

from jettison.dockerfile.mistake import Mistake, shown

_MAGIC = re.compile(r"[*?\[\\]")
_CLASS_PART = re.compile(r"(?:\\(.)|([^\\\]\-]))(?:-(?:\\(.)|([^\\\]\-])))?", re.DOTALL)


def is_pattern(text: str) -> bool:
    """Whether any character of the text is special in a pattern."""
    return _MAGIC.search(text) is not None


def match(pattern: str, name: str) -> bool:
    """Whether a whole path matches. Wildcards stay within one segment, but for a segment that is `**`.

    Raises DockerfileError for a malformed pattern, such as an unclosed [.
    """
    return compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for `fullmatch`. Raises DockerfileError."""
    try:
        return re.compile(_translated(pattern), re.DOTALL)
    except Mistake as mistake:
        raise mistake.located(None) from None


def _translated(pattern: str) -> str:
    segments = pattern.split("/") if "**" in pattern else [pattern]
    out: list[str] = []
    last = len(segments) - 1
    for number, segment in enumerate(segments):
        if segment == "**":
            # In front and in the middle it may stand for nothing; at the end for all that is below.
            out.append("(?:[^/]+/)*" if number < last else ".+" if last else ".*")
        else:
            out.append(_segment(segment) + ("/" if number < last else ""))
    return "".join(out)


def _segment(text: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            at += len(text) - at - len(text[at:].lstrip("*"))
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            expression, at = read_class(text, at)
            out.append(f"(?!/){expression}")
        elif char == "\\":
            if at == len(text):
                raise Mistake(
                    f"the pattern {shown(text)} ends with a backslash", "write \\\\ for the character"
                )
            out.append(re.escape(text[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def read_class(text: str, at: int) -> tuple[str, int]:
    """The class whose [ stands before `at`, as a regular expression, and where it ends. Raises Mistake."""
    negated = text.startswith("^", at)
    at += negated
    parts: list[str] = []
    empty = True
    while empty or not text.startswith("]", at):
        found = _CLASS_PART.match(text, at)
        if not found:
            raise Mistake(
                f"syntax error in the pattern {shown(text)}: a [ is not closed or empty",
                "write [[] for the character [",
            )
        empty = False
        at = found.end()
        low = found[1] or found[2]
        high = found[3] or found[4] or low
        if low <= high:
            parts.append(re.escape(low) + ("-" + re.escape(high) if high != low else ""))
    if not parts:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' * negated}{''.join(map(_in_class, parts))}]", at + 1


def _in_class(part: str) -> str:
    """What re.escape leaves as it is although it means something at the start of a class or doubled in it."""
    return "\\" + part if part[0] in "^[&~|" else part
