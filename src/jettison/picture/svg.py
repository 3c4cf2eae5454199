"""A picture as SVG: one file without scripts or fonts, for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from jettison.dataclass import dataclass
from jettison.errors import UsageError
from jettison.picture.layout import Box, Layout, Link, Spot, arrange
from jettison.picture.model import Edge, Node, Picture
from jettison.picture.words import cells, edge_words, outcome_words, place_words, shorten, summary, tooltip

_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
_NAME, _SMALL = 13, 11
_CELL = 0.61
"""Width of a character by its height, in the widest of these fonts."""
_NAME_CELLS, _PATH_CELLS, _PATHS = 36, 34, 5
_BOXES = 1000
_LABELS = 400
"""With more, none is written: nobody could read that."""
_WIDE = 1100.0
"""A picture that would be wider goes from left to right instead, if that is narrower."""
_EDGE = 20.0
_BAR = 4.0
_LINE = 18.0

_LIGHT = {
    "page": "#ffffff", "text": "#1f2328", "soft": "#59636e", "line": "#818b98", "box": "#f6f8fa",
    "cached": "#2da44e", "ran": "#0969da", "failed": "#cf222e", "critical": "#bc4c00",
}  # fmt: skip
_DARK = {
    "page": "#0d1117", "text": "#e6edf3", "soft": "#9198a1", "line": "#7d8590", "box": "#1c2128",
    "cached": "#3fb950", "ran": "#58a6ff", "failed": "#f85149", "critical": "#f0883e",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the layout lies on the page; `sideways` is from left to right, else it is from top to bottom."""

    sideways: bool
    left: float
    top: float

    def point(self, across: float, along: float) -> str:
        x, y = self.place(across, along)
        return f"{_n(x)} {_n(y)}"

    def place(self, across: float, along: float) -> tuple[float, float]:
        x, y = (along, across) if self.sideways else (across, along)
        return self.left + x, self.top + y

    def middle(self, spot: Spot) -> tuple[float, float]:
        return self.place(spot.across, (spot.begin + spot.end) / 2)


def svg(picture: Picture) -> str:
    """The whole file. Raises UsageError for more boxes than anybody could look at."""
    if len(picture.nodes) > _BOXES:
        raise UsageError(
            f"{len(picture.nodes)} boxes are too many for a picture", hint="--format text, dot or json"
        )
    boxes = [_box_lines(node) for node in picture.nodes]
    crowded = sum(bool(edge.paths) for edge in picture.edges) > _LABELS
    labels = [[] if crowded else _label_lines(edge) for edge in picture.edges]
    sizes = [_size(lines, 36, 16) for lines in boxes]
    layout, sideways = _laid_out(picture, sizes, labels)
    head = [shorten(line, 110) for line in summary(picture)]
    head += ["too many copies to write their paths; --format json lists them"] if crowded else []
    legend = _legend(picture)
    size = (layout.along, layout.across) if sideways else (layout.across, layout.along)
    width = max(size[0], *(cells(line) * _SMALL * _CELL for line in head), _legend_width(legend)) + 2 * _EDGE
    under = _EDGE + _LINE * len(head)
    frame = _Frame(sideways, (width - size[0]) / 2, under + (28 if legend else 10))
    body = [*_head(head), *_legend_lines(legend, under)]
    body += _lines(picture.edges, layout.routes, frame)
    for edge, lines, spot in zip(picture.edges, labels, layout.labels, strict=True):
        if spot is not None:
            body += _label(edge, lines, *frame.middle(spot))
    for node, lines, box, spot in zip(picture.nodes, boxes, sizes, layout.boxes, strict=True):
        body += _box(node, lines, box, *frame.middle(spot))
    return _file(picture, width, frame.top + size[1] + _EDGE, body)


def _laid_out(picture: Picture, sizes: Sequence[Box], labels: Sequence[Sequence[str]]) -> tuple[Layout, bool]:
    """The layout, and whether it goes sideways."""
    numbers = {node.id: number for number, node in enumerate(picture.nodes)}
    ends = [(numbers[edge.source], numbers[edge.reader]) for edge in picture.edges]
    marks = [_size(lines, 8, 4) if lines else None for lines in labels]

    def laid(turned: bool) -> Layout:
        links = [Link(*both, mark and _turned(mark, turned)) for both, mark in zip(ends, marks, strict=True)]
        return arrange([_turned(size, turned) for size in sizes], links)

    upright = laid(False)
    if upright.across > _WIDE:
        sideways = laid(True)
        if sideways.along < upright.across:
            return sideways, True
    return upright, False


def _turned(box: Box, turned: bool) -> Box:
    return Box(box.along, box.across) if turned else box


def _box_lines(node: Node) -> list[str]:
    lines = [node.name, *(" · ".join(words) for words in (place_words(node), outcome_words(node)) if words)]
    return [shorten(line, _NAME_CELLS) for line in lines]


def _label_lines(edge: Edge) -> list[str]:
    lines = [shorten(path, _PATH_CELLS) for path, _ in edge.paths]
    if edge.kind == "mount":
        lines = [f"mount {line}" for line in lines]
    if len(lines) > _PATHS:
        lines = [*lines[: _PATHS - 1], f"and {len(lines) - _PATHS + 1} more"]
    return lines


def _size(lines: Sequence[str], sideways: float, upright: float) -> Box:
    first = cells(lines[0]) * (_NAME if sideways > 10 else _SMALL)
    width = max([first, *(cells(line) * _SMALL for line in lines[1:])]) * _CELL
    return Box(width + sideways, 16.0 * len(lines) + upright)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _tag(name: str, text: str | None = None, **attributes: object) -> str:
    parts = "".join(f' {key.rstrip("_")}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{parts}/>" if text is None else f"<{name}{parts}>{text}</{name}>"


def _text(line: str, x: float, y: float, kind: str) -> str:
    return _tag("text", escape(line), x=_n(x), y=_n(y), class_=kind)


def _title(text: str) -> str:
    return _tag("title", escape(text))


def _head(lines: Sequence[str]) -> list[str]:
    kinds = ("title left", *["small left"] * (len(lines) - 1))
    return [
        _text(line, _EDGE, _EDGE + 8 + _LINE * at, kind)
        for at, (line, kind) in enumerate(zip(lines, kinds, strict=True))
    ]


def _legend(picture: Picture) -> list[tuple[str, str]]:
    """Colours that occur, with their words."""
    states = {node.outcome.state for node in picture.nodes if node.kind == "stage"}
    out = [state for state in ("ran", "cached", "failed") if state in states]
    critical = [("critical", "critical path")] if any(node.critical for node in picture.nodes) else []
    return [*((state, state) for state in out), *critical]


def _legend_width(legend: Sequence[tuple[str, str]]) -> float:
    return sum(cells(word) * _SMALL * _CELL + 36 for _, word in legend)


def _legend_lines(legend: Sequence[tuple[str, str]], y: float) -> list[str]:
    out, x = [], _EDGE
    for kind, word in legend:
        out.append(_tag("rect", x=_n(x), y=_n(y - 1), width=12, height=12, rx=2, class_=f"fill {kind}"))
        out.append(_text(word, x + 18, y + 9, "small left"))
        x += cells(word) * _SMALL * _CELL + 36
    return out


def _kinds(name: str, item: Node | Edge) -> str:
    words = [name, item.kind]
    words += ["critical"] if item.critical else []
    words += [] if item.needed else ["out"]
    return " ".join(words)


def _lines(edges: Sequence[Edge], routes: Sequence[Sequence[Spot]], frame: _Frame) -> list[str]:
    """All lines; where several run on one way it is drawn once, as the most important of them."""
    pieces: dict[tuple[Spot, Spot], str] = {}
    for edge, route in sorted(zip(edges, routes, strict=True), key=lambda item: _weight(item[0])):
        for piece in pairwise(route):
            pieces.pop(piece, None)
            pieces[piece] = _kinds("edge", edge)
    return [line for (one, other), kinds in pieces.items() for line in _piece(one, other, kinds, frame)]


def _piece(one: Spot, other: Spot, kinds: str, frame: _Frame) -> list[str]:
    """The line from a spot to the next; an arrow where it ends."""
    arrives = other.begin == other.end
    point, start, at = frame.point, one.across, other.across
    to = other.begin - 7 if arrives else other.begin
    half = (one.end + to) / 2
    line = f"M{point(start, one.begin)}L{point(start, one.end)}"
    line += f"C{point(start, half)} {point(at, half)} {point(at, to)}"
    if not arrives:
        return [_tag("path", d=line, class_=kinds)]
    head = f"M{point(at, other.begin)}L{point(at - 4, to)}L{point(at + 4, to)}Z"
    return [_tag("path", d=line, class_=kinds), _tag("path", d=head, class_=f"{kinds} head")]


def _weight(edge: Edge) -> tuple[bool, bool, bool]:
    return edge.critical, edge.needed, edge.kind != "mount"


def _label(edge: Edge, lines: Sequence[str], x: float, y: float) -> list[str]:
    first = y - 8.0 * len(lines) + 12
    out = ["<g>", _title("\n".join([edge.kind, *edge_words(edge)]))]
    size = _size(lines, 8, 0)
    frame = {"x": _n(x - size.across / 2), "y": _n(y - size.along / 2)}
    out.append(_tag("rect", **frame, width=_n(size.across), height=_n(size.along), class_="page"))
    soft = "small" if edge.needed else "small out"
    out += [_text(line, x, first + 16 * at, soft) for at, line in enumerate(lines)]
    return [*out, "</g>"]


def _box(node: Node, lines: Sequence[str], size: Box, x: float, y: float) -> list[str]:
    left, upper = x - size.across / 2, y - size.along / 2
    state = node.outcome.state
    frame = {"x": _n(left), "y": _n(upper), "width": _n(size.across), "height": _n(size.along)}
    kinds = _kinds("node", node) + (" target" if node.target else "")
    out = ["<g>", _title(tooltip(node))]
    out.append(_tag("rect", **frame, rx=_n(size.along / 2 if node.kind == "image" else 5), class_=kinds))
    if state in ("ran", "cached", "failed"):
        bar = {"x": _n(left + 5), "y": _n(upper + 6), "width": _n(_BAR), "height": _n(size.along - 12)}
        out.append(_tag("rect", **bar, rx=2, class_=f"fill {state}"))
    soft = "" if node.needed else " out"
    first = upper + 20
    for at, line in enumerate(lines):
        out.append(_text(line, x, first + 16 * at, ("small" if at else "name") + soft))
    return [*out, "</g>"]


def _rules(colours: dict[str, str]) -> list[str]:
    page, text, soft, line, box = (colours[name] for name in ("page", "text", "soft", "line", "box"))
    critical = colours["critical"]
    rules = [
        f".page{{fill:{page}}}",
        f"text{{fill:{text}}}",
        f".small{{fill:{soft}}}",
        f"text.out{{fill:{soft}}}",
        f".node{{fill:{box};stroke:{line}}}",
        f".image,.context{{fill:{page}}}",
        f".target{{stroke:{text}}}",
        f".edge{{stroke:{line}}}",
        f".head{{fill:{line}}}",
        f".node.critical,.edge.critical{{stroke:{critical}}}",
        f".head.critical{{fill:{critical}}}",
        f".fill.critical{{fill:{critical}}}",
    ]
    return rules + [f".fill.{name}{{fill:{colours[name]}}}" for name in ("ran", "cached", "failed")]


def _file(picture: Picture, width: float, height: float, body: Sequence[str]) -> str:
    size = f"{_n(width)} {_n(height)}"
    style = [
        f"text{{font-family:{_FONT};text-anchor:middle}}",
        f".name{{font-size:{_NAME}px;font-weight:600}}",
        f".small,.title{{font-size:{_SMALL}px}}",
        ".title{font-weight:600}",
        ".left{text-anchor:start}",
        ".node{stroke-width:1.2}",
        ".target{stroke-width:2.4}",
        ".edge{fill:none;stroke-width:1.3;stroke-linejoin:round}",
        ".mount{stroke-dasharray:2 3}",
        ".out{stroke-dasharray:5 4}",
        ".critical{stroke-width:2.4}",
        ".head{stroke-dasharray:none}",
        *_rules(_LIGHT),
        "@media (prefers-color-scheme:dark){",
        *_rules(_DARK),
        "}",
    ]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}"'
        f' viewBox="0 0 {size}" role="img">',
        _title(summary(picture)[0]),
        "<style>",
        *style,
        "</style>",
        _tag("rect", width="100%", height="100%", class_="page"),
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
