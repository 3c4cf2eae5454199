"""`docs/cli.md`, made from the same data as the parser and the help texts."""

from __future__ import annotations

from importlib import import_module

from jettison.cli.main import COMMANDS, module_of
from jettison.cli.options import Command, Option, spelled
from jettison.cli.overview import EXAMPLES, VARIABLES


def markdown() -> str:
    """The whole reference of the command line."""
    lines = [
        "# The command line",
        "",
        "Made from the parser by `python -m jettison.cli.reference`; a test keeps it up to date.",
        "",
        "| command | |",
        "|---|---|",
        *(f"| [`jettison {name}`](#jettison-{name}) | {summary} |" for name, summary in COMMANDS.items()),
        "",
        "Options and arguments stand in any order; `--name value` and `--name=value` are the same; short",
        "switches may be written together (`-it`). `jettison COMMAND --help` shows a command's help.",
        "",
        "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 130 stopped by Ctrl-C, 143 by",
        "SIGTERM. `jettison run` ends with the exit status of the container's process.",
        "",
        "```",
        *_examples(EXAMPLES),
        "```",
        "",
        "## Variables",
        "",
        "| variable | |",
        "|---|---|",
        *(f"| `{name}` | {_cell(what)} |" for name, what in VARIABLES),
    ]
    for name in COMMANDS:
        lines += ["", *_section(import_module(module_of(name)).COMMAND)]
    return "\n".join(lines) + "\n"


def _section(command: Command) -> list[str]:
    lines = [
        f"## jettison {command.name}",
        "",
        "```",
        f"jettison {command.name} {command.usage}".rstrip(),
        "```",
    ]
    lines += ["", *command.about.strip().splitlines()]
    if command.examples:
        lines += ["", "```", *_examples(command.examples), "```"]
    shown = [option for option in command.options if option.shown]
    if shown:
        lines += ["", "| option | |", "|---|---|", *map(_row, shown)]
    ignored = [option for option in command.options if option.note]
    if ignored:
        lines += ["", "Accepted and ignored, with a note:", "", "| option | why |", "|---|---|"]
        lines += [f"| `{_cell(spelled(option))}` | {_cell(option.note)} |" for option in ignored]
    refused = [option for option in command.options if option.refuse]
    if refused:
        lines += ["", "Refused as not supported yet: " + ", ".join(f"`{o.names[0]}`" for o in refused) + "."]
    return lines


def _row(option: Option) -> str:
    more = " (may be repeated)" if option.repeat else ""
    return f"| `{_cell(spelled(option))}` | {_cell(option.help)}{more} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _examples(examples: tuple[tuple[str, str], ...]) -> list[str]:
    lines: list[str] = []
    for what, line in examples:
        lines += ["", f"# {what}", line]
    return lines[1:]


if __name__ == "__main__":
    print(markdown(), end="")
