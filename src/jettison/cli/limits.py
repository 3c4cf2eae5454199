"""The options that limit what a step or a container may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.errors import UsageError
from jettison.request import Limits

if TYPE_CHECKING:
    from jettison.cli.options import Parsed

_LEAST_MEMORY = 6_000_000
"""Bytes; below, not even the runtime starts."""


def limits_of(parsed: Parsed) -> Limits:
    """What --memory, --pids-limit, --cpus and --step-timeout say. Raises UsageError."""
    return Limits(
        memory=_memory(parsed.last("memory")),
        pids=count(parsed.last("pids-limit"), "pids-limit", "processes, at least 1", 1, 1 << 22),
        cpus=_cpus(parsed.last("cpus")),
        seconds=_seconds(parsed.last("step-timeout")),
    )


def retries_of(parsed: Parsed) -> int:
    """What --retry says. Raises UsageError."""
    return count(parsed.last("retry"), "retry", "further tries, 0 to 100", 0, 100)


def count(text: str, option: str, what: str, least: int, most: int) -> int:
    """A whole number; 0 for "". Raises UsageError."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise UsageError(f"--{option} {text!r} is not a number of {what}")
    return int(text)


def _memory(text: str) -> int:
    if not text:
        return 0
    from jettison.sizes import parse_size

    try:
        size = 0 if text.endswith("%") else parse_size(text)
    except ValueError:
        size = 0
    if size < _LEAST_MEMORY:
        raise UsageError(
            f"--memory {text!r} is not an amount of memory, 6 MB at least",
            hint="for example 512MB or 2GiB",
        )
    return size


def _cpus(text: str) -> float:
    if not text:
        return 0.0
    try:
        cpus = float(text)
    except ValueError:
        cpus = 0.0
    if not 0.01 <= cpus <= 10000:
        raise UsageError(f"--cpus {text!r} is not a number of processors", hint="for example 2 or 0.5")
    return cpus


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    from jettison.sizes import parse_span

    try:
        seconds = parse_span(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds < 1e9:
        raise UsageError(f"--step-timeout {text!r} is no span of time", hint="for example 90s, 30m or 2h")
    return seconds
