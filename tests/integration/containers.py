"""What tests of the sandbox share: a small root filesystem and a way to run something in it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jettison import kernel
from jettison.sandbox import oci
from jettison.sandbox.base import ProcessSpec, Sandbox
from jettison.sandbox.builtin import BuiltinSandbox

BUSYBOX = "/bin/busybox"

NEEDS = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
    pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs /bin/busybox (package busybox-static)"),
    pytest.mark.usefixtures("nothing_left"),
]


def choose(name: str) -> Sandbox:
    """A sandbox by its name, a runtime's or "builtin"."""
    return BuiltinSandbox() if name == "builtin" else oci.choose(name)


def make_rootfs(root: Path) -> Path:
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "o"):
        (root / name).mkdir(parents=True)
    (root / "o").chmod(0o777)
    shutil.copy2(BUSYBOX, root / "bin/busybox")
    applets = "sh true false ls cat id touch sleep ps mkdir ifconfig mount mknod hostname head wc kill chroot"
    for applet in (applets + " grep echo unshare umount stty tty nslookup").split():
        (root / "bin" / applet).symlink_to("busybox")
    return root


def children() -> list[str]:
    """Also those in state Z: whoever is not reaped shows up here."""
    out: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            out += (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that has just ended
    return out


def cgroups(pid: int) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    return [path for place in (top, top / "unified") for path in place.glob(f"jettison-{pid}-*")]


@dataclass
class Result:
    status: int
    out: bytes = b""
    err: bytes = b""
    chunks: list[tuple[int, bytes]] = field(default_factory=list)


def run(
    sandbox: Sandbox,
    spec: ProcessSpec,
    work: Path,
    cancel: threading.Event | None = None,
    watch: Callable[[bytes], None] | None = None,
) -> Result:
    result = Result(-1)

    def output(stream: int, data: bytes) -> None:
        result.chunks.append((stream, data))
        if watch:
            watch(data)

    work.mkdir()
    result.status = kernel.private_mounts(
        lambda: sandbox.run(spec, output, cancel or threading.Event(), str(work))
    )
    result.out = b"".join(data for stream, data in result.chunks if stream == 1)
    result.err = b"".join(data for stream, data in result.chunks if stream == 2)
    assert list(work.iterdir()) == []
    return result


def shell(rootfs: Path, script: str) -> ProcessSpec:
    return ProcessSpec(str(rootfs), ("/bin/sh", "-c", script), ("PATH=/bin",))


Shell = Callable[..., Result]


def processes(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[-2:-1] == [marker.encode()]:
                found.append(path.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def within_seconds(limit: float, true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        if true():
            return True
        os.sched_yield()
    return False
