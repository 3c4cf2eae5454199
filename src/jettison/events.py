"""What a build says while it runs. Events are plain data, stamped once, and passed to an `Emit`.

`at` is in seconds since the epoch. `step` is the vertex's short id: it joins the
events of one step. Every event becomes one line of `--progress jsonl`.
"""

from __future__ import annotations

from collections.abc import Callable

from jettison.dataclass import dataclass
from jettison.location import Location


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""

    at: float


@dataclass(frozen=True, slots=True)
class BuildStarted(Event):
    """The graph is known: what will be built, and what is left out."""

    targets: tuple[str, ...]
    steps: int
    skipped: tuple[str, ...]
    """Names of stages that no target needs."""


@dataclass(frozen=True, slots=True)
class BaseResolved(Event):
    """A base image was found. `origin` says where: named context, local store or a registry."""

    name: str
    digest: str
    origin: str


@dataclass(frozen=True, slots=True)
class ContextFetched(Event):
    """A build context that is no folder was brought here. `name` is "" for the main one.

    `origin` is its address, without a password; `version` the git commit, or the digest of what was
    downloaded ("" for files); `size` counts the bytes downloaded (0: unknown).
    """

    name: str
    origin: str
    version: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step begins to run."""

    step: str
    name: str
    stage: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class StepOutput(Event):
    """A piece of what a step's process wrote, exactly as it came. `stream` is 1 or 2."""

    step: str
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StepProgress(Event):
    """How far a download, an unpacking or an upload is. Bytes; `total` is 0 where nobody knows."""

    step: str
    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """A step ended. `seconds` is what it took; `error` is empty when it went well."""

    step: str
    name: str
    stage: str
    cached: bool
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepExplained(Event):
    """Why a step ran, with `explain`: sentences, the first one to look at first.

    `kinds` has one word for each sentence, for programs: `why.base.Reason` lists them.
    """

    step: str
    name: str
    stage: str
    location: Location | None
    reasons: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsolationChosen(Event):
    """How RUN is kept apart, told when the first one begins.

    `isolation` is the rung, as --isolation takes it.
    `sandbox` is the runtime or sandbox, `identity` who the build is: root, rootless, single-id. `reason`
    says why it is no better one: "" for the best, and for one that was `asked_for`.
    """

    isolation: str
    sandbox: str
    identity: str
    reason: str
    asked_for: bool = False


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something that deserves a look but stops nothing."""

    message: str
    location: Location | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Exported(Event):
    """A result is where it was asked for. `size` counts the bytes of its compressed layers."""

    target: str
    kind: str
    destination: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class BuildFinished(Event):
    """The build is over, well or not."""

    seconds: float
    ran: int
    cached: int
    error: str = ""


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `Emit` for whoever does not want to know."""
