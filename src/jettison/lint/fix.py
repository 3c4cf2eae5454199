"""Rewriting what rules find, where the result can be proven to mean the same. Comments and layout stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from jettison.dataclass import dataclass, replace
from jettison.dockerfile.expand import expand
from jettison.dockerfile.instructions import Copy, Dockerfile, Env, Expose, Instruction, Label, Stage
from jettison.dockerfile.parser import parse
from jettison.errors import DockerfileError
from jettison.lint.base import Finding

_MARK = "\N{SYMBOL FOR NULL}"
_ROUNDS = 5
_AS = re.compile(r"(\s)([Aa][Ss])(\s+\S+\s*)$")
_NAME = re.compile(r"(\s[Aa][Ss]\s+)(\S+)(\s*)$")
_WORD = re.compile(r"(\s*)([A-Za-z]+)")
_LEGACY = re.compile(r"(\s*\S+\s+)([^\s=\"']+)[ \t]+([^\"'\\`]*?)([ \t\r]*)$")
_PROTOCOL = re.compile(r"(/)([A-Za-z]+)(?=\s|$)")
_PLATFORM = re.compile(r"\s--platform=\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})(?=\s)")
_NUMBER = re.compile(r"(\s--from=)([0-9]+)(?=\s)")


@dataclass(frozen=True, slots=True)
class Fixed:
    """The new text, and the findings that it mends."""

    data: bytes
    mended: tuple[Finding, ...]


def fix_all(data: bytes, path: str, find: Callable[[Dockerfile, bytes], Sequence[Finding]]) -> Fixed:
    """Mend what `find` finds, and what it finds then, until nothing more can be mended."""
    mended: list[Finding] = []
    for _ in range(_ROUNDS):
        dockerfile = parse(data, path)
        done = fix(dockerfile, data, find(dockerfile, data))
        if not done.mended:
            break
        data = done.data
        mended += done.mended
    return Fixed(data, tuple(mended))


def fix(dockerfile: Dockerfile, data: bytes, findings: Sequence[Finding]) -> Fixed:
    """Mend the findings that can be, from the last line to the first; the others stay as they are.

    Every single change is parsed again, and taken back unless the file means what it meant.
    """
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    mended: list[Finding] = []
    for finding in reversed(findings):
        edit = _EDITS.get(finding.rule)
        if edit is None:
            continue
        tried = edit(dockerfile, lines, finding)
        if tried is None or tried == lines:
            continue
        if _means_the_same(dockerfile, _bytes(tried)):
            lines = tried
            mended.append(finding)
    return Fixed(_bytes(lines), tuple(reversed(mended)))


def _bytes(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _means_the_same(before: Dockerfile, data: bytes) -> bool:
    try:
        after = parse(data, before.path)
    except DockerfileError:
        return False
    return _meaning(before) == _meaning(after)


def _meaning(dockerfile: Dockerfile) -> object:
    """What of a file has an effect: no places, no spellings."""
    stages = [
        (
            stage.name,
            stage.base,
            _platform(stage),
            [_bare(item, stage, dockerfile) for item in stage.instructions],
        )
        for stage in dockerfile.stages
    ]
    args = [arg.items for arg in dockerfile.global_args]
    return dockerfile.directives, args, stages


def _platform(stage: Stage) -> str:
    """The platform that is asked for; the target's is the default."""
    return "" if stage.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}") else stage.platform


def _bare(item: Instruction, stage: Stage, dockerfile: Dockerfile) -> object:
    item = replace(item, text="")
    if isinstance(item, Env | Label):
        return item.NAME, [(key, _expanded(value, dockerfile.escape)) for key, value in item.pairs]
    if isinstance(item, Copy) and item.from_:
        return replace(item, from_=str(_source(item.from_, stage, dockerfile)))
    if isinstance(item, Expose):
        return item.NAME, [port if "$" in port else port.lower() for port in item.ports]
    return item


def _expanded(text: str, escape: str) -> str:
    """A value with a mark for each variable: equal ones mean the same, whatever the variables hold."""
    try:
        return expand(text, lambda name: f"{_MARK}{name}{_MARK}", escape)
    except DockerfileError:
        return text


def _source(text: str, stage: Stage, dockerfile: Dockerfile) -> int | str:
    """The number of the stage that --from means, or the text itself."""
    if text.isdecimal():
        return int(text)
    earlier = dockerfile.stages[: stage.index]
    return next((one.index for one in reversed(earlier) if one.name == text.lower()), text)


def _replaced(lines: list[str], number: int, text: str) -> list[str]:
    return [*lines[: number - 1], text, *lines[number:]]


def _on_only_line(change: Callable[[str], str]) -> Edit:
    def edit(dockerfile: Dockerfile, lines: list[str], finding: Finding) -> list[str] | None:
        place = finding.location
        if place.first_line != place.last_line:
            return None
        return _replaced(lines, place.first_line, change(lines[place.first_line - 1]))

    return edit


def _as_like_from(line: str) -> str:
    word = line.split(None, 1)[0]
    made = str.lower if word == word.lower() else str.upper
    return _AS.sub(lambda found: found[1] + made(found[2]) + found[3], line)


def _lower_name(line: str) -> str:
    return _NAME.sub(lambda found: found[1] + found[2].lower() + found[3], line)


def _keyword(dockerfile: Dockerfile, lines: list[str], finding: Finding) -> list[str]:
    """The case that the finding's message asks for stands at its end."""
    wanted = finding.message.rpartition(" ")[2]
    number = finding.location.first_line
    line = _WORD.sub(
        lambda found: found[1] + (wanted if found[2].upper() == wanted.upper() else found[2]),
        lines[number - 1],
        count=1,
    )
    return _replaced(lines, number, line)


def _pairs(line: str) -> str:
    def written(found: re.Match[str]) -> str:
        value = found[3]
        return found[1] + found[2] + "=" + (f'"{value}"' if re.search(r"\s", value) else value) + found[4]

    return _LEGACY.sub(written, line)


def _protocols(line: str) -> str:
    return _PROTOCOL.sub(lambda found: found[1] + found[2].lower(), line)


def _without_platform(line: str) -> str:
    return _PLATFORM.sub("", line, count=1)


def _without_gaps(dockerfile: Dockerfile, lines: list[str], finding: Finding) -> list[str] | None:
    """Leave out the empty lines of the instruction that ends where the finding is."""
    last = finding.location.last_line
    for stage in dockerfile.stages:
        for item in (stage.source, *stage.instructions):
            place = item.location
            if place.first_line <= last <= place.last_line:
                first = place.first_line
                kept = [line for line in lines[first - 1 : last] if line.strip()]
                return [*lines[: first - 1], *kept, *lines[last:]]
    return None


def _named(dockerfile: Dockerfile, lines: list[str], finding: Finding) -> list[str]:
    def name(found: re.Match[str]) -> str:
        number = int(found[2])
        known = dockerfile.stages[number].name if number < len(dockerfile.stages) else ""
        return found[1] + (known or found[2])

    number = finding.location.first_line
    return _replaced(lines, number, _NUMBER.sub(name, lines[number - 1], count=1))


Edit = Callable[[Dockerfile, list[str], Finding], "list[str] | None"]

_EDITS: dict[str, Edit] = {
    "FromAsCasing": _on_only_line(_as_like_from),
    "StageNameCasing": _on_only_line(_lower_name),
    "ConsistentInstructionCasing": _keyword,
    "LegacyKeyValueFormat": _on_only_line(_pairs),
    "ExposeProtoCasing": _on_only_line(_protocols),
    "RedundantTargetPlatform": _on_only_line(_without_platform),
    "NoEmptyContinuation": _without_gaps,
    "CopyFromNumber": _named,
}
"""A change for each rule that is fixable; None where it does not apply."""
