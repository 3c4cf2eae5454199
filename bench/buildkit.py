"""BuildKit's own daemon and client, where buildkitd and buildctl are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.builder import Job, Unavailable, run
from bench.docker import unmount_below

CLIENT = Path(__file__).parent.parent / "tests" / "conformance" / "builders" / "buildkit"
"""Takes docker's flags and calls buildctl."""


class BuildKit:
    """buildkitd below the work folder, with the host's network."""

    name = "buildctl"
    note = "always an OCI archive"

    def __init__(self, work: Path, base: Path) -> None:
        daemon, client = shutil.which("buildkitd"), shutil.which("buildctl")
        if not daemon or not client:
            raise Unavailable("buildkitd and buildctl are not installed")
        if os.geteuid():
            raise Unavailable("starting buildkitd takes root")
        self.folder, self.base = work / "buildkit", base
        self.folder.mkdir()
        self.environment = {"BUILDCTL": client, "BUILDKIT_HOST": f"unix://{self.folder}/buildkitd.sock"}
        with (self.folder / "log").open("wb") as log:
            self.daemon = subprocess.Popen(
                [daemon, "--root", self.folder / "root", "--addr", self.environment["BUILDKIT_HOST"],
                 "--oci-worker-net", "host", "--containerd-worker=false"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                run([client, "debug", "workers"], self.environment)
                return
            except RuntimeError as error:
                if self.daemon.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise Unavailable("buildkitd does not start here") from error
                time.sleep(0.2)

    def build(self, job: Job) -> None:
        out = job.out or self.folder / "image.tar"
        words: list[object] = [sys.executable, CLIENT, "--build-context", f"busybox=oci-layout://{self.base}"]
        words += ["--no-cache"] if job.no_cache else []
        run([*words, "--output", f"type=oci,dest={out}", job.context], self.environment)

    def forget(self) -> None:
        run([self.environment["BUILDCTL"], "prune", "--all"], self.environment)

    def start_up(self) -> None:
        run([self.environment["BUILDCTL"], "--version"])

    def close(self) -> None:
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.daemon.pid, 9)
            self.daemon.wait()
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
