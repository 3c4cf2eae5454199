"""The cases that do not pass yet, each with its reason.

`known-failures.txt` holds lines `NAME: reason`; NAME may hold `*`. A case that is
named there must fail: the list cannot outlive its reasons. `known-RUNG.txt` holds those that differ
on a lower rung of the ladder only.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path

FILE = Path(__file__).parent / "known-failures.txt"


def read(path: Path = FILE) -> dict[str, str]:
    """Patterns and reasons, in the file's order. Raises ValueError for a line without a reason."""
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(":")
        if not reason.strip():
            raise ValueError(f"{path.name}:{number}: {name} has no reason")
        found[name.strip()] = reason.strip()
    return found


def of_rung(isolation: str) -> dict[str, str]:
    """Those of a lower rung; a rung without a file has none."""
    path = FILE.with_name(f"known-{isolation}.txt")
    return read(path) if path.exists() else {}


def reason(name: str, known: dict[str, str]) -> str | None:
    """Why a case is known to fail; None when it is not."""
    return next((why for pattern, why in known.items() if fnmatch.fnmatchcase(name, pattern)), None)
