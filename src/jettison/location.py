"""Where something stands in a Dockerfile (or another text file)."""

from __future__ import annotations

from jettison.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A range of lines of one file. Lines count from 1; `last_line` is part of the range."""

    path: str
    first_line: int
    last_line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.first_line}"
