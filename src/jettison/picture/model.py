"""What a picture shows: stages, what they begin with, who reads what, and what the last build made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from jettison.dataclass import dataclass, replace
from jettison.dockerfile.instructions import Add, Copy, Instruction, Run, Workdir
from jettison.errors import GraphError
from jettison.graph.stages import Origin, StageGraph, StagePlan, check_base
from jettison.picture.words import shown
from jettison.platforms import Platform

State = Literal["", "cached", "ran", "failed", "changed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stage in the last build. `seconds` and `size` are None where nothing is known.

    `changed`: the stage has steps by now that were not built; "": the build did not come to it.
    `seconds` is what its steps took when they ran, `size` the bytes of their files.
    """

    state: State = ""
    seconds: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class LastBuild:
    """The last build: when it was, in seconds since the epoch, and what became of each stage, by node id.

    `critical` are the ids of the stages with the steps that waited for each other longest, and `seconds`
    what these steps took together.
    """

    at: float
    outcomes: Mapping[str, Outcome]
    critical: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """A stage, or a base image or named context that stages read. Every text is safe to show.

    `line` is that of the FROM; `platform` is set where it is not the build's. `problem` is why a stage
    that is left out could not be built.
    """

    id: str
    kind: Literal["stage", "image", "context"]
    name: str
    line: int = 0
    steps: int = 0
    scratch: bool = False
    platform: str = ""
    target: bool = False
    needed: bool = False
    critical: bool = False
    problem: str = ""
    outcome: Outcome = Outcome()


@dataclass(frozen=True, slots=True)
class Edge:
    """`reader` is based on `source`, copies from it, or mounts it; `paths` are (path, destination)."""

    source: str
    reader: str
    kind: Literal["from", "copy", "mount"]
    paths: tuple[tuple[str, str], ...] = ()
    needed: bool = False
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. What is read comes before its readers in `nodes`."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    last: LastBuild | None = None

    @property
    def targets(self) -> list[Node]:
        return [node for node in self.nodes if node.target]

    @property
    def left_out(self) -> list[Node]:
        """The stages that no target needs."""
        return [node for node in self.nodes if node.kind == "stage" and not node.needed]


def draw_up(
    title: str,
    stages: StageGraph,
    targets: Sequence[StagePlan],
    triggers: Mapping[int, Sequence[Instruction]],
    platform: Platform,
) -> Picture:
    """The picture of a stage graph. `triggers` are the ONBUILD instructions of base images, as far as known.

    Raises GraphError as a build would: for what the targets need.
    """
    roots = {plan.stage.index for plan in targets}
    needed = stages.needed(roots, triggers)
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for plan in stages.plans:
        index = plan.stage.index
        inside = index in needed
        problem = ""
        reads: list[_Read] = []
        try:
            check_base(plan)
            reads = _reads(stages, plan, triggers.get(index, ()))
        except GraphError as error:
            if inside:
                raise
            problem = error.message
        own = f"stage{index}"
        for read in reads:
            source = _source(nodes, read.origin, plan, platform, inside)
            edges.append(Edge(source, own, read.kind, read.paths, inside))
        nodes[own] = Node(
            own,
            "stage",
            shown(plan.label),
            line=plan.stage.location.first_line,
            steps=sum(isinstance(item, (Add, Copy, Run, Workdir)) for item in plan.stage.instructions),
            scratch=plan.base.kind == "scratch",
            platform=str(plan.platform) if plan.platform != platform else "",
            target=index in roots,
            needed=inside,
            problem=shown(problem),
        )
    return Picture(shown(title), tuple(nodes.values()), tuple(_merged(edges)))


@dataclass(frozen=True, slots=True)
class _Read:
    origin: Origin
    kind: Literal["from", "copy", "mount"]
    paths: tuple[tuple[str, str], ...] = ()


def _reads(stages: StageGraph, plan: StagePlan, extra: Sequence[Instruction]) -> list[_Read]:
    out = [_Read(plan.base, "from")]
    for item in (*stages.triggers(plan), *extra, *plan.stage.instructions):
        if isinstance(item, Copy) and item.from_:
            origin = stages.source(item.from_, plan, item.location)
            paths = tuple((shown(path), shown(item.dest)) for path in item.sources)
            out.append(_Read(origin, "copy", paths))
        elif isinstance(item, Run):
            for mount in item.mounts:
                if mount.from_:
                    origin = stages.source(mount.from_, plan, item.location)
                    path = (shown(mount.source or "/"), shown(mount.target))
                    out.append(_Read(origin, "mount", (path,)))
    return [read for read in out if read.origin.kind != "scratch"]


def _source(nodes: dict[str, Node], origin: Origin, plan: StagePlan, platform: Platform, needed: bool) -> str:
    """The id of the node that is read; of images and contexts it is made when they come up first."""
    if origin.kind == "stage":
        return f"stage{origin.index}"
    other = str(plan.platform) if plan.platform != platform and origin.kind == "image" else ""
    name = shown(origin.name)
    kind: Literal["image", "context"] = "context" if origin.kind == "context" else "image"
    for node in nodes.values():
        if (node.kind, node.name, node.platform) == (kind, name, other):
            nodes[node.id] = replace(node, needed=node.needed or needed)
            return node.id
    own = f"base{sum(node.kind != 'stage' for node in nodes.values())}"
    nodes[own] = Node(own, kind, name, platform=other, needed=needed)
    return own


def _merged(edges: Sequence[Edge]) -> list[Edge]:
    """One edge for all that a stage copies from another, and one for all that it mounts."""
    out: dict[tuple[str, str, str], Edge] = {}
    for edge in edges:
        key = (edge.source, edge.reader, edge.kind)
        known = out.get(key)
        paths = dict.fromkeys((*(known.paths if known else ()), *edge.paths))
        out[key] = replace(edge, paths=tuple(paths))
    return list(out.values())


def coloured(picture: Picture, last: LastBuild) -> Picture:
    """The picture with what the last build made of each stage, and with the critical path."""
    path = set(last.critical)
    steps = set(pairwise(last.critical))
    nodes = (
        replace(node, outcome=last.outcomes.get(node.id, Outcome()), critical=node.id in path)
        for node in picture.nodes
    )
    edges = (replace(edge, critical=(edge.source, edge.reader) in steps) for edge in picture.edges)
    return replace(picture, nodes=tuple(nodes), edges=tuple(edges), last=last)
