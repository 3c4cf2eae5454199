"""The report of `jettison size` as text of 80 columns, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from jettison.insight.advice import advice, place
from jettison.insight.limits import counted
from jettison.insight.report import Part, Report
from jettison.progress.lines import size_text

_WIDTH = 80
_INDENT = " " * 12
_WHY = {
    "overwritten": "overwritten by",
    "deleted": "deleted by",
    "stored again": "stored again by",
    "duplicate": "there already, and added by",
}


def as_text(report: Report, most: int) -> str:
    """The report for people; `most` is the number of rows that each table may have."""
    blocks = [_head(report)]
    if report.parts:
        blocks += [_instructions(report, most), _sources(report, most), _waste(report, most)]
    if report.leftovers:
        blocks.append(_leftovers(report, most))
    return "\n".join("".join(f"{line}\n" for line in block) for block in blocks)


def _head(report: Report) -> Iterator[str]:
    files = sum(part.files for part in report.parts)
    layers = len(report.parts)
    yield from wrap(
        f"{_shown(report.name)}: {size_text(report.compressed)} compressed, {size_text(report.size)} of files"
        f" ({counted(files)} in {layers} layer{'' if layers == 1 else 's'})",
        _WIDTH,
    )
    builder = report.builder
    if builder is not None and report.size:
        known = f"({_shown(builder.stage)}: {size_text(builder.size)} of files)"
        yield f"{_times(builder.size, report.size)} its builder {known}"
    if not report.origins_known:
        yield "It was not built in this store: from which stages its files came is not known."


def _times(builder: int, final: int) -> str:
    if 0.95 * final < builder < 1.05 * final:
        return "as large as"
    if builder >= final:
        factor = builder / final
        return f"{factor:.{1 if factor < 10 else 0}f} times smaller than"
    return f"{final / max(builder, 1):.1f} times as large as"


def _instructions(report: Report, most: int) -> Iterator[str]:
    rows = [
        (part.compressed, part.size, part.wasted, f"{place(part.step)} {part.step.text}".lstrip())
        for part in report.parts
        if not part.base
    ]
    base = [part for part in report.parts if part.base]
    if base:
        sums = [sum(values) for values in zip(*((p.compressed, p.size, p.wasted) for p in base), strict=True)]
        rows.append((sums[0], sums[1], sums[2], f"base image {report.base}"))
    rows.sort(key=lambda row: (-row[1], -row[0]))
    yield "COMPRESSED       FILES      WASTED  INSTRUCTION"
    for compressed, size, wasted, text in rows[:most]:
        numbers = f"{size_text(compressed):>10}  {size_text(size):>10}  {size_text(wasted):>10}"
        yield _cut(f"{numbers}  {_shown(text)}")
    yield from _rest(len(rows), most)


def _sources(report: Report, most: int) -> Iterator[str]:
    yield "COMPRESSED       FILES  CAME FROM"
    for share in report.shares[:most]:
        yield _cut(f"{size_text(share.compressed):>10}  {size_text(share.size):>10}  {_shown(share.source)}")
    yield from _rest(len(report.shares), most)


def _waste(report: Report, most: int) -> Iterator[str]:
    yield f"WASTED: {size_text(report.wasted)}, {report.waste_percent:.1f}% of all files"
    for item in report.waste[:most]:
        owner, culprit = report.parts[item.owner], report.parts[item.culprit]
        yield _cut(f"{size_text(item.size):>10}  {_WHY[item.why]} {_title(culprit)}")
        same = [f" = /{_shown(path)}" for path in item.same_as] or [""] * len(item.paths)
        paths = ", ".join(f"/{_shown(path)}{twin}" for path, twin in zip(item.paths, same, strict=True))
        more = ", …" if item.files > len(item.paths) else ""
        changes = f", other {' and '.join(item.changes)}" if item.changes else ""
        if item.files:
            yield from _wrapped(f"{counted(item.files)} of {_short(owner)}{changes}: {paths}{more}")
        yield from _wrapped(f"fix: {advice(report, item)}")
    yield from _rest(len(report.waste), most)
    if report.base_waste:
        yield f"{size_text(report.base_waste):>10}  more within the base image, which is not counted"


def _leftovers(report: Report, most: int) -> Iterator[str]:
    yield f"NEED NOT SHIP: {size_text(sum(item.size for item in report.leftovers))}"
    for item in report.leftovers[:most]:
        yield _cut(f"{size_text(item.size):>10}  {item.rule.what} ({item.rule.kind})")
        maker = _short(report.parts[item.layer])
        yield from _wrapped(f"{counted(item.files)} in /{_shown(item.path)}, from {maker}")
        yield from _wrapped(f"fix: {item.rule.fix}")
    yield from _rest(len(report.leftovers), most)


def _title(part: Part) -> str:
    if part.base:
        return "the base image"
    return _shown(f"{place(part.step)} {part.step.text}".lstrip())


def _short(part: Part) -> str:
    title = _title(part)
    return place(part.step) or (title if len(title) <= 40 else title[:39] + "…")


def _rest(count: int, most: int) -> Iterator[str]:
    if count > most:
        yield f"{_INDENT}and {count - most} more: --top {count}"


def _wrapped(text: str) -> list[str]:
    lines = wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)
    return lines if len(lines) <= 4 else [*lines[:3], f"{_INDENT}…"]


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _shown(text: str) -> str:
    """Names of files come from strangers: nothing in them may write on the reader's terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def as_json(report: Report) -> str:
    """The whole report for programs, as one object."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    builder = report.builder
    return {
        "name": report.name,
        "base": report.base,
        "origins_known": report.origins_known,
        "compressed": report.compressed,
        "size": report.size,
        "files": sum(part.files for part in report.parts),
        "layers": [_part(part) for part in report.parts],
        "sources": [
            {"source": item.source, "files": item.files, "size": item.size, "compressed": item.compressed}
            for item in report.shares
        ],
        "builder": None if builder is None else {"stage": builder.stage, "size": builder.size},
        "waste": {
            "size": report.wasted,
            "percent": round(report.waste_percent, 3),
            "base": report.base_waste,
            "items": [
                {
                    "why": item.why,
                    "size": item.size,
                    "files": item.files,
                    "owner": item.owner,
                    "culprit": item.culprit,
                    "paths": _rooted(item.paths),
                    "same_as": _rooted(item.same_as),
                    "changes": list(item.changes),
                    "fix": advice(report, item),
                }
                for item in report.waste
            ],
        },
        "need_not_ship": [
            {
                "kind": item.rule.kind,
                "what": item.rule.what,
                "path": f"/{item.path}",
                "layer": item.layer,
                "files": item.files,
                "size": item.size,
                "fix": item.rule.fix,
            }
            for item in report.leftovers
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    at = part.step.location
    return {
        "instruction": part.step.text,
        "stage": part.step.stage,
        "source": part.step.source,
        "file": at.path if at is not None else "",
        "line": at.first_line if at is not None else 0,
        "base": part.base,
        "files": part.files,
        "size": part.size,
        "compressed": part.compressed,
        "wasted": part.wasted,
    }


def _rooted(paths: Sequence[str]) -> list[str]:
    return [f"/{path}" for path in paths]
