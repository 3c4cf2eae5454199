"""Docker: a daemon of the bench's own, in its own folders, with the BuildKit that is built into it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

from bench.builder import Job, Unavailable, await_daemon, run, start_daemon, stop_daemon
from bench.image import Base, Facts, read_archive


class Docker:
    """dockerd below the work folder, without bridge, firewall rules or network."""

    name = "docker"
    note = "embedded BuildKit of a hot dockerd; image always in its own store, uncompressed"
    archives = False

    def __init__(self, work: Path) -> None:
        daemon = shutil.which("dockerd")
        if not daemon or not shutil.which("skopeo"):
            raise Unavailable("dockerd and skopeo are not installed")
        if os.geteuid():
            raise Unavailable("starting dockerd takes root")
        self.folder = work / "docker"
        self.folder.mkdir()
        self.version = run([daemon, "--version"]).split()[2].rstrip(",")
        self.environment = {
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "1",
        }
        self.log = self.folder / "dockerd.log"
        self.daemon = start_daemon(
            [daemon, "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
             "-H", self.environment["DOCKER_HOST"], "--pidfile", self.folder / "pid",
             "--iptables=false", "--ip6tables=false", "--bridge=none"],
            self.log,
        )  # fmt: skip
        try:
            self.client = self._client()
        except BaseException:
            self.close()
            raise

    def _client(self) -> str:
        """A docker program that talks to the daemon and can use its BuildKit."""
        reason = "no docker program is installed"
        probe = self.folder / "probe"
        probe.mkdir()
        (probe / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        for folder in os.environ.get("PATH", "").split(":"):
            client = os.path.join(folder, "docker")
            if not os.access(client, os.X_OK):
                continue
            asks = partial(run, [client, "version"], self.environment)
            await_daemon(self.daemon, self.log, asks)
            try:
                run([client, "build", "-q", probe], self.environment)
                return client
            except RuntimeError as error:
                reason = str(error)
        raise Unavailable(reason)

    def load(self, base: Base) -> None:
        archive = self.folder / "base.tar"
        archive.unlink(missing_ok=True)
        source, target = f"oci:{base.layout}:{base.tag}", f"docker-archive:{archive}:{base.name}"
        run(["skopeo", "copy", "-q", source, target])
        run([self.client, "load", "-q", "-i", archive], self.environment)

    def build(self, job: Job) -> None:
        words: list[object] = [self.client, "build", "-q", "--network", "host", "-t", "bench"]
        words += ["--no-cache"] if job.no_cache else []
        words += ["--target", job.target] if job.target else []
        for name, value in job.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        run([*words, job.context], self.environment)

    def push(self, job: Job, name: str) -> None:
        run([self.client, "tag", "bench", name], self.environment)
        run([self.client, "push", "-q", name], self.environment)

    def facts(self, job: Job, prefix: str) -> Facts:
        out = self.folder / "image.tar"
        run([self.client, "save", "-o", out, "bench"], self.environment)
        return read_archive(out, prefix)

    def forget(self) -> None:
        images = run([self.client, "images", "-q"], self.environment).split()
        if images:
            with suppress(RuntimeError):
                run([self.client, "rmi", "-f", *set(images)], self.environment)
        run([self.client, "builder", "prune", "-af"], self.environment)

    def daemons(self) -> list[int]:
        return [self.daemon.pid]

    def close(self) -> None:
        stop_daemon(self.daemon, self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
