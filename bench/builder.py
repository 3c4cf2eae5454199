"""What the bench asks of a builder, and how it calls programs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.image import Base, Facts

TIMEOUT = 600
"""Seconds that one command of a builder may take."""


@dataclass(frozen=True)
class Job:
    """One build.

    Without `out` the image goes into the builder's own store under the name `bench`; with it, it is
    written there as an OCI archive by the builders that can. `bases` are the base images, which
    `Builder.load` was told of before.
    """

    context: Path
    out: Path | None = None
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    bases: tuple[Base, ...] = ()
    no_cache: bool = False
    jobs: int = 0
    compression: str = ""


class Unavailable(Exception):
    """A builder, or a row, cannot be measured on this machine; the text says why."""


class Builder(Protocol):
    """One builder, with a store of its own that goes away with it."""

    name: str
    version: str
    note: str
    """What a reader of the numbers must know: where images go, what isolates RUN."""
    archives: bool
    """Whether it writes OCI archives."""

    def load(self, base: Base) -> None:
        """Make a base image known."""

    def build(self, job: Job) -> None:
        """Build to the end. Raises RuntimeError with the output when that fails."""

    def push(self, job: Job, name: str) -> None:
        """Bring the image of a job that was built before to a registry that speaks http."""

    def facts(self, job: Job, prefix: str) -> Facts:
        """What is in the image of a job that was built before; see `image.read_archive`."""

    def forget(self) -> None:
        """Drop everything: what was cached, and base images."""

    def daemons(self) -> list[int]:
        """Process ids of what runs between builds; their children count as theirs."""

    def close(self) -> None:
        """End all processes and remove all files."""


def run(words: Sequence[object], env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end. Raises RuntimeError with what it said when that is a failure."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{words[0]} took longer than {TIMEOUT} s") from None
    if done.returncode:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stdout[-800:]}")
    return done.stdout


def start_daemon(words: Sequence[object], log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it says goes to `log`."""
    with log.open("wb") as out:
        return subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def await_daemon(daemon: subprocess.Popen[bytes], log: Path, asks: Callable[[], object]) -> None:
    """Ask until there is an answer. Raises Unavailable with the log's end after 40 s."""
    deadline = time.monotonic() + 40
    while True:
        try:
            asks()
            return
        except RuntimeError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{log.stem} does not start here: {log.read_text()[-500:]}") from error
            time.sleep(0.1)


def stop_daemon(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """End a daemon with all its children, and take away what is left mounted below its folder."""
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, 9)
        daemon.wait()
    unmount_below(folder)


def unmount_below(folder: Path) -> None:
    """Take away what is mounted there, the innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    for point in reversed([p for p in points if p.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", point], check=False)
