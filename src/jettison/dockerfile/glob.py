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
    """The expression. Its time is bounded: what one wildcard has matched, no later one asks it to match anew.

    The first place that fits the text up to the next wildcard of a kind leaves most for all that follows.
    """
    if "**" not in pattern:
        return _segment(pattern)
    *inner, last = _split_at_stars(pattern.split("/"))
    out = [f"{''.join(_segment(text) + '/' for text in inner[0])}"] if inner else []
    out += [f"(?>(?:[^/]+/)*?{''.join(_segment(text) + '/' for text in texts)})" for texts in inner[1:]]
    deep = "(?:[^/]+/)*" if inner else ""
    if inner and not last:
        # At the end the two stars stand for all that is below.
        return "".join(out) + (".+" if len(pattern) > 2 else ".*")
    return "".join(out) + deep + "/".join(map(_segment, last))


def _split_at_stars(segments: list[str]) -> list[list[str]]:
    out: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            out.append([])
        else:
            out[-1].append(segment)
    return out


def _segment(text: str) -> str:
    """A part without two stars in a row: its text between stars, each with the star in front."""
    start, *after = _between_stars(text)
    if not after:
        return start
    return start + "".join(f"(?>[^/]*?{part})" for part in after[:-1]) + f"[^/]*{after[-1]}"


def _between_stars(text: str) -> list[str]:
    out = [""]
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            at += len(text) - at - len(text[at:].lstrip("*"))
            out.append("")
        elif char == "?":
            out[-1] += "[^/]"
        elif char == "[":
            expression, at = read_class(text, at)
            out[-1] += f"(?!/){expression}"
        elif char == "\\":
            if at == len(text):
                raise Mistake(
                    f"the pattern {shown(text)} ends with a backslash", "write \\\\ for the character"
                )
            out[-1] += re.escape(text[at])
            at += 1
        else:
            out[-1] += re.escape(char)
    return out


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
