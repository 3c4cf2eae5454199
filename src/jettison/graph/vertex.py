"""The build graph: vertices, one per step, and what each target becomes."""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.graph.ops import Op
from jettison.location import Location
from jettison.oci.config import History, ImageConfig


@dataclass(frozen=True, slots=True)
class Vertex:
    """One step.

    `id` is the digest of the op and the inputs' ids: two steps that are equal all
    the way down are one vertex. `inputs` are ids of vertices whose results the op
    reads. `base` is the vertex on whose layers the result is stacked ("" for
    none): for most ops also inputs[0], for `COPY --link` not an input at all.
    """

    id: str
    op: Op
    inputs: tuple[str, ...]
    base: str
    name: str
    stage: str
    location: Location | None
    forced: bool = False
    """Run even if the cache knows the result (--no-cache)."""

    @property
    def short(self) -> str:
        """The id that events and logs use."""
        return short_id(self.id)


def short_id(vertex: str) -> str:
    """The id that events and logs use for a vertex."""
    return vertex.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One entry of an image's history; `vertex` is the step that made its layer, or "" for none."""

    entry: History
    vertex: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a requested stage becomes: the vertex with its files, its configuration and history.

    `base_history` came with the base image and is kept as it is.
    """

    name: str
    vertex: str
    config: ImageConfig
    base_history: tuple[History, ...]
    history: tuple[HistoryStep, ...]
    base_layers: int


@dataclass(frozen=True, slots=True)
class BuildGraph:
    """All that will be built. `vertices` is in topological order: inputs come first."""

    vertices: dict[str, Vertex]
    targets: tuple[Target, ...]
    skipped: tuple[str, ...]
    """Names of stages that are not built."""
    beside: tuple[tuple[str, str], ...] = ()
    """Stages that are built although they are no targets: label and last vertex ("" for an empty one)."""
    warnings: tuple[tuple[str, Location | None], ...] = ()

    def consumers(self) -> dict[str, list[str]]:
        """For every vertex the ids of those that read it or stack on it."""
        out: dict[str, list[str]] = {name: [] for name in self.vertices}
        for vertex in self.vertices.values():
            for name in dict.fromkeys((*vertex.inputs, vertex.base)):
                if name:
                    out[name].append(vertex.id)
        return out
