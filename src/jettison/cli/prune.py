"""`jettison prune`: what no tagged image needs is removed from the store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, get_args

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.upkeep.choose import Plan, Wanted

_TYPES = {"cache-mount": "exec.cachemount", "step": "regular", "memo": "source.local"}
"""Our words, and what docker calls the same."""

COMMAND = Command(
    "prune",
    "[OPTIONS]",
    "remove what no tagged image needs from the local store",
    """
Removes cached steps, what failed ones left, images without a tag, and what nothing refers to; with --all
cache mounts, remembered hashes of build contexts and the logs of builds as well. What a tagged image or
a build that is running needs stays: `jettison rmi` removes images. With --cache-max only as much goes,
the least recently used first, as makes the store fit.

Filters: until=24h or unused-for=24h (not used for so long), type=TYPE (step, failed, image, tree,
orphan, cache-mount, memo, log), stage=NAME, id=ID. Several values of one filter mean any of them.
""",
    (
        Option(("--all", "-a"), "cache mounts, hashes of build contexts and logs too"),
        Option(("--filter",), "only what this is true for", "NAME=VALUE", True),
        Option(("--cache-max",), "remove only until the store takes no more than this: 20G, 15%", "SIZE"),
        Option(("--keep-storage", "--reserved-space", "--max-used-space"), metavar="SIZE"),
        Option(("--dry-run",), "remove nothing, say what would go"),
        Option(("--verbose",), "list everything that goes, not only the largest"),
        Option(("--format",), "text (default) or json: one object in a line", "FORMAT"),
        *STORE_OPTIONS,
        Option(("--force", "-f")),
    ),
    (
        ("All that can be built again", "jettison prune --all"),
        ("What was not used for two days", "jettison prune --filter unused-for=48h"),
        ("Down to 5 GB, the least recently used first", "jettison prune --cache-max 5G"),
        ("What would go of one stage?", "jettison prune --dry-run --filter stage=tester"),
    ),
    most=0,
)

_LARGEST = 10


def run(console: Console, argv: list[str]) -> int:
    """Remove, and say what went and what that freed."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="text or json")
    with opened(console, parsed) as local:
        from jettison.upkeep.collect import collect

        wanted = _wanted(parsed, local.store.root)
        plan = collect(local.store, wanted, dry_run=parsed.has("dry-run"))
    console.stdout.write(_json(plan) if form == "json" else _text(plan, parsed))
    return 0


def _wanted(parsed: Parsed, root: str) -> Wanted:
    """What the options ask for. Raises UsageError."""
    from jettison.sizes import parse_span
    from jettison.upkeep.choose import Wanted
    from jettison.upkeep.survey import FOREVER, Kind

    kinds: set[str] = set()
    stages: set[str] = set()
    ids: list[str] = []
    since = FOREVER
    types: dict[str, str] = {**{kind: kind for kind in get_args(Kind)}, **{b: a for a, b in _TYPES.items()}}
    for text in parsed.all("filter"):
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"--filter {text!r} is not of the form NAME=VALUE", hint="unused-for=24h")
        if name in ("until", "unused-for"):
            try:
                since = min(since, time.time() - parse_span(value))
            except ValueError as error:
                raise UsageError(
                    f"--filter {text}: {value!r} is no span of time", hint="for example 24h, 30m or 7d"
                ) from error
        elif name == "type":
            if value not in types:
                raise UsageError(f"--filter {text}: no such type", hint=f"the types are {', '.join(types)}")
            kinds.add(types[value])
        elif name == "stage":
            stages.add(value)
        elif name == "id":
            ids.append(value.removeprefix("sha256:"))
        else:
            raise UsageError(f"--filter {name!r} is not known", hint="until, unused-for, type, stage or id")
    if not kinds and not stages and not ids and not parsed.has("all"):
        kinds = {"step", "failed", "image", "tree", "orphan"}
    return Wanted(frozenset(kinds), frozenset(stages), tuple(ids), since, _most(parsed, root))


def _most(parsed: Parsed, root: str) -> int:
    from jettison.upkeep.after_build import cap

    text = parsed.last("cache-max") or parsed.last("keep-storage")
    try:
        most = cap(root, text) if text else 0
        if most is None:
            raise ValueError(text)
        return most
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no amount", hint="for example --cache-max 20G, 512MiB or 15%"
        ) from error


def _json(plan: Plan) -> str:
    lines = [
        {
            "type": one.item.kind,
            "id": one.item.id,
            "stage": one.item.stage,
            "title": one.item.title,
            "last_used": one.item.used,
            "freed": one.freed,
        }
        for one in plan.doomed
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _text(plan: Plan, parsed: Parsed) -> str:
    from jettison.cli.du import ago, label
    from jettison.cli.table import rows, size_text

    shown = sorted(plan.doomed, key=lambda one: -one.freed)
    rest = len(shown) - _LARGEST
    if rest > 0 and not parsed.has("verbose"):
        shown = shown[:_LARGEST]
    else:
        rest = 0
    out = ""
    if shown:
        table = [[one.item.kind, label(one.item), ago(one.item.used), size_text(one.freed)] for one in shown]
        out = rows(["TYPE", "WHAT", "LAST USED", "FREED"], table)
    if rest:
        out += f"and {rest} smaller things (--verbose lists all)\n"
    word = "Would free" if parsed.has("dry-run") else "Freed"
    out += f"{word} {size_text(plan.before - plan.after)}; the store takes {size_text(plan.after)}"
    return out + (" then\n" if parsed.has("dry-run") else "\n")
