"""Rules about single instructions as they are written: their case, their names, their old forms."""

from __future__ import annotations

from jettison.dockerfile.instructions import Arg, Env, From, Instruction, Label, Maintainer, Stage
from jettison.dockerfile.words import split_words
from jettison.lint.base import Subject, keyword
from jettison.lint.source import comments_above, empty_continuation
from jettison.location import Location

_RESERVED = ("context", "scratch")


def check_words(subject: Subject) -> None:
    """Rules that look at all stages, needed or not."""
    _continuations(subject)
    for arg in subject.dockerfile.global_args:
        _described(subject, arg)
    names: set[str] = set()
    for stage in subject.dockerfile.stages:
        _stage_name(subject, stage, names)
        _described(subject, stage.source)
        for instruction in stage.instructions:
            if isinstance(instruction, Maintainer):
                message = "MAINTAINER is deprecated; the label org.opencontainers.image.authors replaces it"
                subject.report("MaintainerDeprecated", message, instruction.location)
            elif isinstance(instruction, Arg):
                _described(subject, instruction)
    _casing(subject)


def instructions(subject: Subject) -> list[Instruction]:
    """All instructions of the file, in order."""
    out: list[Instruction] = list(subject.dockerfile.global_args)
    for stage in subject.dockerfile.stages:
        out.append(stage.source)
        out += stage.instructions
    return out


def _continuations(subject: Subject) -> None:
    for instruction in instructions(subject):
        place = instruction.location
        if place.last_line == place.first_line:
            continue
        last = empty_continuation(subject.lines, place.first_line, subject.dockerfile.escape)
        if last:
            message = f"an empty line continues the {instruction.NAME} that begins at line {place.first_line}"
            subject.report("NoEmptyContinuation", message, Location(place.path, last, last))


def _stage_name(subject: Subject, stage: Stage, earlier: set[str]) -> None:
    words = from_words(stage.source)
    place = stage.location
    if words is None:
        return
    word, name = words
    if name != name.lower():
        subject.report("StageNameCasing", f"the stage name {name!r} is not in lower case", place)
    if not _same_case(keyword(stage.source), word):
        message = f"{word!r} is written in another case than {keyword(stage.source)!r}"
        subject.report("FromAsCasing", message, place)
    if stage.name in _RESERVED:
        subject.report("ReservedStageName", f"the stage name {stage.name!r} is reserved", place)
    if stage.name in earlier:
        message = f"the stage name {stage.name!r} is given twice; references mean the nearest one above"
        subject.report("DuplicateStageName", message, place)
    earlier.add(stage.name)


def from_words(source: From) -> tuple[str, str] | None:
    """AS and the stage's name as they are written, or None where there is no name."""
    words = source.text.split()
    return (words[-2], words[-1]) if source.name else None


def _same_case(first: str, second: str) -> bool:
    if first == first.lower():
        return second == second.lower()
    return first != first.upper() or second == second.upper()


def _casing(subject: Subject) -> None:
    lower = upper = 0
    words = [
        (keyword(instruction), instruction)
        for stage in subject.dockerfile.stages
        for instruction in (stage.source, *stage.instructions)
    ]
    for word, _ in words:
        if word == word.lower():
            lower += 1
        elif word == word.upper():
            upper += 1
    wanted = str.lower if lower > upper else str.upper
    for word, instruction in words:
        if wanted(word) != word:
            message = f"{word} is not written as most instructions here are: {wanted(word)}"
            subject.report("ConsistentInstructionCasing", message, instruction.location)


def _described(subject: Subject, instruction: Arg | From) -> None:
    """A comment right above FROM or ARG describes it, if it begins with the name."""
    if isinstance(instruction, From):
        names = [instruction.name] if instruction.name else []
    else:
        names = [name for name, _ in instruction.items]
    if not names:
        return
    comments = comments_above(subject.lines, instruction.location.first_line)
    if not comments or comments[-1].split(" ")[0] in names:
        return
    message = (
        f"the comment above {instruction.NAME} does not begin with the name that it describes: {names[0]}"
    )
    subject.report("InvalidDefinitionDescription", message, instruction.location)


def legacy_pairs(instruction: Env | Label, escape: str) -> bool:
    """Whether ENV or LABEL has the old form: a name, a blank, and the rest of the line as the value."""
    rest = instruction.text.split(None, 1)[1]
    first = rest.split(None, 1)[0]
    if "=" in first:
        return False
    return "=" not in split_words(rest, escape)[0]
