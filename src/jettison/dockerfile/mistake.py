"""How the parts of this room tell the parser what is wrong, before it is known on which lines."""

from __future__ import annotations

from collections.abc import Iterable

from jettison.errors import DockerfileError, Problem
from jettison.location import Location

_SHOWN = 80


class Mistake(Exception):
    """One thing wrong with an instruction. Never leaves this room: `located` makes it a DockerfileError."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def problem(self, location: Location | None) -> Problem:
        return Problem(self.message, location, self.hint)

    def located(self, location: Location | None) -> DockerfileError:
        return DockerfileError((self.problem(location),))


def shown(text: str) -> str:
    """A text as messages show it: quoted, control characters escaped, cut when it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, if one is close enough."""
    if len(word) > 40:
        return None
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
