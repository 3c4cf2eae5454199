"""The modes that --chmod gives: octal numbers, or the symbolic form of chmod(1)."""

from __future__ import annotations

import re
from collections.abc import Callable

from jettison.errors import SourceError

ModeChange = Callable[[int, bool], int]
"""Gives new permission bits for old ones; the second argument says that it is about a directory."""

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)", re.ASCII)
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)", re.ASCII)
_OCTAL = re.compile(r"[0-7]{1,5}", re.ASCII)
_SHIFT = {"u": 6, "g": 3, "o": 0}


def parse_mode(text: str) -> ModeChange:
    """What a --chmod does to a mode. Raises SourceError when it is neither octal nor symbolic."""
    if _OCTAL.fullmatch(text) and int(text, 8) <= 0o7777:
        fixed = int(text, 8)
        return lambda mode, is_dir: fixed
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    actions = []
    for clause in clauses:
        if clause is None:
            raise SourceError(
                f"invalid --chmod mode {text!r}",
                hint="write an octal mode between 0 and 7777, or a symbolic one like u=rwX,go=rX",
            )
        for sign, bits in _ACTION.findall(clause[2]):
            actions.append((set(clause[1].replace("a", "ugo") or "ugo"), sign, bits))

    def change(mode: int, is_dir: bool) -> int:
        for who, sign, bits in actions:
            mode = _apply(mode, is_dir, who, sign, bits)
        return mode

    return change


def _apply(mode: int, is_dir: bool, who: set[str], sign: str, bits: str) -> int:
    wanted = 0
    for letter in who:
        wanted |= _bits_for(mode, is_dir, letter, bits)
    if "t" in bits and who == {"u", "g", "o"}:
        wanted |= 0o1000
    if sign == "+":
        return mode | wanted
    if sign == "-":
        return mode & ~wanted
    mask = sum(7 << _SHIFT[letter] for letter in who)
    mask |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
    return (mode & ~mask) | wanted


def _bits_for(mode: int, is_dir: bool, letter: str, bits: str) -> int:
    if bits in _SHIFT:
        return ((mode >> _SHIFT[bits]) & 7) << _SHIFT[letter]
    triple = (4 if "r" in bits else 0) | (2 if "w" in bits else 0)
    if "x" in bits or ("X" in bits and (is_dir or mode & 0o111)):
        triple |= 1
    special = 0
    if "s" in bits:
        special = {"u": 0o4000, "g": 0o2000}.get(letter, 0)
    return triple << _SHIFT[letter] | special
