"""jettison itself: the installed command of this checkout."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench.builder import Job, run
from bench.image import Base, Facts, read_archive


class Jettison:
    """A new process for every build; nothing runs in between."""

    name = "jettison"
    note = "image in its own store, or an OCI archive"
    archives = True

    def __init__(self, work: Path) -> None:
        self.root = work / "jettison"
        self.command = Path(sys.executable).with_name("jettison")
        self.version = run([self.command, "--version"]).split()[-1]

    def load(self, base: Base) -> None:
        run([self.command, "load", "--root", self.root, base.layout, base.name])

    def build(self, job: Job) -> None:
        run([*self.words(job), "-q"])

    def words(self, job: Job) -> list[object]:
        """The command line of a build; how its progress is shown is left open."""
        words: list[object] = [self.command, "build", "--root", self.root, "-t", "bench"]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--jobs", job.jobs] if job.jobs else []
        words += ["--target", job.target] if job.target else []
        for name, value in job.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        if job.out:
            kind = f",compression={job.compression}" if job.compression else ""
            words += ["-o", f"type=oci,dest={job.out}{kind}"]
        return [*words, job.context]

    def push(self, job: Job, name: str) -> None:
        run([self.command, "push", "--root", self.root, "-q", "bench", name])

    def facts(self, job: Job, prefix: str) -> Facts:
        out = job.out or self.root.with_suffix(".tar")
        if not job.out:
            run([self.command, "save", "--root", self.root, "-o", out, "bench"])
        return read_archive(out, prefix)

    def forget(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def daemons(self) -> list[int]:
        return []

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
