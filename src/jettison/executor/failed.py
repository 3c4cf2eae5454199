"""What is said, and kept, of a RUN that ended with another status than 0 or had to be ended."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import cast

from jettison.errors import JettisonError, StepFailed
from jettison.graph.ops import RunOp, from_json, to_json
from jettison.graph.vertex import Vertex
from jettison.location import Location
from jettison.request import Limits
from jettison.sandbox.limits import KILLED, Exceeded
from jettison.sandbox.users import User
from jettison.store import failed as kept
from jettison.store.store import Store

_TAIL_LINES = 20

_MISSED = (b"/proc", b"/dev/fd", b"/dev/std", b"GOROOT")
"""What programs name that find no /proc/self."""

_NO_PROC = (
    "a step has no /proc in a chroot, nothing but its own file; jettison doctor says what would make "
    "a real one possible"
)


def failed(
    vertex: Vertex,
    op: RunOp,
    status: int,
    tail: bytes,
    limits: Limits,
    exceeded: Exceeded | None,
    plain: bool = False,
) -> StepFailed:
    """The error for a RUN, with the last lines of its output, and the limit that it reached.

    `plain` says that it ran in a chroot.
    """
    lines = tail.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    why, hint = reasons(status, limits, exceeded)
    why = f"{why}; " if why else ""
    if plain and any(word in tail for word in _MISSED):
        hint = hint or _NO_PROC
    return StepFailed(
        f"{vertex.name}: process {' '.join(op.args)!r} did not complete: {why}exit code: {status}",
        step=vertex.name,
        exit_code=status,
        tail=tuple(lines[-_TAIL_LINES:]),
        hint=hint or None,
        location=vertex.location,
    )


def reasons(status: int, limits: Limits, exceeded: Exceeded | None) -> tuple[str, str]:
    """Which limit ended a process, and a hint; "" where there is nothing to say."""
    if exceeded is None:
        return "", "it was killed (SIGKILL): often the machine had no memory left" if status == KILLED else ""
    if exceeded.what == "time":
        return (
            f"it took longer than the {limits.seconds:g} s that --step-timeout allows, and was ended",
            "give it longer with --step-timeout, or see in its last lines what it waited for",
        )
    if exceeded.what == "memory":
        most = f"it had up to {_megabytes(exceeded.used)} at once; " if exceeded.used else ""
        return (
            f"it was killed: it used more than the {_megabytes(limits.memory)} that --memory allows",
            f"{most}give it more with --memory SIZE, or let it do less side by side (make -j1, for example)",
        )
    most = f"it had {exceeded.used} processes and was ended" if exceeded.used else "it wanted more processes"
    return "", f"{most}: --pids-limit allows {limits.pids} at once, threads included"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.4g} MB"


def keep(
    store: Store,
    vertex: Vertex,
    op: RunOp,
    inputs: Mapping[str, tuple[str, ...]],
    upper: str,
    user: User,
    error: StepFailed,
) -> None:
    """Keep what a failed step left in its upper directory, and note in the error under which name.

    Whatever goes wrong: the step's own error is what counts.
    """
    below = inputs[vertex.base] if op.has_base else ()
    try:
        if not kept.has_room(store):
            return
        layer = store.layers.commit_upper(upper, below, (user.uid, user.gid))
        stacks = tuple(inputs[name] for name in vertex.inputs)
        name = os.urandom(6).hex()
        kept.add(
            store,
            kept.FailedStep(name, time.time(), error.message, below, layer.id, stacks, _to_plain(vertex, op)),
        )
        error.state = name
    except (JettisonError, OSError):
        pass


def _to_plain(vertex: Vertex, op: RunOp) -> dict[str, object]:
    place = vertex.location
    return {
        "id": vertex.id,
        "op": to_json(op),
        "inputs": vertex.inputs,
        "base": vertex.base,
        "name": vertex.name,
        "stage": vertex.stage,
        "location": (place.path, place.first_line, place.last_line) if place else None,
    }


def vertex_of(failed: kept.FailedStep) -> Vertex:
    """The step that failed; its op is a RunOp."""
    data = failed.step
    location = Location(*data["location"]) if data["location"] else None
    op = cast(RunOp, from_json(data["op"]))
    return Vertex(data["id"], op, tuple(data["inputs"]), data["base"], data["name"], data["stage"], location)
