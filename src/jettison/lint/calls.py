"""What can be built, and with which settings: `--call targets` and `--call outline`, as buildx has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jettison.dataclass import dataclass
from jettison.dockerfile.expand import expand
from jettison.dockerfile.instructions import Arg, Dockerfile, Run
from jettison.errors import DockerfileError
from jettison.graph.scope import GlobalScope
from jettison.graph.stages import StageGraph, StagePlan
from jettison.lint.froms import Watched
from jettison.lint.report import ranges
from jettison.lint.source import comments_above, described, physical_lines
from jettison.location import Location


def targets_document(dockerfile: Dockerfile, data: bytes) -> dict[str, Any]:
    """All stages, with the descriptions in the comments above them."""
    lines = physical_lines(data)
    out = []
    for stage in dockerfile.stages:
        item: dict[str, Any] = {}
        if stage.name:
            item["name"] = stage.name
        if stage.index == len(dockerfile.stages) - 1:
            item["default"] = True
        text = described(comments_above(lines, stage.location.first_line), stage.name)
        if text:
            item["description"] = text
        item["base"] = stage.base
        if stage.platform:
            item["platform"] = stage.platform
        item["location"] = ranges(stage.location)
        out.append(item)
    return {"targets": out, "sources": [_base64(data)]}


def targets_rows(document: dict[str, Any]) -> list[list[str]]:
    """The rows of the text table, its heading first."""
    rows = [["TARGET", "DESCRIPTION"]]
    for item in document["targets"]:
        name = item.get("name", "")
        if item.get("default"):
            name = f"{name} (default)".lstrip()
        rows.append([name, item.get("description", "")])
    return rows


@dataclass(frozen=True, slots=True)
class _Argument:
    name: str
    value: str | None
    location: Location


def outline_document(
    dockerfile: Dockerfile, data: bytes, stages: StageGraph, target: StagePlan, scope: GlobalScope
) -> dict[str, Any]:
    """What a build of one target takes: arguments, secrets, agents and cache mounts.

    `scope` holds the values of the global arguments.
    """
    lines = physical_lines(data)
    needed = [stages.plans[index] for index in sorted(stages.needed([target.stage.index], {}))]
    out: dict[str, Any] = {"name": target.stage.name} if target.stage.name else {}
    text = described(comments_above(lines, target.stage.location.first_line), target.stage.name)
    if text:
        out["description"] = text
    arguments = _arguments(dockerfile, needed, scope)
    if arguments:
        out["args"] = [_argument(lines, argument) for argument in arguments]
    mounts = [
        (mount, item.location)
        for plan in needed
        for item in plan.stage.instructions
        if isinstance(item, Run)
        for mount in item.mounts
    ]
    for key, kind in (("secrets", "secret"), ("ssh", "ssh")):
        found = [(mount, place) for mount, place in mounts if mount.type == kind]
        names = dict.fromkeys(_id(kind, mount.id, mount.target) for mount, _ in found)
        items = []
        for name in names:
            own = [(mount, place) for mount, place in found if _id(kind, mount.id, mount.target) == name]
            item: dict[str, Any] = {"name": name}
            if any(mount.required for mount, _ in own):
                item["required"] = True
            items.append({**item, "location": ranges(own[0][1])})
        if items:
            out[key] = items
    caches = {mount.id or mount.target: place for mount, place in reversed(mounts) if mount.type == "cache"}
    if caches:
        out["cache"] = [{"ID": name, "location": ranges(caches[name])} for name in sorted(caches)]
    out["sources"] = [_base64(data)]
    return out


def outline_tables(document: dict[str, Any]) -> list[list[list[str]]]:
    """The text tables, each with its heading first."""
    head = [["TARGET:", document.get("name") or "(default)"]]
    if document.get("description"):
        head.append(["DESCRIPTION:", document["description"]])
    tables = [head]
    if document.get("args"):
        rows = [
            [item["name"], item.get("value", ""), item.get("description", "")] for item in document["args"]
        ]
        tables.append([["BUILD ARG", "VALUE", "DESCRIPTION"], *rows])
    for key, title in (("secrets", "SECRET"), ("ssh", "SSH")):
        if document.get(key):
            rows = [[item["name"], "true" if item.get("required") else ""] for item in document[key]]
            tables.append([[title, "REQUIRED"], *rows])
    if document.get("cache"):
        tables.append([["CACHE MOUNT"], *([item["ID"]] for item in document["cache"])])
    return tables


def _id(kind: str, name: str, target: str) -> str:
    return name or ("default" if kind == "ssh" else target.rpartition("/")[2])


def _arguments(dockerfile: Dockerfile, needed: Iterable[StagePlan], scope: GlobalScope) -> list[_Argument]:
    """The arguments that the needed stages use, in the order of lines. Automatic ones are none."""
    asked: set[str] = set()
    own: dict[str, _Argument] = {}
    for plan in needed:
        watched = Watched(scope.lookup)
        for text in (plan.stage.base, plan.stage.platform):
            _value(text, watched, dockerfile.escape)
        asked |= watched.known | watched.unknown
        for item in plan.stage.instructions:
            for name, default in item.items if isinstance(item, Arg) else ():
                asked.add(name)
                if default is not None or name not in (*scope.declared, *scope.valueless, *scope.automatic):
                    text = _value(default or "", Watched(scope.lookup), dockerfile.escape)
                    given = scope.build_args.get(name, None if default is None else text)
                    own.setdefault(name, _Argument(name, given, item.location))
    out = dict(own)
    for arg in dockerfile.global_args:
        for name, _ in arg.items:
            if name in asked and name not in out:
                out[name] = _Argument(name, scope.lookup(name), arg.location)
    return sorted(out.values(), key=lambda argument: argument.location.first_line)


def _value(text: str, lookup: Watched, escape: str) -> str:
    try:
        return expand(text, lookup, escape)
    except DockerfileError:
        return text


def _argument(lines: list[str], argument: _Argument) -> dict[str, Any]:
    item: dict[str, Any] = {"name": argument.name}
    text = described(comments_above(lines, argument.location.first_line), argument.name)
    if text:
        item["description"] = text
    if argument.value is not None:
        item["value"] = argument.value
    return {**item, "location": ranges(argument.location)}


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(data).decode("ascii")
