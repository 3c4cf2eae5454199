"""The seams of the solver: what it needs of a cache and of an executor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from jettison.cache.key import CacheKey
from jettison.dataclass import dataclass
from jettison.graph.vertex import Vertex

Layers = tuple[str, ...]
"""Ids of layers, lowest first: the result of a vertex is a stack of them."""


Known = Callable[[], Layers | None]
"""Gives a result if it is known before anything has run."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A result that is known already. `created` is when it was made, in seconds since the epoch.

    `seconds` is what that took, `size` the bytes of the files that the step added.
    """

    layers: Layers
    created: float
    seconds: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """What carrying out a vertex gave: the whole stack of layers.

    `sure` is False when files changed while they were read: the result is good for this
    build, but its keys speak of something else. `size` counts the bytes of the files that it added.
    """

    layers: Layers
    sure: bool = True
    size: int = 0


class Cache(Protocol):
    """Results by key."""

    def find(self, keys: list[str]) -> dict[str, Hit]:
        """What is known of some keys."""

    def save(self, keys: list[CacheKey], layers: Layers, seconds: float, created: float | None) -> float:
        """Remember a result, made just now or at `created`; give the time it is stamped with."""


class Executor(Protocol):
    """Carries out vertices. Called from several threads."""

    def context_digest(self, vertex: Vertex, base: Known) -> str:
        """A digest of what the vertex reads of build contexts, or "" when it reads none.

        `base` gives what the vertex is stacked on, for an executor that would go ahead.
        """

    def known(self, vertex: Vertex) -> Layers | None:
        """The result, where it needs no work to know it (a base image's layers)."""

    def content_inputs(self, vertex: Vertex, inputs: dict[str, Layers]) -> tuple[Layers | str, ...]:
        """For the content key: of each input its layers, or a digest of just what the vertex reads of it."""

    def execute(self, vertex: Vertex, inputs: dict[str, Layers]) -> Built:
        """Carry the vertex out."""

    def exclusive(self, key: str) -> AbstractContextManager[bool]:
        """A lock on a step, shared with other processes: who waits finds the result in the cache after."""
