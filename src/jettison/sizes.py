"""Amounts of bytes and spans of time, as people write them."""

from __future__ import annotations

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_size(text: str, whole: int = 0) -> int:
    """A number of bytes: `512`, `20G` and `20GB` (powers of 1000), `20GiB` (of 1024), `15%` of a `whole`.

    Raises ValueError for anything else.
    """
    word = text.strip().lower()
    if word.endswith("%"):
        share = float(word[:-1])
        if not 0 <= share <= 100:
            raise ValueError(text)
        return int(whole * share / 100)
    digits = word.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = word[len(digits) :]
    scale = _BINARY.get(unit[0]) if unit[1:] == "ib" else _UNITS.get(unit.removesuffix("b"))
    number = float(digits)
    if scale is None or not 0 <= number < 1e18:
        raise ValueError(text)
    return int(number * scale)


def parse_span(text: str) -> float:
    """A span in seconds: `90s`, `24h`, `1h30m`, `7d`, `2w`, or a plain number. Raises ValueError."""
    word = text.strip().lower()
    if not word or not word[-1].isalpha():
        word += "s"
    total, digits = 0.0, ""
    for sign in word:
        if sign.isdigit() or sign == ".":
            digits += sign
        else:
            if sign not in _SPANS:
                raise ValueError(text)
            total += float(digits) * _SPANS[sign]
            digits = ""
    return total
