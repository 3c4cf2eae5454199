"""One logical line to one typed instruction (Dockerfile reference, the section of each instruction)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from jettison.dockerfile import flags as flag_specs
from jettison.dockerfile.execform import read_list
from jettison.dockerfile.expand import check_instruction, expand_text
from jettison.dockerfile.flags import Flags, Spec, read_flags
from jettison.dockerfile.heredoc import is_only_heredoc, read_word
from jettison.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Heredoc,
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


@dataclass(slots=True)
class _Request:
    """What a reader of one instruction gets."""

    name: str
    flag_words: list[str]
    rest: str
    text: str
    location: Location
    heredocs: tuple[Heredoc, ...]
    escape: str

    def flags(self, spec: Spec) -> Flags:
        return read_flags(self.name, self.flag_words, spec)

    def some(self) -> None:
        """Refuse an instruction without arguments."""
        if not self.rest:
            raise Mistake(f"{self.name} requires at least one argument", _EXAMPLES[self.name])

    def one(self) -> str:
        """The single argument: the rest of the line. For instructions that take no flags."""
        if not self.rest:
            raise Mistake(f"{self.name} requires exactly one argument", _EXAMPLES[self.name])
        self.flags(flag_specs.NONE)
        return self.rest

    def command(self) -> Command:
        """Exec form or shell form."""
        words = read_list(self.rest)
        return Command(True, (self.rest,)) if words is None else Command(False, words)


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
    made = reader(_Request(upper, flag_words, rest, text, location, line.heredocs, escape))
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


def _from(request: _Request) -> From:
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


def _arg(request: _Request) -> Arg:
    words = split_words(request.rest, request.escape)
    if not words:
        raise Mistake("ARG requires at least one argument", _EXAMPLES["ARG"])
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


def _pairs(request: _Request) -> tuple[tuple[str, str], ...]:
    """Pairs of ENV and LABEL: NAME=VALUE …, or the old form NAME VALUE."""
    name = request.name
    words = split_words(request.rest, request.escape)
    if not words:
        raise Mistake(f"{name} requires at least one argument", _EXAMPLES[name])
    request.flags(flag_specs.NONE)
    if "=" not in words[0]:
        parts = BLANKS.split(request.rest, 1)
        if len(parts) < 2:
            raise Mistake(f"{name} must have two arguments: {shown(parts[0])} has no value", _EXAMPLES[name])
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


def _env(request: _Request) -> Env:
    return Env(request.text, request.location, _pairs(request))


def _label(request: _Request) -> Label:
    return Label(request.text, request.location, _pairs(request))


def _run(request: _Request) -> Run:
    flags = request.flags(flag_specs.RUN)
    network = flags.text("network", "default")
    if network not in _NETWORKS:
        raise Mistake(f"invalid network mode {shown(network)} of RUN --network", "use default, none or host")
    security = flags.text("security", "sandbox")
    if security not in _SECURITY:
        raise Mistake(f"invalid value {shown(security)} of RUN --security", "use sandbox or insecure")
    command = request.command()
    if not command.shell and not command.words:
        raise Mistake("RUN [] names no program", _EXAMPLES["RUN"])
    script = bool(request.heredocs) and is_only_heredoc(command.words[0])
    mounts = tuple(_mount(text, request.escape) for text in flags.list("mount"))
    return Run(request.text, request.location, command, request.heredocs, mounts, network, security, script)


def _mount(text: str, escape: str) -> Mount:
    if "$" in text:
        return read_mount(text, None)
    return read_mount(text, lambda value: expand_text(value, _nothing, escape))


def _nothing(name: str) -> str | None:
    return None


def _paths(request: _Request) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...]]:
    """Sources, destination and here-documents of COPY and ADD."""
    name = request.name
    listed = read_list(request.rest)
    words = listed if listed is not None else BLANKS.split(request.rest) if request.rest else ()
    if len(words) < 2:
        given = "only one was given" if words else "none was given"
        raise Mistake(
            f"{name} requires at least two arguments, {given}: the destination is missing", _EXAMPLES[name]
        )
    if listed is not None or not request.heredocs:
        return tuple(words[:-1]), words[-1], ()
    if read_word(words[-1]):
        raise Mistake(f"{name} cannot have a here-document as destination", _EXAMPLES[name])
    bodies = {document.name: document for document in request.heredocs}
    sources: list[str] = []
    files: list[Heredoc] = []
    for word in words[:-1]:
        document = read_word(word)
        if document is None:
            sources.append(word)
        elif document.name in bodies:
            body = bodies[document.name]
            files.append(Heredoc(body.name, body.content, body.expand))
        else:
            raise Mistake(f"{name}: the here-document {shown(word)} has no body")
    if len(files) != len(request.heredocs):
        raise Mistake(
            f"{name}: a here-document is not used as a source", "use a word without blanks as its end"
        )
    return tuple(sources), words[-1], tuple(files)


def _copy(request: _Request) -> Copy:
    sources, dest, files = _paths(request)
    flags = request.flags(flag_specs.COPY)
    from_ = flags.text("from")
    if "$" in from_:
        raise Mistake(
            "variable expansion is not supported for COPY --from, define an alias stage instead",
            "add FROM ${NAME} AS alias before this stage, with ARG NAME above it, and write --from=alias",
        )
    return Copy(
        request.text,
        request.location,
        sources,
        dest,
        files,
        from_,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.switch("parents"),
        flags.list("exclude"),
    )


def _add(request: _Request) -> Add:
    sources, dest, files = _paths(request)
    flags = request.flags(flag_specs.ADD)
    return Add(
        request.text,
        request.location,
        sources,
        dest,
        files,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.list("exclude"),
        flags.text("checksum"),
        flags.switch("keep-git-dir"),
        flags.switches.get("unpack"),
    )


def _workdir(request: _Request) -> Workdir:
    return Workdir(request.text, request.location, request.one())


def _user(request: _Request) -> User:
    return User(request.text, request.location, request.one())


def _expose(request: _Request) -> Expose:
    request.some()
    request.flags(flag_specs.NONE)
    return Expose(request.text, request.location, tuple(BLANKS.split(request.rest)))


def _volume(request: _Request) -> Volume:
    listed = read_list(request.rest)
    words = listed if listed is not None else BLANKS.split(request.rest) if request.rest else ()
    if not words:
        raise Mistake("VOLUME requires at least one argument", _EXAMPLES["VOLUME"])
    request.flags(flag_specs.NONE)
    paths = tuple(word.strip() for word in words)
    if "" in paths:
        raise Mistake("VOLUME: a path can not be an empty string", _EXAMPLES["VOLUME"])
    return Volume(request.text, request.location, paths)


def _cmd(request: _Request) -> Cmd:
    request.flags(flag_specs.NONE)
    return Cmd(request.text, request.location, request.command())


def _entrypoint(request: _Request) -> Entrypoint:
    request.flags(flag_specs.NONE)
    return Entrypoint(request.text, request.location, request.command())


def _shell(request: _Request) -> Shell:
    request.flags(flag_specs.NONE)
    words = read_list(request.rest)
    if words is None and request.rest:
        raise Mistake("SHELL requires its arguments in JSON form", _EXAMPLES["SHELL"])
    if not words:
        raise Mistake("SHELL requires at least one argument", _EXAMPLES["SHELL"])
    return Shell(request.text, request.location, words)


def _healthcheck(request: _Request) -> Healthcheck:
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
            f"unknown type {shown(parts[0])} in HEALTHCHECK, expected CMD or NONE", _EXAMPLES["HEALTHCHECK"]
        )
    words = read_list(rest)
    if not rest or words == ():
        raise Mistake("missing command after HEALTHCHECK CMD", _EXAMPLES["HEALTHCHECK"])
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


def _stopsignal(request: _Request) -> Stopsignal:
    return Stopsignal(request.text, request.location, request.one())


def _onbuild(request: _Request) -> Onbuild:
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


def _maintainer(request: _Request) -> Maintainer:
    return Maintainer(request.text, request.location, request.one())


_READERS: dict[str, Callable[[_Request], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
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

_EXAMPLES = {
    "ADD": "for example ADD archive.tar.gz /opt/",
    "ARG": "for example ARG VERSION=1.0",
    "COPY": "for example COPY src/ /app/",
    "ENV": 'for example ENV NAME=value OTHER="two words"',
    "EXPOSE": "for example EXPOSE 8080/tcp",
    "HEALTHCHECK": "for example HEALTHCHECK --interval=30s CMD curl -f http://localhost/",
    "LABEL": 'for example LABEL name=value other="two words"',
    "MAINTAINER": 'write LABEL org.opencontainers.image.authors="name" instead: MAINTAINER is deprecated',
    "ONBUILD": "for example ONBUILD COPY . /app",
    "RUN": 'for example RUN ["make", "all"]',
    "SHELL": 'for example SHELL ["/bin/bash", "-c"]',
    "STOPSIGNAL": "for example STOPSIGNAL SIGTERM",
    "USER": "for example USER app",
    "VOLUME": "for example VOLUME /data",
    "WORKDIR": "for example WORKDIR /app",
}
