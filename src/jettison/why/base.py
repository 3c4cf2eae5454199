"""What is kept of a build for explanations, and what an explanation is."""

from __future__ import annotations

from typing import Any

from jettison.dataclass import dataclass, field, fields
from jettison.store.rows import row_of


@dataclass(frozen=True, slots=True)
class Step:
    """One vertex of a build, as far as another build is compared with it.

    `state` is "cached", "ran", "failed", "unsure" (ran, but files changed meanwhile) or "" (not reached);
    `result` stands for its layers ("" for none), `content` for the context files it reads, and `read` are
    the inputs of its content key. `forced` is the option that made it run.
    """

    id: str
    stage: str
    name: str
    lines: tuple[int, int]
    op: dict[str, Any]
    key: str
    inputs: tuple[str, ...]
    state: str
    result: str
    content: str = ""
    read: tuple[Any, ...] = ()
    forced: str = ""
    image: str = ""
    """The digest of a base image."""

    @property
    def text(self) -> str:
        """The instruction as it stands in the Dockerfile, in one line."""
        return " ".join(self.name.partition("] ")[2].split())

    @property
    def kind(self) -> str:
        """Which type of op it has."""
        return str(self.op["type"])

    @property
    def ran(self) -> bool:
        """Whether it was carried out. Base images are not: they are fetched."""
        return self.state in ("ran", "failed", "unsure") and self.op["type"] != "source"


@dataclass(frozen=True, slots=True)
class Build:
    """A build in which something ran. `at` is in seconds since the epoch, `steps` are in building order.

    `folder` is its context, `file` its Dockerfile. `values` are the variables that each stage sets, as
    {stage: {NAME: ("ARG" or "ENV", value)}}; the stage "" holds what stands before the first FROM.
    """

    at: float
    folder: str
    file: str
    generation: int
    values: dict[str, dict[str, tuple[str, str]]]
    steps: tuple[Step, ...]
    by_id: dict[str, Step] = field(default_factory=dict)
    by_key: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_id.update((step.id, step) for step in self.steps)
        self.by_key.update((step.key, step) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Reason:
    """One input that differed, in words. `kind` is for programs.

    Kinds: new, forced, command, argument, option, file, base, image, remote, platform, removed,
    failed, changing, generation, secret. `root` is the step that is to blame, where that is another one.
    """

    kind: str
    text: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """A step that ran, with the reasons for it; the first is the one to look at."""

    step: Step
    reasons: tuple[Reason, ...]


_KEPT = ("at", "folder", "file", "generation", "values")
"""Fields of a build that are plain data already."""


def to_plain(build: Build) -> dict[str, Any]:
    """A build as plain data."""
    out = {name: getattr(build, name) for name in _KEPT}
    out["steps"] = [[getattr(step, item.name) for item in fields(step)] for step in build.steps]
    return out


def from_plain(data: dict[str, Any]) -> Build:
    """The build that `to_plain` made this of. Raises ValueError when it is damaged."""
    try:
        steps = tuple(row_of(Step, row) for row in data["steps"])
        pairs = [pair for stage in data["values"].values() for pair in stage.values()]
        types = [step.op["type"] for step in steps]
        if any(len(pair) != 2 for pair in pairs) or not all(isinstance(name, str) for name in types):
            raise ValueError("no steps with their variables")
        return row_of(Build, [*(data[name] for name in _KEPT), steps])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no build: {error}") from error
