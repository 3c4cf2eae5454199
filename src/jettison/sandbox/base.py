"""The seam of the sandbox: one process in one root filesystem."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, Protocol

from jettison.dataclass import dataclass

PLAIN = "chroot"
"""The name of the sandbox that mounts nothing: all that its processes see has to be plain files."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted while the process runs. `target` is absolute, inside the root filesystem, and exists.

    `source` is a file or folder of this machine for "bind". `size` limits a tmpfs (bytes, 0: no limit). Of a
    `secret` no copy may stay on a disk.
    """

    type: Literal["bind", "tmpfs"]
    target: str
    source: str = ""
    read_only: bool = False
    mode: int = 0o1777
    size: int = 0
    secret: bool = False


Started = Callable[[int], None] | None
"""Is told the number of a step's first process, before anything of the step runs."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What runs where. `rootfs` is a mounted, writable root filesystem that the caller made.

    `args[0]` without a slash is looked for in the PATH of `env`. `env` holds
    NAME=value. `groups` are supplementary group ids. `network` is "host", "none" (loopback only), or the
    path, in this process's /proc, of a network namespace to join. `started` is called with the number of the
    first process (the sandbox's own, that all others descend from) before anything of the step runs.
    """

    rootfs: str
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = "host"
    privileged: bool = False
    terminal: bool = False
    read_only: bool = False
    started: Started = None


class Sandbox(Protocol):
    """Runs processes apart from this machine's own files and processes."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def check(self) -> str:
        """Why this sandbox cannot be used here, or "" when it can."""

    def run(
        self,
        spec: ProcessSpec,
        output: Callable[[int, bytes], None] | None,
        cancel: threading.Event,
        work: str,
    ) -> int:
        """Run to the end and give the exit status (128 + n for signal n).

        `output(stream, data)` gets what the process writes to 1 and 2; None lets
        it use this process's own terminal and streams. When `cancel` is set, the process and
        all its children are killed and Cancelled is raised. `work` is an empty folder that the
        sandbox may fill; the caller removes it. Must be called inside `kernel.private_mounts`.
        Raises SandboxError when the process cannot be started. A program that is not in the image
        gives exit status 127, one that cannot be executed 126, both with a message through `output`.
        """
