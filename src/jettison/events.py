"""What a build says while it runs. Events are plain data, stamped once, and passed to an `Emit`.

`at` is in seconds since the epoch. `step` is the vertex's short id: it joins the
events of one step. Every event becomes one line of `--progress jsonl`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from jettison.dataclass import dataclass
from jettison.location import Location

CONTEXT, READ, PACK, EXPORT, PUSH = "context", "read", "pack", "export", "push"
"""What `StepProgress` has in place of a step's id."""
ASIDE = frozenset({CONTEXT, READ, PACK, EXPORT, PUSH})
COPYING = "copying"
"""What `StepProgress` has as the label of a step's own files; those of what it downloads are others."""
_FIRST = 0.2
"""Seconds that something takes before it is told how far it is: of what is over by then nobody hears."""
_PACE = 0.1
"""Seconds between two events about one thing."""
_LOOK = 1 << 18
"""Bytes between two looks at the clock."""


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
    checks: tuple[str, ...] = ()
    """Names of stages that are built as checks."""


@dataclass(frozen=True, slots=True)
class BuildNamed(Event):
    """The first step has something to do: the history has this build from now on, under this name.

    `logs` is the folder that the logs of its steps are in.
    """

    build: str
    logs: str


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
    """How far a download, a copy, an export or an upload is. Bytes; `total` is 0 where nobody knows.

    `label` says of what: the digest of a layer that is downloaded, or "copying" for the files of a COPY or
    ADD. `step` is "context" for a build context that is fetched, "read" for files that are looked at to know
    whether a step has to run, "pack" for a layer that is compressed beside the steps, "export" for a result
    that is written, "push" for an image that goes to a registry.
    """

    step: str
    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StepRetried(Event):
    """A RUN failed with `error` and begins again, on a clean layer. `left` is how many more tries it has.

    `tries` is how many it has altogether, `exit_code` the status that the last one ended with.
    """

    step: str
    name: str
    stage: str
    error: str
    left: int
    tries: int = 0
    exit_code: int = 0

    @property
    def mark(self) -> str:
        """What stands between the output of two tries."""
        return f"try {self.tries - self.left + 1} of {self.tries}, after exit code {self.exit_code}"


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """A step ended. `seconds` is what it took; `error` is empty when it went well.

    `size` counts the bytes of the files that it added. `inputs` are the steps that it needed.
    With `cancelled` it had no time to end by itself.
    """

    step: str
    name: str
    stage: str
    cached: bool
    seconds: float
    error: str = ""
    size: int = 0
    inputs: tuple[str, ...] = ()
    cancelled: bool = False


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
class CheckFinished(Event):
    """What came of a check stage, told when all of them are over and their artifacts are copied out.

    `seconds` is what its own steps took, `cached` says that none of them had to run. `error` is "" where
    `ok` is set. `reports` counts the JUnit files among its artifacts; `tests`, `failures`, `errors` and
    `skipped` the test cases in them; `test_seconds` is what those took by their own account. `failing`
    has a line for each of the first that did not pass.
    """

    stage: str
    ok: bool
    seconds: float
    cached: bool
    error: str = ""
    reports: int = 0
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    test_seconds: float = 0.0
    failing: tuple[str, ...] = ()


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
    """The build is over, well or not. `build` is its name in the history, "" if nothing was to be done."""

    seconds: float
    ran: int
    cached: int
    error: str = ""
    build: str = ""


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `Emit` for whoever does not want to know."""


Told = Callable[[int], None]
"""Is told how many bytes have just been read or written."""


class Pace:
    """Tells how far something is: once it has taken a moment, or `at_once`, and ten times a second at most.

    `total` counts the bytes there will be, 0 while nobody knows; a function is asked when it is first told
    of. Any thread may call the methods.
    """

    __slots__ = ("_emit", "_label", "_lock", "_look_at", "_next", "_step", "_told", "done", "total")

    def __init__(
        self,
        emit: Emit,
        step: str,
        label: str,
        total: int | Callable[[], int] = 0,
        at_once: bool = False,
    ) -> None:
        self.done = 0
        self.total = total
        self._emit, self._step, self._label = emit, step, label
        self._next = time.monotonic() + (0.0 if at_once else _FIRST)
        self._look_at = 0
        self._told = False
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """So many more bytes are done; 0 says that it goes on."""
        self.done += size
        # Tens of thousands of small files are counted; the clock is looked at for some of them.
        if self.done >= self._look_at or not size:
            self._look()

    def reach(self, done: int, total: int) -> None:
        """So many bytes are done now, of so many."""
        self.done, self.total = done, total
        self._look()

    def end(self) -> None:
        """All is done. Who heard of it before hears of that too."""
        with self._lock:
            if self._told:
                self._tell(self.done)

    def _look(self) -> None:
        with self._lock:
            self._look_at = self.done + _LOOK
            now = time.monotonic()
            if now >= self._next:
                self._next = now + _PACE
                self._told = True
                if not isinstance(self.total, int):
                    self.total = self.total()
                self._tell(self.total)

    def _tell(self, total: int) -> None:
        self._emit(StepProgress(time.time(), self._step, self._label, self.done, total))


class Listener(Protocol):
    """Who keeps what happened in a build. `name` is what it calls the build."""

    @property
    def name(self) -> str: ...

    @property
    def counts(self) -> tuple[int, int]:
        """How many steps ran, and how many were in the cache."""

    def emit(self, event: Event) -> None:
        """Hear of one event; one thread at a time calls this."""

    def end(self, error: BaseException | None) -> None:
        """The build is over."""


class Relay:
    """Hands events on, and to a listener too as soon as a step has something to do.

    `join` makes that one; it hears of all that was before it came. A build that finds everything in the
    cache never calls it. Events come to it first.
    """

    def __init__(self, emit: Emit) -> None:
        self.began = time.time()
        self.direct = emit
        self.join: Callable[[], Listener] | None = None
        self._listener: Listener | None = None
        self._held: list[Event] = []
        # A listener may have something to say itself.
        self._lock = threading.RLock()

    def emit(self, event: Event) -> None:
        """Hand one event on."""
        with self._lock:
            if isinstance(event, StepStarted):
                self.joined()
            if self._listener is not None:
                self._listener.emit(event)
            else:
                self._held.append(event)
            self.direct(event)

    def joined(self) -> None:
        """Let the listener come, if there is one and it is not there yet."""
        with self._lock:
            if self.join is None or self._listener is not None:
                return
            self._listener = self.join()
            for event in self._held:
                self._listener.emit(event)
            self._held.clear()

    def end(self, error: BaseException | None) -> None:
        """Tell the listener, if there is one, that the build is over."""
        with self._lock:
            if self._listener is not None:
                self._listener.end(error)

    @property
    def name(self) -> str:
        """What the listener calls the build; "" without one."""
        return self._listener.name if self._listener is not None else ""

    @property
    def counts(self) -> tuple[int, int]:
        """What the listener has counted."""
        return self._listener.counts if self._listener is not None else (0, 0)
