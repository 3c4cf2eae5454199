"""A build as the history keeps it: its steps with their times, and what else took time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from jettison.dataclass import dataclass, fields
from jettison.store.rows import row_of

BuildState = Literal["running", "done", "failed", "cancelled", "killed"]
"""`running` is what the store says until the build ends; `killed`: it ended without a word."""

StepState = Literal["cached", "ran", "failed", "cancelled", "running"]


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step. `number` is the one that plain progress shows; `id` the one that events have.

    `started` and `ended` are seconds since the build began. `size` counts the bytes of the files that it
    added, `log` those that it wrote. `inputs` are ids of steps. `result` is the layer that it made, or "".
    """

    number: int
    id: str
    name: str
    stage: str
    lines: tuple[int, int]
    state: StepState
    started: float
    ended: float
    size: int
    inputs: tuple[str, ...]
    error: str
    log: int
    result: str = ""

    @property
    def seconds(self) -> float:
        """What it took."""
        return self.ended - self.started

    @property
    def text(self) -> str:
        """The instruction as it stands in the Dockerfile, in one line."""
        return " ".join(self.name.partition("] ")[2].split())

    @property
    def kind(self) -> str:
        """Which instruction it is."""
        return self.text.partition(" ")[0].lower()


@dataclass(frozen=True, slots=True)
class Span:
    """What took time beside or around the steps. `kind`: plan, look up, download or export.

    `step` is the id of the step that it was for, or "". Times as those of steps; `size` in bytes.
    """

    kind: str
    name: str
    step: str
    started: float
    ended: float
    size: int


@dataclass(frozen=True, slots=True)
class PastBuild:
    """A build. `at` is in seconds since the epoch; `folder` its context, `file` its Dockerfile.

    `why` is its number among the builds that `jettison why` knows, 0 if it is not there.
    """

    number: int
    at: float
    seconds: float
    folder: str
    file: str
    targets: tuple[str, ...]
    state: BuildState
    ran: int
    cached: int
    error: str
    why: int
    steps: tuple[PastStep, ...] = ()
    spans: tuple[Span, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return build_name(self.number)


def build_name(number: int) -> str:
    """The name of a build: `b42`."""
    return f"b{number}"


def number_of(text: str) -> int | None:
    """The number of a build's name, None for what is none."""
    found = re.fullmatch(r"b([0-9]{1,15})", text.lower())
    return int(found[1]) if found else None


def steps_to_plain(steps: Sequence[PastStep], spans: Sequence[Span]) -> dict[str, Any]:
    """Steps and spans as plain data."""
    return {
        "steps": [[getattr(step, item.name) for item in fields(step)] for step in steps],
        "spans": [[getattr(span, item.name) for item in fields(span)] for span in spans],
    }


def steps_from_plain(data: dict[str, Any]) -> tuple[tuple[PastStep, ...], tuple[Span, ...]]:
    """What `steps_to_plain` made this of. Raises ValueError when it is damaged."""
    try:
        steps = tuple(row_of(PastStep, row) for row in data["steps"])
        return steps, tuple(row_of(Span, row) for row in data["spans"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no steps and spans: {error}") from error
