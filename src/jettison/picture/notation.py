"""A picture in the notations of other programs: DOT for Graphviz, Mermaid, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from jettison.picture.model import Edge, Node, Picture
from jettison.picture.words import edge_words, outcome_words, place_words, summary, tooltip

_FILLS = {"ran": "#ddf4ff", "cached": "#dafbe1", "failed": "#ffebe9"}
_INK = "#1f2328"
"""Of texts on these, also on a dark page."""
_CRITICAL = "#bc4c00"
_SOFT = "#818b98"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._/:,-*+=()@")
_PATHS = 8
"""Paths in the label of one edge."""


def dot(picture: Picture) -> str:
    """For Graphviz: `dot -Tsvg`."""
    lines = [
        "digraph stages {",
        f"  label={_quoted([summary(picture)[0]])}; labelloc=t; fontname=monospace;",
        '  node [shape=box, style=rounded, fontname=monospace, color="#59636e"];',
        '  edge [fontname=monospace, fontsize=11, color="#818b98"];',
    ]
    for node in picture.nodes:
        looks = {"label": _quoted(_label(node)), "tooltip": _quoted([tooltip(node)])}
        if node.kind != "stage":
            looks["shape"] = "oval" if node.kind == "image" else "folder"
        if fill := _FILLS.get(node.outcome.state):
            looks |= {"style": '"rounded,filled"', "fillcolor": f'"{fill}"', "fontcolor": f'"{_INK}"'}
        if node.critical:
            looks["color"] = f'"{_CRITICAL}"'
        if node.target or node.critical:
            looks["penwidth"] = "2.5"
        if not node.needed:
            looks |= {"style": '"rounded,dashed"', "fontcolor": f'"{_SOFT}"'}
        lines.append(f"  {node.id} {_listed(looks)};")
    for edge in picture.edges:
        looks = {"label": _quoted(_paths(edge))} if edge.paths else {}
        if edge.paths:
            looks["tooltip"] = _quoted(edge_words(edge))
        if edge.critical:
            looks |= {"color": f'"{_CRITICAL}"', "penwidth": "2.5"}
        if edge.kind == "mount":
            looks["style"] = "dotted"
        elif not edge.needed:
            looks["style"] = "dashed"
        lines.append(f"  {edge.source} -> {edge.reader}{' ' + _listed(looks) if looks else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def _listed(looks: dict[str, str]) -> str:
    return "[" + ", ".join(f"{name}={value}" for name, value in looks.items()) + "]"


def _quoted(lines: Sequence[str]) -> str:
    """A string of DOT. Backslashes and entities would mean something in it."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def mermaid(picture: Picture) -> str:
    """A flowchart, as Markdown pages of code hosts show it in a block named mermaid."""
    lines = ["flowchart TB"]
    for node in picture.nodes:
        begin, end = {"stage": ("[", "]"), "image": ("([", "])"), "context": ("[(", ")]")}[node.kind]
        lines.append(f"  {node.id}{begin}{_safe(_label(node))}{end}")
    for edge in picture.edges:
        label = f"|{_safe(_paths(edge))}|" if edge.paths else ""
        lines.append(f"  {edge.source} {'-.->' if edge.kind == 'mount' else '-->'}{label} {edge.reader}")
    looks: dict[str, list[str]] = {}
    for node in picture.nodes:
        fill = _FILLS.get(node.outcome.state)
        style = [f"fill:{fill}", f"color:{_INK}"] if fill else []
        style += [f"stroke:{_CRITICAL}"] if node.critical else []
        style += ["stroke-width:3px"] if node.target or node.critical else []
        style += ["stroke-dasharray:5 4", "opacity:0.7"] if not node.needed else []
        if style:
            looks.setdefault(",".join(style), []).append(node.id)
    for number, (look, names) in enumerate(looks.items()):
        lines += [f"  classDef look{number} {look}", f"  class {','.join(names)} look{number}"]
    critical = ",".join(str(at) for at, edge in enumerate(picture.edges) if edge.critical)
    if critical:
        lines.append(f"  linkStyle {critical} stroke:{_CRITICAL},stroke-width:3px")
    return "\n".join(lines) + "\n"


def _safe(lines: Sequence[str]) -> str:
    """A quoted text of Mermaid; all that could mean something to it, HTML or Markdown is given by number."""
    safe = ("".join(one if one in _PLAIN else f"#{ord(one)};" for one in line) for line in lines)
    return '"' + "<br/>".join(safe) + '"'


def _label(node: Node) -> list[str]:
    return [node.name, *(", ".join(words) for words in (place_words(node), outcome_words(node)) if words)]


def _paths(edge: Edge) -> list[str]:
    paths = [path for path, _ in edge.paths]
    return [*paths[: _PATHS - 1], f"and {len(paths) - _PATHS + 1} more"] if len(paths) > _PATHS else paths


def document(picture: Picture) -> str:
    """One JSON document with all of it, for programs."""
    last = picture.last
    value = {
        "dockerfile": picture.title,
        "targets": [node.id for node in picture.targets],
        "left_out": [node.id for node in picture.left_out],
        "last_build": None if last is None else datetime.fromtimestamp(last.at, UTC).isoformat(),
        "critical_path": [] if last is None else list(last.critical),
        "critical_seconds": None if last is None else round(last.seconds, 3),
        "nodes": [_node(node) for node in picture.nodes],
        "edges": [_edge(edge) for edge in picture.edges],
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _node(node: Node) -> dict[str, object]:
    out: dict[str, object] = {"id": node.id, "kind": node.kind, "name": node.name, "needed": node.needed}
    if node.platform:
        out["platform"] = node.platform
    if node.kind == "stage":
        outcome = node.outcome
        out |= {"line": node.line, "steps": node.steps, "scratch": node.scratch, "target": node.target}
        out |= {"state": outcome.state or None, "bytes": outcome.size, "critical": node.critical}
        out["seconds"] = None if outcome.seconds is None else round(outcome.seconds, 3)
    if node.problem:
        out["problem"] = node.problem
    return out


def _edge(edge: Edge) -> dict[str, object]:
    out: dict[str, object] = {"from": edge.source, "to": edge.reader, "kind": edge.kind}
    out |= {"needed": edge.needed, "critical": edge.critical}
    return {**out, "paths": [{"path": path, "destination": dest} for path, dest in edge.paths]}
