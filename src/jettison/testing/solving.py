"""A cache and an executor in memory, to try the solver without files or processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from jettison.cache.key import CacheKey
from jettison.dataclass import dataclass, field
from jettison.graph.vertex import Vertex
from jettison.solver.base import Built, Hit, Known, Layers


@dataclass(slots=True)
class MemoryCache:
    """Results by key, in a dict."""

    hits: dict[str, Hit] = field(default_factory=dict)

    def find(self, keys: list[str]) -> dict[str, Hit]:
        return {key: self.hits[key] for key in keys if key in self.hits}

    def save(self, keys: list[CacheKey], layers: Layers, seconds: float, created: float | None) -> float:
        stamp = time.time() if created is None else created
        for key in keys:
            self.hits[key.digest] = Hit(layers, stamp, seconds)
        return stamp


@dataclass(slots=True)
class ScriptedExecutor:
    """Carries out every vertex by a function of its name; `ran` lists what ran, in order of starting.

    A vertex's result is its base's layers and one more, named by what `act` gives (by default, by its id).
    `contexts` gives a vertex's context digest by its name; the files of `changing` ones change meanwhile.
    """

    act: Callable[[Vertex], str | None] = lambda vertex: None
    contexts: Mapping[str, str] = field(default_factory=dict)
    changing: frozenset[str] = frozenset()
    ran: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def context_digest(self, vertex: Vertex, base: Known) -> str:
        return self.contexts.get(vertex.name, "")

    def known(self, vertex: Vertex) -> Layers | None:
        return None

    def content_inputs(self, vertex: Vertex, inputs: dict[str, Layers]) -> tuple[Layers | str, ...]:
        return (*(inputs[name] for name in vertex.inputs), self.context_digest(vertex, lambda: None))

    def execute(self, vertex: Vertex, inputs: dict[str, Layers]) -> Built:
        with self._lock:
            self.ran.append(vertex.name)
        layer = self.act(vertex)
        base = inputs[vertex.base] if vertex.base else ()
        return Built((*base, vertex.short if layer is None else layer), vertex.name not in self.changing)

    def exclusive(self, key: str) -> AbstractContextManager[bool]:
        @contextmanager
        def nobody_else() -> Iterator[bool]:
            yield False

        return nobody_else()
