"""A whole Dockerfile: its instructions, put into stages. Collects problems before it gives up."""

from __future__ import annotations

from jettison.dataclass import replace
from jettison.dockerfile.grammar import read_instruction
from jettison.dockerfile.instructions import Arg, Dockerfile, From, Instruction, Stage
from jettison.dockerfile.lines import (
    DEFAULT_ESCAPE,
    LogicalLine,
    Unterminated,
    check_escape,
    decode,
    logical_lines,
    read_directives,
)
from jettison.dockerfile.mistake import Mistake
from jettison.errors import DockerfileError, Problem
from jettison.location import Location

_ENOUGH = 20

MOST_BYTES = 16 << 20
"""Of a Dockerfile, and instructions in it, and bytes of one of them without its here-documents."""
MOST_INSTRUCTIONS = 20_000
MOST_OF_ONE = 1 << 20


class _Enough(Exception):
    """So many problems that more of them say nothing."""


class _Problems:
    """The problems found so far."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[Problem] = []

    def add(self, mistake: Mistake, first: int, last: int) -> None:
        self.found.append(mistake.problem(Location(self.path, first, last)))
        if len(self.found) >= _ENOUGH:
            raise _Enough


def parse(data: bytes, path: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile. Raises DockerfileError with all problems that were found (the first 20 of them)."""
    problems = _Problems(path)
    try:
        made = _parse(data, path, problems)
    except _Enough:
        made = None
    if problems.found or made is None:
        raise DockerfileError(tuple(problems.found))
    return made


def _parse(data: bytes, path: str, problems: _Problems) -> Dockerfile | None:
    try:
        if len(data) > MOST_BYTES:
            raise Mistake(f"the file is larger than {MOST_BYTES >> 20} MiB", "-f names a Dockerfile")
        lines = decode(data)
    except Mistake as mistake:
        problems.add(mistake, 1, 1)
        return None
    directives = _directives(lines, problems)
    escape = directives.get("escape", DEFAULT_ESCAPE)
    instructions = _instructions(lines, escape, path, problems)
    if problems.found:
        return None
    if not instructions:
        problems.add(
            Mistake("the file has no instructions: it is empty", "start it with FROM image"), 1, len(lines)
        )
        return None
    return _staged(instructions, directives, escape, path, problems)


def _directives(lines: list[str], problems: _Problems) -> dict[str, str]:
    directives: dict[str, str] = {}
    for number, key, value in read_directives(lines):
        try:
            if key in directives:
                raise Mistake(f"only one {key} parser directive can be used", "remove this one")
            directives[key] = check_escape(value) if key == "escape" else value
        except Mistake as mistake:
            problems.add(mistake, number, number)
    return directives


def _instructions(lines: list[str], escape: str, path: str, problems: _Problems) -> list[Instruction]:
    instructions: list[Instruction] = []
    try:
        for line in logical_lines(lines, escape):
            if len(instructions) == MOST_INSTRUCTIONS:
                many = f"the file has more than {MOST_INSTRUCTIONS:,} instructions"
                problems.add(Mistake(many, "make several of it"), line.first, line.first)
                break
            try:
                if len(line.text) > MOST_OF_ONE:
                    size = f"{MOST_OF_ONE >> 20} MiB"
                    raise Mistake(f"the instruction is longer than {size}", "put large data into a file")
                instructions.append(read_instruction(line, path, escape))
            except Mistake as mistake:
                problems.add(mistake, line.first, line.last)
    except Unterminated as mistake:
        problems.add(mistake, mistake.first, len(lines))
    return instructions


def _staged(
    instructions: list[Instruction], directives: dict[str, str], escape: str, path: str, problems: _Problems
) -> Dockerfile | None:
    """Put instructions into stages; only ARG may stand before the first FROM."""
    global_args: list[Arg] = []
    stages: list[Stage] = []
    body: list[Instruction] = []
    for instruction in instructions:
        if isinstance(instruction, From):
            if stages:
                stages[-1] = replace(stages[-1], instructions=tuple(body))
            stages.append(_stage(len(stages), instruction))
            body = []
        elif stages:
            body.append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            where = instruction.location
            mistake = Mistake(
                f"no build stage for {instruction.NAME}: expected FROM first",
                "only ARG may stand before the first FROM",
            )
            problems.add(mistake, where.first_line, where.last_line)
            return None
    if not stages:
        where = instructions[-1].location
        problems.add(
            Mistake("the file has no build stage", "add FROM image"), where.first_line, where.last_line
        )
        return None
    stages[-1] = replace(stages[-1], instructions=tuple(body))
    return Dockerfile(path, directives, tuple(global_args), tuple(stages), escape)


def _stage(index: int, source: From) -> Stage:
    return Stage(index, source.name, source.base, source.platform, source.location, (), source)


def parse_trigger(text: str, escape: str, location: Location) -> Instruction:
    """The instruction that an image recorded for ONBUILD. `location` is the FROM that runs it.

    Raises DockerfileError.
    """
    try:
        lines = list(logical_lines(text.split("\n"), escape))
        if len(lines) != 1:
            raise Mistake(
                f"an ONBUILD trigger of the base image holds {len(lines)} instructions, expected one"
            )
        line = lines[0]
        name = line.text.split(maxsplit=1)[0].upper()
        if name in ("FROM", "ONBUILD", "MAINTAINER"):
            raise Mistake(f"{name} isn't allowed as an ONBUILD trigger; the base image was made with it")
        made = read_instruction(
            LogicalLine(line.text, location.first_line, location.last_line, line.heredocs),
            location.path,
            escape,
        )
    except Mistake as mistake:
        raise mistake.located(location) from None
    return made
