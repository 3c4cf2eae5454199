"""Which vertex next: pure data in and out, no threads, clocks or files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from jettison.dataclass import dataclass, field
from jettison.graph.vertex import BuildGraph
from jettison.solver.base import Layers


def needed_vertices(graph: BuildGraph, known: Mapping[str, Layers]) -> set[str]:
    """The vertices that have to be carried out: those under a target, or a stage beside the
    targets, that nothing known stands for.
    """
    roots = [*(target.vertex for target in graph.targets), *(vertex for _, vertex in graph.beside)]
    return needed_below(graph, roots, known)


def needed_below(graph: BuildGraph, roots: Iterable[str], known: Mapping[str, Layers]) -> set[str]:
    """The vertices at and under some roots ("" is none) that nothing known stands for."""
    todo = [name for name in roots if name]
    out: set[str] = set()
    while todo:
        name = todo.pop()
        if name in out or name in known:
            continue
        out.add(name)
        vertex = graph.vertices[name]
        todo += [item for item in (*vertex.inputs, vertex.base) if item]
    return out


def tainted_vertices(graph: BuildGraph) -> set[str]:
    """Forced vertices and all that build on them: their definition keys say nothing about this build."""
    out: set[str] = set()
    for vertex in graph.vertices.values():
        if vertex.forced or vertex.base in out or any(name in out for name in vertex.inputs):
            out.add(vertex.id)
    return out


@dataclass(slots=True)
class SolverState:
    """What is waiting, running and done. `results` holds every known result.

    `start` and `finish` are the only ways in and out: a vertex becomes ready when all its inputs are there.
    """

    graph: BuildGraph
    results: dict[str, Layers]
    waiting: dict[str, int] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    _followers: dict[str, list[str]] = field(default_factory=dict)
    """What waits for a vertex, in the order of the Dockerfile."""
    _broken: set[str] = field(default_factory=set)
    _wanted: set[str] | None = None
    """After a failure: what still is to be brought about."""

    @classmethod
    def begin(cls, graph: BuildGraph, known: Mapping[str, Layers]) -> SolverState:
        """The state before the first step."""
        state = cls(graph, dict(known))
        todo = needed_vertices(graph, known)
        for name in graph.vertices:
            if name in todo:
                missing = [item for item in state._inputs(name) if item in todo]
                for item in missing:
                    state._followers.setdefault(item, []).append(name)
                if missing:
                    state.waiting[name] = len(missing)
                else:
                    state.ready.append(name)
        return state

    def _inputs(self, name: str) -> set[str]:
        vertex = self.graph.vertices[name]
        return {item for item in (*vertex.inputs, vertex.base) if item}

    def start(self) -> str | None:
        """The next vertex to run, or None when none is ready. In the order of the Dockerfile."""
        if not self.ready:
            return None
        name = self.ready.pop(0)
        self.running.add(name)
        return name

    def finish(self, name: str, layers: Layers) -> None:
        """Take in a result; what waited only for it becomes ready."""
        self.running.discard(name)
        self.results[name] = layers
        for waiting in self._followers.get(name, ()):
            if waiting in self.waiting:
                self.waiting[waiting] -= 1
                if not self.waiting[waiting]:
                    del self.waiting[waiting]
                    self.ready.append(waiting)

    def fail(self, name: str, checks: Collection[str]) -> None:
        """Take in a failure: only what `checks` need is left to do, if they can do without what failed."""
        self.running.discard(name)
        self._broken.add(name)
        self._wanted = set()
        for check in checks:
            needed = needed_below(self.graph, [check], self.results)
            if needed.isdisjoint(self._broken):
                self._wanted |= needed
        self.waiting = {item: count for item, count in self.waiting.items() if item in self._wanted}
        self.ready = [item for item in self.ready if item in self._wanted]

    @property
    def given_up(self) -> bool:
        """Whether something failed, and nothing that goes on is wanted in spite of that."""
        if self._wanted is None:
            return False
        return not (self.ready or self.waiting or not self.running.isdisjoint(self._wanted))

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.ready or self.running or self.waiting)
