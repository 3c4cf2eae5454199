"""Buildah, with storage of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.builder import Job, Unavailable, run
from bench.docker import unmount_below

ISOLATIONS = (("oci", "crun"), ("oci", "runc"), ("chroot", ""))
"""What isolates RUN, the most alike to jettison first. Not every kernel set-up lets every one run."""


class Buildah:
    """The installed buildah, with layers cached, as `podman build` does."""

    name = "buildah"

    def __init__(self, work: Path, base: Path) -> None:
        if not shutil.which("buildah"):
            raise Unavailable("buildah is not installed")
        if os.geteuid():
            raise Unavailable("measured as root only")
        self.folder = work / "buildah"
        self.folder.mkdir()
        (self.folder / "auth.json").write_text("{}")
        self.environment = {"STORAGE_DRIVER": "overlay", "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}
        self.words = ["buildah", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        self.base = base
        self.isolation: tuple[str, ...] = ()
        try:
            self._load()
            self._choose()
        except BaseException:
            self.close()
            raise

    @property
    def note(self) -> str:
        return f"{' '.join(self.isolation)}; image in its own store, or an OCI archive"

    def _load(self) -> None:
        image = run([*self.words, "pull", "-q", f"oci:{self.base}:latest"], self.environment).split()[-1]
        run([*self.words, "tag", image, "docker.io/library/busybox:latest"], self.environment)

    def _choose(self) -> None:
        probe = self.folder / "probe"
        probe.mkdir()
        (probe / "Dockerfile").write_text("FROM busybox\nRUN true\n")
        reason = ""
        for isolation, runtime in ISOLATIONS:
            self.isolation = ("--isolation", isolation, *(("--runtime", runtime) if runtime else ()))
            try:
                self.build(Job(probe, no_cache=True))
                return
            except RuntimeError as error:
                reason = str(error)
        raise Unavailable(f"no isolation of buildah works here: {reason[-300:]}")

    def build(self, job: Job) -> None:
        words: list[object] = [*self.words, "build", "-q", "--layers", *self.isolation, "--network", "host"]
        words += ["--pull=never", "-t", f"oci-archive:{job.out}" if job.out else "bench"]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--jobs", job.jobs] if job.jobs else []
        if job.out:
            job.out.unlink(missing_ok=True)
        run([*words, job.context], self.environment)

    def forget(self) -> None:
        run([*self.words, "rmi", "-af"], self.environment)
        self._load()

    def start_up(self) -> None:
        run(["buildah", "--version"])

    def close(self) -> None:
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
