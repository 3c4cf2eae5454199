"""The cases that do not pass yet, each with its reason.

`known-failures.txt` holds lines `NAME: reason`; NAME may hold `*`. A case that is
named there must fail: the list cannot outlive its reasons.
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


def reason(name: str, known: dict[str, str]) -> str | None:
    """Why a case is known to fail; None when it is not."""
    return next((why for pattern, why in known.items() if fnmatch.fnmatchcase(name, pattern)), None)
