"""Docker: a daemon of the bench's own, in its own folders, with the BuildKit that is built into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from bench.builder import Job, Unavailable, run


class Docker:
    """dockerd below the work folder, without bridge, firewall rules or network."""

    name = "docker"
    note = "embedded BuildKit; image in its own store (it writes no OCI archive)"

    def __init__(self, work: Path, base: Path) -> None:
        daemon = shutil.which("dockerd")
        if not daemon:
            raise Unavailable("dockerd is not installed")
        if os.geteuid():
            raise Unavailable("starting dockerd takes root")
        self.folder = work / "docker"
        self.folder.mkdir()
        self.environment = {
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "1",
        }
        with (self.folder / "log").open("wb") as log:
            self.daemon = subprocess.Popen(
                [daemon, "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
                 "-H", self.environment["DOCKER_HOST"], "--pidfile", self.folder / "pid",
                 "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self.client = self._client()
            self._load(base)
        except BaseException:
            self.close()
            raise

    def _client(self) -> str:
        """A docker program that talks to the daemon and can use its BuildKit."""
        reason = "no docker program is installed"
        for folder in os.environ.get("PATH", "").split(":"):
            client = os.path.join(folder, "docker")
            if not os.access(client, os.X_OK):
                continue
            self._wait(client)
            try:
                probe = self.folder / "probe"
                probe.mkdir(exist_ok=True)
                (probe / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
                run([client, "build", "-q", probe], self.environment)
                return client
            except RuntimeError as error:
                reason = str(error)
        raise Unavailable(reason)

    def _wait(self, client: str) -> None:
        deadline = time.monotonic() + 40
        while True:
            try:
                run([client, "version"], self.environment)
                return
            except RuntimeError as error:
                if self.daemon.poll() is not None or time.monotonic() > deadline:
                    tail = (self.folder / "log").read_text()[-500:]
                    raise Unavailable(f"dockerd does not start here: {tail}") from error
                time.sleep(0.2)

    def _load(self, base: Path) -> None:
        archive = self.folder / "base.tar"
        run(["skopeo", "copy", "-q", f"oci:{base}:latest", f"docker-archive:{archive}:busybox:latest"])
        run([self.client, "load", "-q", "-i", archive], self.environment)

    def build(self, job: Job) -> None:
        words: list[object] = [self.client, "build", "-q", "--network", "host", "-t", "bench"]
        words += ["--no-cache"] if job.no_cache else []
        run([*words, job.context], self.environment)

    def forget(self) -> None:
        with suppress(RuntimeError):
            run([self.client, "rmi", "-f", "bench"], self.environment)
        run([self.client, "builder", "prune", "-af"], self.environment)

    def start_up(self) -> None:
        run([self.client, "--version"], self.environment)

    def close(self) -> None:
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.daemon.pid, 9)
            self.daemon.wait()
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def unmount_below(folder: Path) -> None:
    """Take away what a daemon left mounted, the innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in lines]
    for point in reversed([p for p in points if p.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", point], check=False)
