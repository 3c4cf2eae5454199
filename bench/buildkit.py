"""BuildKit's own daemon and client, where buildkitd and buildctl are installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.builder import Job, Unavailable, await_daemon, run, start_daemon, stop_daemon
from bench.image import Base, Facts, read_archive


class BuildKit:
    """buildkitd below the work folder, with the host's network; buildctl is called with its own flags."""

    name = "buildkit"
    note = "buildctl and a hot buildkitd; image in its own store, or an OCI archive"
    archives = True

    def __init__(self, work: Path) -> None:
        daemon, client = shutil.which("buildkitd"), shutil.which("buildctl")
        if not daemon or not client:
            raise Unavailable("buildkitd and buildctl are not installed")
        if os.geteuid():
            raise Unavailable("starting buildkitd takes root")
        self.client, self.folder = client, work / "buildkit"
        self.folder.mkdir()
        address = f"unix://{self.folder}/buildkitd.sock"
        self.environment = {"BUILDKIT_HOST": address, "DOCKER_CONFIG": str(self.folder)}
        self.version = run([client, "--version"]).split()[2]
        log = self.folder / "buildkitd.log"
        self.daemon = start_daemon(
            [daemon, "--root", self.folder / "root", "--addr", address, "--config", "/dev/null",
             "--otel-socket-path", self.folder / "otel.sock", "--oci-worker-net", "host",
             "--oci-worker-gc=false", "--containerd-worker=false"],
            log,
        )  # fmt: skip
        try:
            await_daemon(self.daemon, log, lambda: run([client, "debug", "workers"], self.environment))
        except BaseException:
            self.close()
            raise

    def load(self, base: Base) -> None:
        """Nothing: the client hands base images over with each build."""

    def build(self, job: Job) -> None:
        output = f"type=oci,dest={job.out}" if job.out else "type=image,name=bench"
        self._build(job, output + (f",compression={job.compression}" if job.compression else ""))

    def _build(self, job: Job, output: str) -> None:
        words: list[object] = [self.client, "build", "--progress=quiet", "--frontend=dockerfile.v0"]
        words += ["--local", f"context={job.context}", "--local", f"dockerfile={job.context}"]
        for number, base in enumerate(job.bases):
            words += ["--oci-layout", f"base{number}={base.layout}"]
            words += ["--opt", f"context:{base.name}=oci-layout://base{number}@{base.digest()}"]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--opt", f"target={job.target}"] if job.target else []
        for name, value in job.arguments.items():
            words += ["--opt", f"build-arg:{name}={value}"]
        run([*words, "--output", output], self.environment)

    def push(self, job: Job, name: str) -> None:
        self._build(job, f"type=image,name={name},push=true")

    def facts(self, job: Job, prefix: str) -> Facts:
        out = job.out or self.folder / "image.tar"
        if not job.out:
            self._build(job, f"type=oci,dest={out}")
        return read_archive(out, prefix)

    def forget(self) -> None:
        run([self.client, "prune", "--all"], self.environment)

    def daemons(self) -> list[int]:
        return [self.daemon.pid]

    def close(self) -> None:
        stop_daemon(self.daemon, self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
