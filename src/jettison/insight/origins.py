"""Which instruction made each layer of an image, and from which stage its files came.

Image documents do not say it, so it is remembered beside an image that is built into the local store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jettison.dataclass import dataclass
from jettison.errors import UsageError
from jettison.graph.ops import CopyOp, GitOp, HttpOp, SourceOp
from jettison.graph.vertex import BuildGraph, Target, Vertex
from jettison.location import Location
from jettison.oci import reference
from jettison.store.database import Database

CONTEXT = "build context"
_NAME = "origins of "


@dataclass(frozen=True, slots=True)
class Step:
    """What made one layer: the instruction's text, the stage it stands in, and where.

    `source` is what its files came from: a stage, an image, the build context, a URL; "" is not known.
    """

    text: str
    stage: str = ""
    source: str = ""
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Origins:
    """The steps of an image's layers above those of its base image.

    `base_layers` came with the image `base`. `copied_from` has the layers of the stages that files
    were copied from, by the stage's name.
    """

    base: str
    base_layers: int
    steps: tuple[Step, ...]
    copied_from: tuple[tuple[str, tuple[str, ...]], ...] = ()


def origins_of(graph: BuildGraph, target: Target, layers: Mapping[str, tuple[str, ...]]) -> Origins:
    """The origins of a target's layers. `layers` are the known results of the graph's vertices."""
    steps: list[Step] = []
    copied_from: dict[str, tuple[str, ...]] = {}
    base = ""
    name = target.vertex
    while name:
        vertex = graph.vertices[name]
        if isinstance(vertex.op, SourceOp):
            base = _image(vertex)
            break
        source = _source(graph, vertex)
        steps.append(Step(_text(vertex), vertex.stage, _label(vertex, source), vertex.location))
        if source is not None and source.stage and not isinstance(source.op, (SourceOp, HttpOp, GitOp)):
            copied_from.setdefault(source.stage, layers.get(source.id, ()))
        name = vertex.base
    known = tuple((stage, ids) for stage, ids in copied_from.items() if ids)
    return Origins(base, target.base_layers, tuple(steps[::-1]), known)


def _text(vertex: Vertex) -> str:
    """The instruction, of a name like `[builder 2/4] RUN make`."""
    return " ".join(vertex.name.partition("] ")[2].split())


def _image(vertex: Vertex) -> str:
    """The name of an image as people write it; a named context keeps its own."""
    name = _text(vertex).removeprefix("FROM ")
    try:
        return reference.parse(name).familiar()
    except UsageError:
        return name


def _source(graph: BuildGraph, vertex: Vertex) -> Vertex | None:
    """The step whose files a COPY or ADD reads."""
    op = vertex.op
    if not isinstance(op, CopyOp) or op.context is not None or not op.paths:
        return None
    given = vertex.inputs[op.has_base :]
    return graph.vertices[given[0]] if given else None


def _label(vertex: Vertex, source: Vertex | None) -> str:
    op = vertex.op
    if source is not None:
        if isinstance(source.op, SourceOp):
            return _image(source)
        return source.op.url if isinstance(source.op, (HttpOp, GitOp)) else source.stage
    if not isinstance(op, CopyOp):
        return vertex.stage
    if op.context:
        return f"{CONTEXT} {op.context}"
    return "Dockerfile" if op.files and not op.paths else CONTEXT


def remember(db: Database, manifest_digest: str, origins: Origins) -> None:
    """Keep the origins of an image for as long as the store has a name for it."""
    value = {
        "base": origins.base,
        "base_layers": origins.base_layers,
        "steps": [_step_json(step) for step in origins.steps],
        "copied_from": origins.copied_from,
    }
    with db.transaction():
        db.write(
            "DELETE FROM remembered WHERE substr(name, 1, ?1) = ?2"
            " AND substr(name, ?1 + 1) NOT IN (SELECT manifest FROM images)",
            (len(_NAME), _NAME),
        )
        row = (_NAME + manifest_digest, json.dumps(value))
        db.write("INSERT OR REPLACE INTO remembered VALUES (?, ?)", row)


def recall(db: Database, manifest_digest: str) -> Origins | None:
    """The origins of an image that was built here, or None."""
    rows = db.read("SELECT value FROM remembered WHERE name = ?", (_NAME + manifest_digest,))
    if not rows:
        return None
    value = json.loads(rows[0][0])
    return Origins(
        value["base"],
        value["base_layers"],
        tuple(_step(item) for item in value["steps"]),
        tuple((stage, tuple(ids)) for stage, ids in value["copied_from"]),
    )


def _step_json(step: Step) -> list[Any]:
    at = step.location
    place = None if at is None else (at.path, at.first_line, at.last_line)
    return [step.text, step.stage, step.source, place]


def _step(item: Sequence[Any]) -> Step:
    text, stage, source, place = item
    return Step(text, stage, source, None if place is None else Location(*place))
