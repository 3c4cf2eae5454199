"""Options of a command line: declared as data, parsed, and shown in help texts.

Spelling follows docker's: options and arguments in any order, `--name value` and `--name=value`,
clusters of short switches (`-it`), `-fFILE`, switches that take `=false`. argparse cannot do
`--no-cache[=STAGE]` beside a positional argument, and costs a no-op build several milliseconds.
"""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.errors import UsageError

TRUE = ("1", "t", "true", "yes", "on")
FALSE = ("0", "f", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `names` begins with the long name; without a `metavar` it is a switch.

    `bare` is the value that an option has when it is given without one: its value then only
    comes behind `=`. `note` is said, and the option ignored. `refuse` ends the command.
    """

    names: tuple[str, ...]
    help: str = ""
    metavar: str = ""
    repeat: bool = False
    bare: str | None = None
    note: str = ""
    refuse: str = ""

    @property
    def shown(self) -> bool:
        """Whether help texts list it."""
        return bool(self.help)


@dataclass(frozen=True, slots=True)
class Command:
    """One command as help texts and the parser see it. `most` is None for "any number of arguments".

    With `stop_at_argument` all behind the first argument is taken as it is.
    """

    name: str
    usage: str
    summary: str
    about: str
    options: tuple[Option, ...]
    examples: tuple[tuple[str, str], ...]
    least: int = 0
    most: int | None = None
    stop_at_argument: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a command line says. `values` has the long names without dashes."""

    values: dict[str, list[str]]
    arguments: list[str]
    notes: list[str]
    help: bool = False

    def has(self, name: str) -> bool:
        """Whether a switch is on (given, and not as `--name=false`)."""
        got = self.values.get(name)
        return got is not None and got[-1] == "true"

    def last(self, name: str, default: str = "") -> str:
        """The last value given."""
        got = self.values.get(name)
        return got[-1] if got is not None else default

    def all(self, name: str) -> list[str]:
        """All values given, in order."""
        return self.values.get(name, [])


def parse(command: Command, argv: list[str]) -> Parsed:
    """Read the words behind the command's name. Raises UsageError with the nearest option as hint."""
    table = {name: option for option in command.options for name in option.names}
    out = Parsed({}, [], [])
    words = list(reversed(argv))
    while words:
        word = words.pop()
        if word == "--":
            out.arguments.extend(reversed(words))
            break
        if word in ("-h", "--help") and word not in table:
            return Parsed({}, [], [], help=True)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            option = _known(command, table, name)
            _take(command, out, option, name, value if equals else None, words)
        elif word.startswith("-") and word != "-":
            _short(command, table, out, word, words)
        else:
            out.arguments.append(word)
            if command.stop_at_argument:
                out.arguments.extend(reversed(words))
                break
    _count(command, out.arguments)
    return out


def _short(command: Command, table: dict[str, Option], out: Parsed, word: str, words: list[str]) -> None:
    rest = word[1:]
    while rest:
        name, rest = "-" + rest[0], rest[1:]
        if name == "-h" and name not in table:
            raise UsageError(f"-h stands alone, not inside {word}", hint=f"jettison {command.name} --help")
        option = _known(command, table, name)
        if option.metavar and option.bare is None:
            value = rest[1:] if rest.startswith("=") else rest
            _take(command, out, option, name, value if rest else None, words)
            return
        if rest.startswith("="):
            _take(command, out, option, name, rest[1:], words)
            return
        _take(command, out, option, name, None, words)


def _known(command: Command, table: dict[str, Option], name: str) -> Option:
    option = table.get(name)
    if option is not None:
        return option
    from difflib import get_close_matches

    listed = [known for known, candidate in table.items() if candidate.shown]
    near = get_close_matches(name, listed, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"jettison {command.name} --help lists the options"
    raise UsageError(f"jettison {command.name} has no option {name}", hint=hint)


def _take(
    command: Command, out: Parsed, option: Option, name: str, value: str | None, words: list[str]
) -> None:
    key = option.names[0].lstrip("-")
    if option.metavar:
        if value is None and option.bare is not None:
            value = option.bare
        elif value is None:
            if not words:
                raise UsageError(
                    f"{name} needs a value",
                    hint=f"{name} {option.metavar}; see jettison {command.name} --help",
                )
            value = words.pop()
    else:
        value = boolean(name, value)
    if option.refuse and value != "false":
        raise UsageError(f"{name} is not supported yet: {option.refuse}")
    if option.note and value != "false":
        note = f"{name} is ignored: {option.note}"
        if note not in out.notes:
            out.notes.append(note)
    out.values.setdefault(key, []).append(value)


def boolean(name: str, value: str | None) -> str:
    """The value of a switch as "true" or "false". Raises UsageError."""
    if value is None or value.lower() in TRUE:
        return "true"
    if value.lower() in FALSE:
        return "false"
    raise UsageError(f"{name} is a switch: {value!r} is neither true nor false")


def _count(command: Command, arguments: list[str]) -> None:
    usage = f"usage: jettison {command.name} {command.usage}"
    if len(arguments) < command.least:
        hint = usage
        if command.name == "build":
            hint = "give the folder with the build context, for example: jettison build ."
        number = "an argument" if command.least == 1 else f"{command.least} arguments"
        raise UsageError(f"jettison {command.name} needs {number}", hint=hint)
    if command.most is not None and len(arguments) > command.most:
        extra = arguments[command.most]
        raise UsageError(f"jettison {command.name}: one argument too many: {extra!r}", hint=usage)


def help_text(command: Command) -> str:
    """The text of `jettison COMMAND --help`."""
    lines = [f"Usage: jettison {command.name} {command.usage}", "", command.about.strip(), ""]
    if command.examples:
        lines.append("Examples:")
        for what, line in command.examples:
            lines += [f"  # {what}", f"  {line}", ""]
    shown = [option for option in command.options if option.shown]
    if shown:
        lines.append("Options:")
        for option in shown:
            lines += _help_line(option)
        lines.append("")
    ignored = [o.names[0] for o in command.options if o.note]
    if ignored:
        lines += _wrapped("Accepted and ignored, with a note: " + ", ".join(ignored), 0)
    return "\n".join(lines).rstrip("\n") + "\n"


def spelled(option: Option) -> str:
    """How an option is written: `-f, --file FILE`."""
    names = ", ".join(sorted(option.names, key=len))
    if not option.metavar:
        return names
    return f"{names}[={option.metavar}]" if option.bare is not None else f"{names} {option.metavar}"


def _help_line(option: Option) -> list[str]:
    head = spelled(option)
    head = f"  {head}" if head.startswith("-") and not head.startswith("--") else f"      {head}"
    body = _wrapped(option.help + (" (may be repeated)" if option.repeat else ""), 34)
    if len(head) <= 32:
        return [head.ljust(34) + body[0].lstrip(), *body[1:]]
    return [head, *body]


def _wrapped(text: str, indent: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and indent + len(line) + 1 + len(word) > 100:
            lines.append(" " * indent + line)
            line = ""
        line = f"{line} {word}" if line else word
    return [*lines, " " * indent + line]
