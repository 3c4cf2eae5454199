"""Texts in pictures: made safe to show, measured, and shortened."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jettison.picture.model import Edge, Node, Picture


def shown(text: str) -> str:
    """The text with everything written out that has no look of its own: control characters, broken bytes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def cells(text: str) -> int:
    """How many columns a terminal gives to a text; in a fixed-width font its width as well."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def shorten(text: str, width: int, dots: str = "…") -> str:
    """The text, or its beginning and end with dots between, in at most `width` columns."""
    if cells(text) <= width:
        return text
    room = max(width - cells(dots), 0)
    head = _fitting(text, room // 2)
    tail = _fitting(text[::-1], room - cells(head))[::-1]
    return (head + dots + tail) if width >= cells(dots) else ""


def _fitting(text: str, room: int) -> str:
    used = 0
    for at, one in enumerate(text):
        used += _width(one)
        if used > room:
            return text[:at]
    return text


def place_words(node: Node) -> list[str]:
    """What a node is in the build, where that is not the usual."""
    words = [*(["target"] if node.target else []), *(["from scratch"] if node.scratch else [])]
    return [*words, node.platform] if node.platform else words


def outcome_words(node: Node) -> list[str]:
    """What is known of a node, in words: state, time, bytes."""
    from jettison.progress.lines import duration, size_text

    if node.kind != "stage":
        return ["named context"] if node.kind == "context" else []
    words = []
    if not node.needed:
        words.append("cannot be built" if node.problem else "left out")
    outcome = node.outcome
    if outcome.state:
        words.append("changed since" if outcome.state == "changed" else outcome.state)
    if outcome.seconds is not None:
        words.append(duration(outcome.seconds))
    if outcome.size is not None:
        words.append(size_text(outcome.size))
    return words


def tooltip(node: Node) -> str:
    """All about a node, in one line."""
    what = {"stage": "stage", "image": "base image", "context": "named context"}[node.kind]
    words = [f"{what} {node.name}"]
    if node.kind == "stage":
        words.append(f"line {node.line}")
        words.append(f"{node.steps} step{'' if node.steps == 1 else 's'}")
        words += ["from scratch"] if node.scratch else []
        words += outcome_words(node)
        words += ["on the critical path"] if node.critical else []
    words += [node.platform] if node.platform else []
    words += [node.problem] if node.problem else []
    return ", ".join(words)


def edge_words(edge: Edge) -> list[str]:
    """The paths of an edge, each with where it goes."""
    return [f"{path} → {dest}" if dest else path for path, dest in edge.paths]


def summary(picture: Picture) -> list[str]:
    """What stands beside every picture: the targets, what is left out, the last build, what it waited for."""
    from datetime import UTC, datetime

    from jettison.progress.lines import duration

    lines = [f"{picture.title}: {_names(picture.targets)}"]
    if picture.left_out:
        lines.append(f"left out: {_names(picture.left_out)}")
    last = picture.last
    if last is not None:
        when = datetime.fromtimestamp(last.at, UTC)
        lines.append(f"last build: {when:%Y-%m-%d %H:%M} UTC")
    if last is not None and last.critical:
        names = {node.id: node.name for node in picture.nodes}
        path = " → ".join(names[name] for name in last.critical)
        lines.append(f"critical path: {path}, {duration(last.seconds)}")
    return lines


def _names(nodes: Iterable[Node]) -> str:
    return ", ".join(node.name for node in nodes)
