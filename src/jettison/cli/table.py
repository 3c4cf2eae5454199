"""Tables, ages and sizes as docker shows them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jettison.progress.lines import size_text

__all__ = ["age", "age_of", "rows", "seconds_of", "size_text"]

_UNITS = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("week", 7 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns, three blanks apart."""
    table = [header, *lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    out = ""
    for line in table:
        text = "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out += text.rstrip() + "\n"
    return out


def age(created: str, now: float | None = None) -> str:
    """How long ago an RFC 3339 time was: "3 hours ago"; "N/A" for none."""
    then = seconds_of(created)
    return "N/A" if then is None else age_of(then, now)


def age_of(then: float, now: float | None = None) -> str:
    """How long ago a time was, in seconds since the epoch."""
    passed = max((time.time() if now is None else now) - then, 0)
    for name, length in _UNITS:
        count = int(passed // length)
        if count >= (2 if length > 3600 else 1):
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def seconds_of(created: str) -> float | None:
    """An RFC 3339 time in seconds since the epoch, or None when it is none."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
