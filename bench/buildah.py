"""Buildah, with storage of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.builder import Job, Unavailable, run, unmount_below
from bench.image import Base, Facts, read_archive

ISOLATIONS = (("oci", "crun"), ("oci", "runc"), ("chroot", ""))
"""What isolates RUN, the most alike to jettison first. Not every kernel set-up lets every one run."""


class Buildah:
    """The installed buildah, with layers cached, as `podman build` does."""

    name = "buildah"
    archives = True

    def __init__(self, work: Path, base: Base) -> None:
        if not shutil.which("buildah"):
            raise Unavailable("buildah is not installed")
        if os.geteuid():
            raise Unavailable("measured as root only")
        self.folder = work / "buildah"
        self.folder.mkdir()
        (self.folder / "auth.json").write_text("{}")
        self.environment = {"STORAGE_DRIVER": "overlay", "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}
        self.words = ["buildah", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        self.version = run(["buildah", "--version"]).split()[2]
        self.isolation: tuple[str, ...] = ()
        try:
            self.load(base)
            self._choose(base)
        except BaseException:
            self.close()
            raise
        self.note = f"{' '.join(self.isolation)}; image in its own store, or an OCI archive"

    def load(self, base: Base) -> None:
        source = f"oci:{base.layout}:{base.tag}"
        image = run([*self.words, "pull", "-q", source], self.environment).split()[-1]
        first = base.name.partition("/")[0]
        full = base.name if "." in first else f"docker.io/library/{base.name}"
        run([*self.words, "tag", image, full], self.environment)

    def _choose(self, base: Base) -> None:
        probe = self.folder / "probe"
        probe.mkdir()
        (probe / "Dockerfile").write_text(f"FROM {base.name}\nRUN true\n")
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
        self._build(job, f"oci-archive:{job.out}" if job.out else "bench")

    def _build(self, job: Job, name: str) -> None:
        words: list[object] = [*self.words, "build", "-q", "--layers", *self.isolation, "--network", "host"]
        words += ["--pull=never"] if job.bases else []
        words += ["--tls-verify=false", "-t", name]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--jobs", job.jobs] if job.jobs else []
        words += ["--target", job.target] if job.target else []
        for key, value in job.arguments.items():
            words += ["--build-arg", f"{key}={value}"]
        if job.out:
            job.out.unlink(missing_ok=True)
        run([*words, job.context], self.environment)

    def push(self, job: Job, name: str) -> None:
        run([*self.words, "push", "-q", "--tls-verify=false", "bench", f"docker://{name}"], self.environment)

    def facts(self, job: Job, prefix: str) -> Facts:
        out = job.out or self.folder / "image.tar"
        if not job.out:
            out.unlink(missing_ok=True)
            run([*self.words, "push", "-q", "bench", f"oci-archive:{out}"], self.environment)
        return read_archive(out, prefix)

    def forget(self) -> None:
        run([*self.words, "rmi", "-af"], self.environment)

    def daemons(self) -> list[int]:
        return []

    def close(self) -> None:
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
