"""One logical line to one typed instruction (Dockerfile reference, the section of each instruction)."""

from __future__ import annotations

import re
from collections.abc import Callable

from jettison.dockerfile import flags as flag_specs
from jettison.dockerfile.arguments import EXAMPLES, Request
from jettison.dockerfile.copying import read_add, read_copy
from jettison.dockerfile.execform import read_list
from jettison.dockerfile.expand import check_instruction, expand_text
from jettison.dockerfile.heredoc import is_only_heredoc
from jettison.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Mount,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from jettison.dockerfile.lines import LogicalLine
from jettison.dockerfile.mistake import Mistake, nearest, shown
from jettison.dockerfile.mounts import read_mount
from jettison.dockerfile.values import duration, retries
from jettison.dockerfile.words import BLANKS, split_instruction, split_words
from jettison.location import Location

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*\Z")
_CHECKED = frozenset(("ADD", "COPY", "EXPOSE", "STOPSIGNAL"))
_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")

MOST_MOUNTS = 256
"""Of one RUN."""


def read_instruction(line: LogicalLine, path: str, escape: str) -> Instruction:
    """The instruction that a line holds. Raises Mistake."""
    text = line.text
    if "\0" in text:
        raise Mistake("a NUL character stands in the line, expected UTF-8 text", "is this a Dockerfile?")
    name, flag_words, rest = split_instruction(text)
    upper = name.upper()
    reader = _READERS.get(upper)
    if reader is None:
        raise _unknown(name)
    location = Location(path, line.first, line.last)
    made = reader(Request(upper, flag_words, rest, text, location, line.heredocs, escape))
    if upper in _CHECKED:
        check_instruction(made, escape)
    return made


def _unknown(name: str) -> Mistake:
    meant = nearest(name.upper(), _READERS)
    if meant:
        hint = f"did you mean {meant}?"
    else:
        hint = (
            "expected an instruction such as RUN or COPY; a line goes on in the next one if it ends with \\"
        )
    cut = name if len(name) <= 60 else name[:60] + "…"
    return Mistake(f"unknown instruction: {cut if cut.isprintable() else shown(cut)}", hint)


def _from(request: Request) -> From:
    words = BLANKS.split(request.rest)
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.match(name):
            raise Mistake(
                f"invalid name for a build stage: {shown(words[2])}",
                "a name starts with a letter and goes on with letters, digits, '-', '_' and '.'",
            )
    elif len(words) != 1 or not words[0]:
        raise Mistake("FROM requires either one or three arguments", "write FROM image or FROM image AS name")
    flags = request.flags(flag_specs.FROM)
    return From(request.text, request.location, words[0], name, flags.text("platform"))


def _arg(request: Request) -> Arg:
    words = split_words(request.rest, request.escape)
    if not words:
        raise Mistake("ARG requires at least one argument", EXAMPLES["ARG"])
    request.flags(flag_specs.NONE)
    items: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise _blank("ARG")
        items.append((name, value if equals else None))
    return Arg(request.text, request.location, tuple(items))


def _blank(name: str) -> Mistake:
    return Mistake(f"{name} names can not be blank", f"write {name} name=value, without blanks around the =")


def _pairs(request: Request) -> tuple[tuple[str, str], ...]:
    """Pairs of ENV and LABEL: NAME=VALUE …, or the old form NAME VALUE."""
    name = request.name
    words = split_words(request.rest, request.escape)
    if not words:
        raise Mistake(f"{name} requires at least one argument", EXAMPLES[name])
    request.flags(flag_specs.NONE)
    if "=" not in words[0]:
        parts = BLANKS.split(request.rest, 1)
        if len(parts) < 2:
            raise Mistake(f"{name} must have two arguments: {shown(parts[0])} has no value", EXAMPLES[name])
        return ((parts[0], parts[1]),)
    pairs: list[tuple[str, str]] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Mistake(
                f"{name}: expected name=value, found {shown(word)} without an =",
                f'quote values with blanks: {name} name="two words"',
            )
        if not key:
            raise _blank(name)
        pairs.append((key, value))
    return tuple(pairs)


def _env(request: Request) -> Env:
    return Env(request.text, request.location, _pairs(request))


def _label(request: Request) -> Label:
    return Label(request.text, request.location, _pairs(request))


def _run(request: Request) -> Run:
    flags = request.flags(flag_specs.RUN)
    network = flags.text("network", "default")
    if network not in _NETWORKS:
        raise Mistake(f"invalid network mode {shown(network)} of RUN --network", "use default, none or host")
    security = flags.text("security", "sandbox")
    if security not in _SECURITY:
        raise Mistake(f"invalid value {shown(security)} of RUN --security", "use sandbox or insecure")
    command = request.command()
    if not command.shell and not command.words:
        raise Mistake("RUN [] names no program", EXAMPLES["RUN"])
    script = bool(request.heredocs) and is_only_heredoc(command.words[0])
    if len(flags.list("mount")) > MOST_MOUNTS:
        raise Mistake(f"RUN has more than {MOST_MOUNTS} mounts", "mount a folder that holds what they bring")
    mounts = tuple(_mount(text, request.escape) for text in flags.list("mount"))
    return Run(request.text, request.location, command, request.heredocs, mounts, network, security, script)


def _mount(text: str, escape: str) -> Mount:
    if "$" in text:
        return read_mount(text, None)
    return read_mount(text, lambda value: expand_text(value, _nothing, escape))


def _nothing(name: str) -> str | None:
    return None


def _workdir(request: Request) -> Workdir:
    return Workdir(request.text, request.location, request.one())


def _user(request: Request) -> User:
    return User(request.text, request.location, request.one())


def _expose(request: Request) -> Expose:
    request.some()
    request.flags(flag_specs.NONE)
    return Expose(request.text, request.location, tuple(BLANKS.split(request.rest)))


def _volume(request: Request) -> Volume:
    listed = read_list(request.rest)
    words = listed if listed is not None else BLANKS.split(request.rest) if request.rest else ()
    if not words:
        raise Mistake("VOLUME requires at least one argument", EXAMPLES["VOLUME"])
    request.flags(flag_specs.NONE)
    paths = tuple(word.strip() for word in words)
    if "" in paths:
        raise Mistake("VOLUME: a path can not be an empty string", EXAMPLES["VOLUME"])
    return Volume(request.text, request.location, paths)


def _cmd(request: Request) -> Cmd:
    request.flags(flag_specs.NONE)
    return Cmd(request.text, request.location, request.command())


def _entrypoint(request: Request) -> Entrypoint:
    request.flags(flag_specs.NONE)
    return Entrypoint(request.text, request.location, request.command())


def _shell(request: Request) -> Shell:
    request.flags(flag_specs.NONE)
    words = read_list(request.rest)
    if words is None and request.rest:
        raise Mistake("SHELL requires its arguments in JSON form", EXAMPLES["SHELL"])
    if not words:
        raise Mistake("SHELL requires at least one argument", EXAMPLES["SHELL"])
    return Shell(request.text, request.location, words)


def _healthcheck(request: Request) -> Healthcheck:
    request.some()
    parts = BLANKS.split(request.rest, 1)
    kind = parts[0].upper()
    rest = parts[1] if len(parts) > 1 else ""
    if kind == "NONE":
        if rest:
            raise Mistake("HEALTHCHECK NONE takes no arguments", "write HEALTHCHECK NONE on its own")
        return Healthcheck(request.text, request.location, ("NONE",))
    flags = request.flags(flag_specs.HEALTHCHECK)
    if kind != "CMD":
        raise Mistake(
            f"unknown type {shown(parts[0])} in HEALTHCHECK, expected CMD or NONE", EXAMPLES["HEALTHCHECK"]
        )
    words = read_list(rest)
    if not rest or words == ():
        raise Mistake("missing command after HEALTHCHECK CMD", EXAMPLES["HEALTHCHECK"])
    return Healthcheck(
        request.text,
        request.location,
        ("CMD-SHELL", rest) if words is None else ("CMD", *words),
        duration("interval", flags.text("interval")),
        duration("timeout", flags.text("timeout")),
        duration("start-period", flags.text("start-period")),
        duration("start-interval", flags.text("start-interval")),
        retries(flags.text("retries")),
    )


def _stopsignal(request: Request) -> Stopsignal:
    return Stopsignal(request.text, request.location, request.one())


def _onbuild(request: Request) -> Onbuild:
    request.some()
    request.flags(flag_specs.NONE)
    name = split_instruction(request.rest)[0].upper()
    if name == "ONBUILD":
        raise Mistake("chaining ONBUILD as ONBUILD ONBUILD isn't allowed", "write ONBUILD once")
    if name in ("FROM", "MAINTAINER"):
        raise Mistake(f"{name} isn't allowed as an ONBUILD trigger")
    location = request.location
    line = LogicalLine(request.rest, location.first_line, location.last_line, request.heredocs)
    trigger = request.rest + "".join(f"\n{document.data}{document.name}" for document in request.heredocs)
    instruction = read_instruction(line, location.path, request.escape)
    return Onbuild(request.text, location, trigger, instruction)


def _maintainer(request: Request) -> Maintainer:
    return Maintainer(request.text, request.location, request.one())


_READERS: dict[str, Callable[[Request], Instruction]] = {
    "ADD": read_add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": read_copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
