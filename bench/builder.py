"""What the bench asks of a builder, and jettison itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One build. With `out` the image is written as an OCI archive, where the builder can."""

    context: Path
    no_cache: bool = False
    jobs: int = 0
    out: Path | None = None


class Unavailable(Exception):
    """A builder cannot be measured on this machine; the text says why."""


class Builder(Protocol):
    """One builder, with a store of its own that goes away with it."""

    name: str
    note: str
    """What a reader of the numbers must know: where images go, what isolates RUN."""

    def build(self, job: Job) -> None:
        """Build to the end. Raises RuntimeError with the output when that fails."""

    def forget(self) -> None:
        """Drop everything that was cached, and keep the base image."""

    def start_up(self) -> None:
        """The cheapest thing that the program does: say its version."""

    def close(self) -> None:
        """End all processes and remove all files."""


def run(words: Sequence[object], env: dict[str, str] | None = None) -> str:
    """Run a command to its end. Raises RuntimeError with what it said when that is a failure."""
    done = subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stdout[-800:]}")
    return done.stdout


class Jettison:
    """The installed command of this checkout."""

    name = "jettison"
    note = "image in its own store, or an OCI archive"

    def __init__(self, work: Path, base: Path) -> None:
        self.root = work / "jettison"
        self.base = base
        self.command = Path(sys.executable).with_name("jettison")
        self.forget()

    def build(self, job: Job) -> None:
        words: list[object] = [self.command, "build", "--root", self.root, "-q", "-t", "bench"]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--jobs", job.jobs] if job.jobs else []
        words += ["-o", f"type=oci,dest={job.out}"] if job.out else []
        run([*words, job.context])

    def forget(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        run([self.command, "load", "--root", self.root, self.base, "busybox"])

    def start_up(self) -> None:
        run([self.command, "--version"])

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
