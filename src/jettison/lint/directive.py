"""`# check=…`: which rules are left out, which experimental ones are on, and whether findings are errors."""

from __future__ import annotations

from collections.abc import Iterable

from jettison.dataclass import dataclass
from jettison.errors import DockerfileError, Problem
from jettison.location import Location

EXPERIMENTAL = frozenset(("InvalidDefinitionDescription",))
"""Rules that are off unless they are asked for."""

ALL = "all"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_KEYS = ("skip", "error", "experimental")


@dataclass(frozen=True, slots=True)
class Options:
    """What a directive says. The names of rules are case-sensitive; "all" stands for all of them."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: str) -> bool:
        """Whether findings of a rule are reported."""
        if rule in EXPERIMENTAL and not self.experimental & {rule, ALL}:
            return False
        return not self.skip & {rule, ALL}


def read_options(text: str, location: Location) -> Options:
    """The options of `# check=skip=A,B;error=true`. Raises DockerfileError for what is no option."""
    values: dict[str, str] = {}
    for part in text.split(";") if text.strip() else ():
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or key not in _KEYS:
            raise _wrong(f"invalid check option {part.strip()!r}", location)
        values[key] = value.strip()
    error = values.get("error", "false")
    if error not in _TRUE + _FALSE:
        raise _wrong(f"invalid value {error!r} of the check option error", location)
    return Options(_names(values.get("skip")), _names(values.get("experimental")), error in _TRUE)


def skipped_by(comments: Iterable[str]) -> frozenset[str]:
    """The rules that comments right above an instruction leave out: `# check=skip=Rule`."""
    out: frozenset[str] = frozenset()
    for comment in comments:
        key, _, value = comment.partition("=")
        if key.strip() == "check" and value.strip().startswith("skip="):
            out |= _names(value.strip().removeprefix("skip=").partition(";")[0])
    return out


def _names(text: str | None) -> frozenset[str]:
    return frozenset(name.strip() for name in (text or "").split(",") if name.strip())


def _wrong(message: str, location: Location) -> DockerfileError:
    hint = "write # check=skip=RULE,RULE;error=true"
    return DockerfileError((Problem(message, location, hint),))
