"""What is known of a stage while it is lowered: its last vertex, its variables, its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jettison.dataclass import dataclass, field, replace
from jettison.digests import digest_of
from jettison.errors import DockerfileError, Problem
from jettison.graph.history import entry
from jettison.graph.ops import GitOp, HttpOp, Op, to_json
from jettison.graph.scope import GlobalScope, StageScope
from jettison.graph.stages import Origin, StageGraph, StagePlan
from jettison.graph.vertex import HistoryStep, Vertex
from jettison.location import Location
from jettison.oci.config import History, ImageConfig
from jettison.platforms import Platform

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MOST_TEXT = 64 << 20
"""Characters of all instructions of a build with their variables replaced."""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """A base image as far as lowering needs it. `digest` is its manifest's."""

    name: str
    config: ImageConfig
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """A URL or git repository that ADD names, to be pinned."""

    url: str
    checksum: str
    keep_git_dir: bool
    unpack: bool | None
    location: Location


@dataclass(frozen=True, slots=True)
class Settings:
    """What the request says about all stages.

    `no_cache` is empty, {"*"}, or stages: LABEL, or LABEL:LINE with an instruction's first line.
    `pin` asks what a URL or a git ref stands for, `stamp` what stands for a secret's value in keys.
    """

    escape: str
    globals: GlobalScope
    platform: Platform
    network: str = "default"
    hosts: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: frozenset[str] = frozenset()
    pin: Callable[[Remote], HttpOp | GitOp] | None = None
    stamp: Callable[[str], str] = lambda name: ""


@dataclass(slots=True)
class Lowering:
    """The vertices made so far, and all that stages are made of. `done` holds finished stages by index."""

    stages: StageGraph
    settings: Settings
    images: Mapping[tuple[str, str], ResolvedImage]
    local_contexts: frozenset[str]
    vertices: dict[str, Vertex] = field(default_factory=dict)
    done: dict[int, StageState] = field(default_factory=dict)
    warnings: list[tuple[str, Location | None]] = field(default_factory=list)
    spent: int = 0
    """Characters of history so far: with what variables stand for, they may be far more than the file has."""

    def spend(self, history: Sequence[HistoryStep], location: Location) -> None:
        """Count what an instruction came to. Raises DockerfileError when it is too much altogether."""
        self.spent += sum(len(step.entry.created_by) for step in history)
        if self.spent > MOST_TEXT:
            size = f"{MOST_TEXT >> 20} Mi characters"
            message = f"all instructions with their variables come to more than {size}"
            hint = "put large values into files"
            raise DockerfileError((Problem(message, location, hint),))

    def add(
        self,
        op: Op,
        inputs: tuple[str, ...],
        base: str,
        state: StageState,
        text: str,
        location: Location | None,
    ) -> str:
        """Add a vertex and give its id; an equal one is there only once."""
        vertex_id = digest_of([to_json(op), list(inputs)])
        # Counted also where the step is another stage's already: its successors keep their numbers.
        name = f"[{state.plan.label} {state.number()}] {text}"
        known = self.vertices.get(vertex_id)
        if known is None or not known.forced:
            label = state.plan.label
            forced = bool(self.settings.no_cache) and op.TYPE != "source" and self._forced(label, location)
            if known is None:
                self.vertices[vertex_id] = Vertex(vertex_id, op, inputs, base, name, label, location, forced)
            elif forced:
                self.vertices[vertex_id] = replace(known, forced=True)
        return vertex_id

    def _forced(self, label: str, location: Location | None) -> bool:
        line = location.first_line if location else 0
        return not self.settings.no_cache.isdisjoint(("*", label, f"{label}:{line}"))

    def resolved(self, origin: Origin, platform: Platform) -> ResolvedImage:
        """The image that was found for an origin before lowering began."""
        return self.images[origin.name, str(platform)]


@dataclass(slots=True)
class StageState:
    """One stage. `vertex` is the id of its last step ("" is an empty root filesystem).

    `arguments` are the build arguments in force, for the history; `own_cmd` says that CMD was set here.
    """

    plan: StagePlan
    scope: StageScope
    config: dict[str, Any]
    steps: int
    vertex: str = ""
    author: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    own_cmd: bool = False
    step: int = 0
    base_history: tuple[History, ...] = ()
    base_layers: int = 0
    base_extra: dict[str, Any] = field(default_factory=dict)
    history: list[HistoryStep] = field(default_factory=list)

    def number(self) -> str:
        """The step about to be made, as in `2/6`."""
        self.step += 1
        return f"{self.step}/{self.steps}"

    def record(self, created_by: str, vertex: str = "") -> None:
        """Add a history entry; `vertex` is the step whose layer it stands for, if any."""
        item = entry(created_by, empty=not vertex, author=self.author)
        self.history.append(HistoryStep(item, vertex))

    @property
    def workdir(self) -> str:
        return str(self.config.get("WorkingDir") or "/")

    @property
    def shell(self) -> tuple[str, ...]:
        return tuple(self.config.get("Shell") or ("/bin/sh", "-c"))


def empty_config() -> dict[str, Any]:
    """The configuration that a stage on nothing starts with."""
    return {"Env": [DEFAULT_PATH]}
