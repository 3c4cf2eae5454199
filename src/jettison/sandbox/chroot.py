"""Runs a process with chroot(2), where the kernel refuses namespaces and mounts: what is left of isolation.

That is so for root in a default container of Docker or Kubernetes. The root filesystem has to be a
folder of plain files that nobody else needs: mounts are emulated in it (`emulated.py`).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.errors import Cancelled, SandboxError
from jettison.sandbox import complaints, process, seccomp
from jettison.sandbox.base import PLAIN, ProcessSpec
from jettison.sandbox.emulated import emulated
from jettison.sandbox.oci import own_stream
from jettison.sandbox.spec import given_capabilities

NOT_ISOLATED = (
    "RUN is only held in its own folder (chroot): it shares processes, network, host name and resources "
    "with this machine or container, has no /proc, and as root may send signals to other processes"
)
"""What a build has to say of it."""

_NEEDED = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "SYS_CHROOT": 18,
}  # fmt: skip

_KEPT_BACK = (13, 18, 27)
"""NET_RAW, SYS_CHROOT, MKNOD: others' network traffic, and ways out of the folder."""

_PROGRAM = os.path.join(os.path.dirname(__file__), "chroot_inner.py")
_ALLOW_ALL = base64.b64encode(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)).decode()
"""What follows the guard of the inner program where there is no filter for this architecture."""

_GATE = 6
_FIRST_FREE = 10
"""Below are the numbers that a child knows its files by."""


@dataclass(frozen=True, slots=True)
class ChrootSandbox:
    """A folder as the root of a process, and nothing else. See Sandbox."""

    name: str = PLAIN

    def check(self) -> str:
        """See Sandbox.check."""
        if os.geteuid() != 0:
            return "chroot needs root"
        held = kernel.capabilities()
        missing = [f"CAP_{name}" for name, bit in _NEEDED.items() if not held >> bit & 1]
        if missing:
            return f"chroot needs {' and '.join(missing)}, which this process lacks"
        if not os.path.isdir("/proc/self/fd"):
            return "chroot needs /proc, to find the processes that a step leaves behind"
        return ""

    def run(
        self,
        spec: ProcessSpec,
        output: Callable[[int, bytes], None] | None,
        cancel: threading.Event,
        work: str,
    ) -> int:
        """See Sandbox.run."""
        hint = "jettison doctor says what would make real isolation possible"
        process.may_start(cancel, self.check() or _impossible(spec), hint)
        piped = output is not None and not spec.terminal
        with emulated(spec, work):
            return _run(spec, output or own_stream, piped, cancel)


def _impossible(spec: ProcessSpec) -> str:
    if spec.network != "host":
        return "--network=none cannot be had with chroot: a step has the network of this machine"
    if spec.read_only:
        return "a read-only root filesystem cannot be had with chroot"
    return ""


def _run(
    spec: ProcessSpec, output: Callable[[int, bytes], None], piped: bool, cancel: threading.Event
) -> int:
    document = _document(spec, piped)
    try:
        try:
            child = _start(document, spec, piped)
        except OSError as error:
            raise SandboxError(f"cannot start {sys.executable}: {error}") from error
        ending = process.finish(child, output, cancel, _end, lambda data: False)
        answer = os.pread(document, os.fstat(document).st_size, 0)
    finally:
        os.close(document)
    if ending.cancelled:
        raise Cancelled("the build was cancelled")
    if not answer:
        return ending.status
    told = json.loads(answer)
    status, message = complaints.explain(told["problem"], spec.args[0]) if told["program"] else (0, "")
    if not status:
        raise SandboxError(f"chroot could not run the process: {told['problem']}")
    output(2, message.encode() + b"\n")
    return status


def _start(document: int, spec: ProcessSpec, piped: bool) -> process.Child:
    hears, lets_on = os.pipe()
    high = fcntl.fcntl(hears, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    try:
        child = process.start(
            [sys.executable, "-I", "-S", _PROGRAM],
            {},
            piped=piped,
            own_pids=False,
            program=document,
            files=((high, _GATE),),
            started=spec.started,
        )
        with suppress(BrokenPipeError):
            os.write(lets_on, b"\n")
        return child
    finally:
        for fd in (hears, lets_on, high):
            os.close(fd)


def _document(spec: ProcessSpec, piped: bool) -> int:
    """What the child has to know, as a file in memory: the environment may hold secrets."""
    given = given_capabilities(spec, kernel.capabilities())
    if not spec.privileged:
        given = [number for number in given if number not in _KEPT_BACK]
    text = json.dumps(
        {
            "root": os.path.abspath(spec.rootfs),
            "cwd": spec.cwd or "/",
            "args": spec.args,
            "env": spec.env,
            "uid": spec.uid,
            "gid": spec.gid,
            "groups": list(dict.fromkeys((spec.gid, *spec.groups))),
            "capabilities": sum(1 << number for number in given),
            "filter": "" if spec.privileged else seccomp.raw_program() or _ALLOW_ALL,
            "session": piped,
            "builder": os.getpid(),
        }
    ).encode()
    low = os.memfd_create("step")
    document = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(low)
    os.pwrite(document, text, 0)
    return document


def _end(pid: int) -> None:
    """Tell the supervisor to end the step; it is not our child any more after `process.finish` only."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
