"""What is said of a RUN that ended with another status than 0, or had to be ended."""

from __future__ import annotations

from jettison.errors import StepFailed
from jettison.graph.ops import RunOp
from jettison.graph.vertex import Vertex
from jettison.request import Limits
from jettison.sandbox.limits import KILLED, Exceeded

_TAIL_LINES = 20


def failed(
    vertex: Vertex, op: RunOp, status: int, tail: bytes, limits: Limits, exceeded: Exceeded | None
) -> StepFailed:
    """The error for a RUN, with the last lines of its output, and the limit that it reached."""
    lines = tail.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    why, hint = reasons(status, limits, exceeded)
    why = f"{why}; " if why else ""
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
