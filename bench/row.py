"""What a row of the table is, and the scale of the work."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.builder import Builder
from bench.image import Base, Facts


@dataclass(frozen=True)
class Scale:
    """How much is done. The quick one only shows that the bench itself works."""

    name: str
    rounds: int
    noop_rounds: int
    steps: int
    files: int
    total: int
    stages: int
    seconds: int
    copied: int
    copied_total: int
    base_files: int
    base_total: int
    pushed: int
    seeds: tuple[str, ...]
    growth: tuple[int, ...]


FULL = Scale(
    name="full", rounds=3, noop_rounds=15, steps=40, files=50_000, total=400_000_000, stages=6, seconds=2,
    copied=20_000, copied_total=100_000_000, base_files=10_000, base_total=300_000_000, pushed=100_000_000,
    seeds=("java-distroless", "node-multistage", "node-single", "tester"),
    growth=(50_000, 250_000, 500_000),
)  # fmt: skip
QUICK = Scale(
    name="quick", rounds=1, noop_rounds=1, steps=3, files=200, total=1_000_000, stages=2, seconds=1,
    copied=200, copied_total=500_000, base_files=100, base_total=1_000_000, pushed=100_000, seeds=(),
    growth=(500, 1_000, 2_000),
)  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """What all rows share: a folder, the scale, a small base image, the builders, what to close."""

    work: Path
    scale: Scale
    base: Base
    builders: list[Builder]
    stack: ExitStack


def nothing(builder: Builder) -> None:
    """No preparation."""


@dataclass(frozen=True)
class Row:
    """One row.

    For each builder `prepare` comes once, and `before` before each round; neither is timed.
    `measure` gives the figure: seconds, or bytes. `facts` reads the first round's result, which must
    be what `expect` says. `reach` is the most that jettison's figure divided by BuildKit's may be
    or, with `absolute`, the most that the figure itself may be.
    """

    name: str
    says: str
    reach: float | None
    rounds: int
    measure: Callable[[Builder], float]
    prepare: Callable[[Builder], None] = nothing
    before: Callable[[Builder], object] = nothing
    facts: Callable[[Builder], Facts] | None = None
    expect: Facts = field(default_factory=Facts)
    limit: Callable[[], object] | None = None
    limit_says: str = ""
    unit: str = "s"
    absolute: bool = False
    archive: bool = False
    only: tuple[str, ...] = ()
    details: dict[str, float] = field(default_factory=dict)


def seconds(work: Callable[[Builder], object]) -> Callable[[Builder], float]:
    """Time some work."""

    def measure(builder: Builder) -> float:
        start = time.perf_counter()
        work(builder)
        return time.perf_counter() - start

    return measure


def folder(path: Path, dockerfile: str) -> Path:
    """A context with its Dockerfile."""
    path.mkdir(parents=True)
    (path / "Dockerfile").write_text(dockerfile)
    return path
