"""The results of a run as a JSON document, and what they say."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.builder import Builder

VERSION = 1
"""Of the document's form."""
OWN, RIVAL = "jettison", "buildkit"


def begin(path: Path | None, scale: str, builders: Iterable[Builder]) -> dict[str, Any]:
    """The document to add rows to: the one in the file, if it is of the same scale, else a new one."""
    document: dict[str, Any] = {"version": VERSION, "scale": scale, "builders": {}, "rows": {}, "skipped": {}}
    if path and path.exists():
        document = read(path)
        if document["scale"] != scale:
            raise SystemExit(f"{path} holds a {document['scale']} run, which does not mix with a {scale} one")
    document["machine"] = machine()
    for builder in builders:
        document["builders"][builder.name] = {"version": builder.version, "note": builder.note}
    return document


def read(path: Path) -> dict[str, Any]:
    """A document from its file. Ends the program, with a message, when it is none."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read as results of bench.run: {error}") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise SystemExit(f"{path} holds no results of this bench.run; remove it, or name another file")
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    """Keep the document; see `replace`."""
    replace(path, json.dumps(document, indent=1) + "\n")


def replace(path: Path, text: str) -> None:
    """Write a file as a whole, or not at all. Ends the program, with a message, when it cannot be written."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        raise SystemExit(f"{path} cannot be written: {error.strerror}") from error


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": cpus[0] if cpus else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
    }


def median(row: dict[str, Any], builder: str) -> float | None:
    """A builder's figure of a row; None where it has none."""
    figures = row["figures"].get(builder)
    return statistics.median(figures) if figures else None


def limit(row: dict[str, Any]) -> float | None:
    """The limit of the machine for a row."""
    figures = row["limit"]["figures"]
    return statistics.median(figures) if figures else None


def ratio(row: dict[str, Any], rival: str) -> float | None:
    """jettison's figure divided by another builder's; None where one of them is missing."""
    own, other = median(row, OWN), median(row, rival)
    return own / other if own is not None and other else None


def is_met(row: dict[str, Any]) -> bool | None:
    """Whether the row's reach is met; None where that cannot be said."""
    value = median(row, OWN) if row["absolute"] else ratio(row, RIVAL)
    return None if value is None or row["reach"] is None else value <= row["reach"]


def does_less(row: dict[str, Any], builder: str) -> bool:
    """Whether the builder leaves out what the row asks for: an archive with compressed layers."""
    image = row["images"].get(builder)
    return bool(row["archive"] and image and image["compressed"] is None)


def shown(value: float | None, unit: str) -> str:
    """A figure with its unit."""
    if value is None:
        return "–"
    if unit == "MB":
        return f"{value / 1e6:.0f} MB"
    if unit == "%":
        return f"{value:.1f} %"
    if unit == "bytes a file":
        return f"{value:.0f} bytes"
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def reach(row: dict[str, Any]) -> str:
    """What the row should reach."""
    if row["reach"] is None:
        return "–"
    return f"≤ {shown(row['reach'], row['unit']) if row['absolute'] else format(row['reach'], '.2f')}"


def lines(name: str, document: dict[str, Any]) -> str:
    """A row for people at a terminal."""
    row = document["rows"][name]
    text = [f"{name}: {row['says']}"]
    for builder in row["figures"]:
        value = median(row, builder)
        line = f"  {builder:10} {shown(value, row['unit']):>12}"
        compared = ratio(row, builder)
        if builder != OWN and compared is not None:
            line += f"   jettison is at {compared:.2f}"
            line += " (it compresses nothing)" if does_less(row, builder) else ""
        image = row["images"].get(builder)
        if image and image["compressed"]:
            line += f"   {image['compressed'] / 1e6:,.1f} MB compressed"
        text.append(line if value is not None else f"  {builder:10}       failed")
    if row["limit"]["figures"]:
        text.append(f"  {'limit':10} {shown(limit(row), 's'):>12}   {row['limit']['says']}")
    verdict = {True: "met", False: "not met", None: "not judged"}[is_met(row)]
    text.append(f"  reach {reach(row)}: {verdict}")
    text += [f"  {key}: {shown(value, 'MB')}" for key, value in row["details"].items()]
    return "\n".join(text)


def add(document: dict[str, Any], name: str, row: dict[str, Any], order: Iterable[str]) -> None:
    """Put a row into the document, at its place in the order of all rows."""
    rows = document["rows"] | {name: row}
    document["rows"] = {known: rows[known] for known in order if known in rows}
    document["skipped"].pop(name, None)


def skip(document: dict[str, Any], name: str, reason: str) -> None:
    """Note why a row is not there; an older one goes."""
    document["rows"].pop(name, None)
    document["skipped"][name] = reason
