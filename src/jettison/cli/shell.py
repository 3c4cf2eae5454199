"""`jettison shell`: look around where a step failed, or in a stage as it is cached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jettison.cli.build_options import COMMAND as BUILD
from jettison.cli.local import STORE_OPTIONS, Local, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.dataclass import dataclass, replace
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.executor.shell import Wish
    from jettison.request import BuildRequest
    from jettison.shell import Place

_OF_BUILD = (
    "--target", "--file", "--build-arg", "--build-context", "--platform", "--secret", "--ssh", "--add-host",
    "--network", "--allow", "--cache-mount", "--runtime", "--isolation",
)  # fmt: skip

COMMAND = Command(
    "shell",
    "[OPTIONS] --failed [BUILD [STEP]] | STAGE[:LINE] [PATH] [-- COMMAND [ARGUMENTS]]",
    "open a shell where a step failed, or in a stage as it is cached",
    """
With --failed it opens a shell in exactly the files that a failed RUN left, with the variables, user,
mounts, working directory and network that it had: of the last one that failed, or of a build (b42).
With a stage it does the same for the end of that stage as it is in the cache now, or for the step in
a line of it, with the options that it was built with; it builds nothing. --before goes to where the
step began.

What is changed there is thrown away at the end, but for cache mounts, which are the real ones. Secrets
are never kept: give them again. The shell is that of the stage, else bash or sh, else a static busybox
of this machine that is mounted for the time. A command behind -- runs in place of it, and its
exit status is that of jettison.
""",
    (
        Option(("--failed",), "where a step failed: the last one, or that of a build"),
        Option(("--before",), "before the step, not after it"),
        Option(("--command", "-c"), "let the shell run this, and end", "TEXT"),
        *(option for option in BUILD.options if option.names[0] in _OF_BUILD),
        *STORE_OPTIONS,
    ),
    (
        ("Look around where the last build failed", "jettison shell --failed"),
        ("The same, before the command that failed ran", "jettison shell --failed --before b42"),
        ("One command there, with its secret", "jettison shell --failed --secret id=npm -- npm ci --verbose"),
        ("A stage as it was built last", "jettison shell builder ."),
        ("Behind the step in line 12", "jettison shell -f deploy/Dockerfile builder:12"),
    ),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command line says beside its options."""

    stage: str = ""
    line: str = ""
    build: str = ""
    step: str = ""


def run(console: Console, argv: list[str]) -> int:
    """Open the shell; the exit status is its own."""
    own, words = _split(argv)
    parsed = parse(COMMAND, own)
    if parsed.help:
        return console.help(COMMAND)
    asked = _asked(parsed)
    if words and parsed.last("command"):
        raise UsageError("both -c and a command behind -- are given", hint="one of them is enough")
    from jettison.cli.build import request_of

    request = request_of(parsed, console)
    if asked.stage:
        request = replace(request, targets=(asked.stage,))
        console.dockerfile(request.file, request.file_text)
    for note in parsed.notes:
        console.note(note)
    with opened(console, parsed) as local:
        place = _place(parsed, asked, request, local)
        return _enter(console, place, request, local, _wish(console, parsed, words))


def _split(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """The words up to `--`, and those behind it."""
    if "--" not in argv:
        return argv, ()
    at = argv.index("--")
    if at + 1 == len(argv):
        raise UsageError("no command stands behind --", hint="leave -- out for a shell")
    return argv[:at], tuple(argv[at + 1 :])


def _asked(parsed: Parsed) -> _Asked:
    """Which state is meant; of the arguments of `parsed` only the build context stays."""
    given = list(parsed.arguments)
    usage = f"usage: jettison shell {COMMAND.usage}"
    targets = parsed.all("target")
    if parsed.has("failed"):
        if len(given) > 2 or targets:
            raise UsageError("with --failed come a build and the number of a step at most", hint=usage)
        parsed.arguments[:] = ["."]
        build, step = [*given, "", ""][:2]
        return _Asked(build=build, step=step.removeprefix("#"))
    names = [*targets, *given]
    if not names:
        hint = "jettison shell --failed, or jettison shell STAGE"
        raise UsageError("jettison shell needs a stage, or --failed", hint=hint)
    if len(names) > 2:
        raise UsageError(f"jettison shell: one argument too many: {names[2]!r}", hint=usage)
    parsed.arguments[:] = names[1:] or ["."]
    stage, colon, line = names[0].partition(":")
    if not stage or (colon and not (line.isascii() and line.isdigit() and len(line) < 10)):
        raise UsageError(f"{names[0]!r} is no stage", hint="STAGE or STAGE:LINE, for example builder:12")
    return _Asked(stage=stage, line=line)


def _place(parsed: Parsed, asked: _Asked, request: BuildRequest, local: Local) -> Place:
    from jettison.shell import cached_place, failed_place

    before = parsed.has("before")
    if asked.stage:
        from jettison.events import ignore

        return cached_place(request, local.settings, local.store, ignore, asked.line, before)
    build = None
    if asked.build:
        from jettison.cli.builds import the_build

        build = the_build(local.store, asked.build)
    return failed_place(local.store, build, asked.step, before)


def _wish(console: Console, parsed: Parsed, words: tuple[str, ...]) -> Wish:
    from jettison.executor.shell import Wish

    script = parsed.last("command") if parsed.all("command") else None
    terminal = console.stdin.isatty() and console.stdout.isatty()
    return Wish(words, script, console.environment.get("TERM", "") or "xterm" if terminal else "")


def _enter(console: Console, place: Place, request: BuildRequest, local: Local, wish: Wish) -> int:
    from jettison.cli.run import sent_by_terminal
    from jettison.container import forwarder
    from jettison.events import Event, Warned
    from jettison.shell import enter

    interactive = not wish.words and wish.script is None

    def about(missing: Sequence[str]) -> None:
        if interactive:
            console.stderr.write(_heading(place))
        for option in missing:
            console.note(f"the step had something that is not here: give it with {option}")
        console.stdout.flush()
        console.stderr.flush()

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            console.note(event.message)

    console.on_signal = forwarder(console.cancel, sent_by_terminal)
    status = enter(local.store, place, request, local.settings, wish, emit, console.cancel, about)
    if interactive:
        console.stderr.write("what was changed here is gone\n")
    return status


def _heading(place: Place) -> str:
    """Where the shell is, with the command of the step ready to be pasted."""
    vertex, op = place.state.vertex, place.state.op
    where = f"{vertex.location}: " if vertex.location else ""
    when = "before" if place.before else "after"
    out = f"{where}{vertex.name}\n"
    if place.failed is not None:
        out += f"This is the state {when} the command that failed"
    else:
        out += f"This is the state {when} that step"
    out += ". What is changed here is thrown away at the end.\n"
    caches = [mount.target for mount in op.mounts if mount.type == "cache"]
    if caches:
        out += f"Cache mounts are the real ones, and keep what is changed: {', '.join(caches)}\n"
    if op is vertex.op:
        out += f"Its command:\n{_command(op.args)}\n"
    return out


def _command(args: Sequence[str]) -> str:
    """A command as a shell takes it: the text alone of what a shell was to run."""
    from shlex import join

    text = args[2] if len(args) == 3 and args[1] == "-c" else join(args)
    # Other control characters would write on the terminal.
    return "".join(char for char in text if char.isprintable() or char in "\n\t")
