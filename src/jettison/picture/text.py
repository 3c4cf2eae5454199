"""A picture as text of at most 80 columns: a lane for each stage, from its own line to its last reader."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from jettison.dataclass import dataclass, field
from jettison.picture.model import Edge, Node, Picture
from jettison.picture.words import cells, outcome_words, place_words, shorten, summary

COLUMNS = 80
_LANES = 16
"""What finds no lane is named, not drawn."""

_ASCII = str.maketrans("│─├┤╰╯◉●◌○□→·…", "|-++`'@*.o#>-.")


_TINTS = {"ran": "34", "cached": "32", "failed": "31"}


@dataclass(frozen=True, slots=True)
class _Row:
    """Rails, and beside them a node's name and words, or what is read."""

    rails: str
    name: str
    words: str = ""
    node: Node | None = None


@dataclass(slots=True)
class _Drawing:
    """The rows made so far. `lanes` holds whose each lane is now."""

    picture: Picture
    names: dict[str, str]
    rows: list[_Row] = field(default_factory=list)
    lanes: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """How many edges are still to be drawn from each node."""


def text(picture: Picture, ascii_only: bool = False, colour: bool = False) -> str:
    """The whole drawing. With `ascii_only` other characters of names become question marks.

    With `colour` bullets have that of the stage's state, and the critical path is bold.
    """
    drawing = _Drawing(picture, {node.id: node.name for node in picture.nodes})
    for edge in picture.edges:
        drawing.left[edge.source] = drawing.left.get(edge.source, 0) + 1
    for node in picture.nodes:
        _node(drawing, node)
    gutter = max((len(row.rails) for row in drawing.rows), default=0) + 2
    names = max((cells(row.name) for row in drawing.rows if row.words), default=0)
    names = min(names, (COLUMNS - gutter) // 2)
    title, *rest = summary(picture)
    lines = [shorten(title, COLUMNS), ""]
    lines += [_line(row, gutter, names, colour) for row in drawing.rows]
    parts = [part for line in rest for part in wrap(line, COLUMNS, subsequent_indent="  ")]
    lines += ["", *(shorten(part, COLUMNS) for part in parts)] if parts else []
    drawn = "\n".join(lines) + "\n"
    if ascii_only:
        drawn = drawn.translate(_ASCII).encode("ascii", "replace").decode()
    return drawn


def _line(row: _Row, gutter: int, names: int, colour: bool) -> str:
    """A row: its rails, then name and words in two columns, or what is read."""
    room = COLUMNS - gutter
    beside = row.name
    if row.words:
        beside = shorten(beside, max(names, room - cells(row.words) - 2))
        beside += " " * max(names - cells(beside), 0) + "  " + row.words
    rails, beside = row.rails.ljust(gutter), shorten(beside, room)
    if colour and row.node is not None:
        bullet, tint = _bullet(row.node), _TINTS.get(row.node.outcome.state)
        if tint:
            rails = rails.replace(bullet, f"\x1b[{tint}m{bullet}\x1b[0m")
        if row.node.critical:
            beside = f"\x1b[1m{beside}\x1b[0m"
    return rails + beside


def _node(drawing: _Drawing, node: Node) -> None:
    edges = [edge for edge in drawing.picture.edges if edge.reader == node.id]
    first = edges[0] if edges and edges[0].kind == "from" else None
    source = _lane(drawing, first.source) if first else None
    if first is not None:
        drawing.left[first.source] -= 1
    own: int | None
    if first is not None and source is not None and not drawing.left[first.source]:
        own = source
        drawing.lanes[own] = node.id
        rails = _rails(drawing)
    else:
        own = _free_lane(drawing, node.id)
        rails = _rails(drawing) if own is None or source is None else _joined(drawing, source, own, True)
    at = 2 * (own if own is not None else _LANES)
    rails = rails[:at].ljust(at) + _bullet(node) + rails[at + 1 :]
    words = [*place_words(node), *outcome_words(node)]
    if first is not None and (source is None or own is None):
        words.insert(0, f"from {drawing.names[first.source]}")
    drawing.rows.append(_Row(rails, node.name, ", ".join(words), node))
    for edge in edges[1 if first else 0 :]:
        drawing.left[edge.source] -= 1
        _say(drawing, edge, own, edge is edges[-1])
    if own is not None and not drawing.left.get(node.id):
        drawing.lanes[own] = ""


def _say(drawing: _Drawing, edge: Edge, own: int | None, last: bool) -> None:
    """The rows of one edge: a line from lane to lane, and what is read."""
    source = _lane(drawing, edge.source)
    ends = last and not drawing.left.get(edge.reader)
    rails = _rails(drawing)
    if source is not None and own is not None:
        rails = _joined(drawing, source, own, False, ends)
    what = "COPY --from=" if edge.kind == "copy" else "mount from="
    paths = ", ".join(path for path, _ in edge.paths)
    drawing.rows.append(_Row(rails, f"{what}{drawing.names[edge.source]} {paths}"))
    if source is not None and not drawing.left[edge.source]:
        drawing.lanes[source] = ""


def _bullet(node: Node) -> str:
    if node.kind != "stage":
        return "○" if node.kind == "image" else "□"
    if node.target:
        return "◉"
    return "●" if node.needed else "◌"


def _lane(drawing: _Drawing, name: str) -> int | None:
    return drawing.lanes.index(name) if name in drawing.lanes else None


def _free_lane(drawing: _Drawing, name: str) -> int | None:
    above = drawing.rows[-1].rails if drawing.rows else ""
    for lane, holder in enumerate(drawing.lanes):
        # Right below a stage that nobody reads, another one would look as if it were based on it.
        if not holder and above[2 * lane : 2 * lane + 1] not in ("◉", "●", "◌"):
            drawing.lanes[lane] = name
            return lane
    if len(drawing.lanes) >= _LANES:
        return None
    drawing.lanes.append(name)
    return len(drawing.lanes) - 1


def _rails(drawing: _Drawing) -> str:
    return " ".join("│" if name else " " for name in drawing.lanes).rstrip()


def _joined(drawing: _Drawing, source: int, own: int, begins: bool, ends: bool = False) -> str:
    """Rails with a line from one lane to another; it passes behind the lanes between."""
    lanes: Sequence[str] = drawing.lanes
    rails = list(" ".join("│" if name else " " for name in lanes))
    low, high = sorted((source, own))
    for at in range(2 * low + 1, 2 * high):
        if rails[at] == " ":
            rails[at] = "─"
    goes_on = drawing.left[lanes[source]] > 0
    right = source < own
    rails[2 * source] = ("├" if right else "┤") if goes_on else ("╰" if right else "╯")
    if not begins:
        rails[2 * own] = ("╯" if right else "╰") if ends else ("┤" if right else "├")
    return "".join(rails).rstrip()
