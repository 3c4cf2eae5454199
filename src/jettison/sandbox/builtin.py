"""The built-in sandbox: a step in namespaces of its own, made by Python and the kernel alone.

For machines without an OCI runtime, and for user namespaces with a single id, in which no runtime
can do what a step asks for.
"""

from __future__ import annotations

import fcntl
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from jettison.dataclass import dataclass
from jettison.errors import Cancelled, SandboxError
from jettison.sandbox import complaints, process, sealed
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.network import DEFAULT_HOSTNAME
from jettison.sandbox.oci import held_capabilities, in_user_namespace, own_stream
from jettison.sandbox.spec import MASKED, READ_ONLY, given_capabilities

_MODULES = ("inner_root", "inner_terminal", "inner")
_LOWEST = 10
"""Numbers below are what a child knows its files by."""

_BOOT = """\
import marshal, sys
with open(6, "rb") as file:
    for name, code in marshal.load(file):
        sys.modules[name] = module = type(sys)(name)
        exec(code, module.__dict__)
    spec = marshal.load(file)
module.launch(spec)
"""
"""What Python is started with: the code and the document come in file 6, which nobody else can open."""


@dataclass(frozen=True, slots=True)
class BuiltinSandbox:
    """Needs the right to mount, and Python. `single_id` says that this is a user namespace with one id only:
    what would need another one then seems to succeed."""

    single_id: bool = False
    name: str = "builtin"

    def check(self) -> str:
        """See Sandbox.check."""
        if os.geteuid() != 0:
            return "mounting needs root, or a user namespace in which this user is root"
        missing = [
            name for name, bit in (("CAP_SYS_ADMIN", 21), ("CAP_SYS_CHROOT", 18), ("CAP_SETPCAP", 8))
            if not held_capabilities() >> bit & 1
        ]  # fmt: skip
        if missing:
            return f"this process lacks {' and '.join(missing)}; the built-in sandbox cannot set a step apart"
        if sealed.program(sys.executable) < 0:
            return (
                f"the program {sys.executable or 'python3'} cannot be started from a copy in memory, "
                "which keeps steps from writing to it (see the setting vm.memfd_noexec)"
            )
        return ""

    def run(
        self,
        spec: ProcessSpec,
        output: Callable[[int, bytes], None] | None,
        cancel: threading.Event,
        work: str,
    ) -> int:
        """See Sandbox.run."""
        process.may_start(cancel, self.check())
        emit = output or own_stream
        heard, report = _channel()
        notary = None
        try:
            try:
                child = self._start(spec, work, report, piped=output is not None and not spec.terminal)
            except OSError as error:
                raise SandboxError(f"cannot start the built-in sandbox: {error}") from error
            finally:
                os.close(report)
            if self.single_id and not spec.uid:
                from jettison.sandbox.noted_ids import Notary

                notary = Notary(heard)
            ending = process.finish(child, emit, cancel, process.kill, lambda data: False)
            if ending.cancelled:
                raise Cancelled("the build was cancelled")
            complaint = notary.complaint() if notary else _read(heard)
        finally:
            os.close(heard)
        if not complaint:
            return ending.status
        status, message = complaints.explain(complaint, spec.args[0])
        if not status:
            raise SandboxError(f"the built-in sandbox could not start the process: {message}")
        emit(2, message.encode() + b"\n")
        return status

    def _start(self, spec: ProcessSpec, work: str, report: int, *, piped: bool) -> process.Child:
        memory = _memory(document(spec, work, single_id=self.single_id), terminal=spec.terminal)
        said = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
        files = [(memory, 6), (said, 7)]
        try:
            if spec.network.startswith("/"):
                opened = os.open(spec.network, os.O_RDONLY | os.O_CLOEXEC)
                files.append((fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _LOWEST), 8))
                os.close(opened)
            return process.start(
                # Its name is what Python finds its library by.
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT],
                {},
                piped=piped,
                own_pids=True,
                path=process.PROGRAM,
                program=sealed.program(sys.executable),
                files=files,
                started=spec.started,
            )
        finally:
            for ours, _ in files:
                os.close(ours)


def document(spec: ProcessSpec, work: str, *, single_id: bool) -> dict[str, Any]:
    """What `inner.py` is told to do, in values that JSON and marshal know."""
    given = given_capabilities(spec, held_capabilities())
    own_network = spec.network == "none"
    return {
        "root": os.path.abspath(spec.rootfs),
        "work": os.path.abspath(work),
        "args": list(spec.args),
        "env": list(spec.env),
        "cwd": spec.cwd or "/",
        "uid": spec.uid,
        "gid": spec.gid,
        "groups": list(dict.fromkeys((spec.gid, *spec.groups))),
        "hostname": spec.hostname or DEFAULT_HOSTNAME,
        "own_network": own_network,
        "joins_network": spec.network.startswith("/"),
        "privileged": spec.privileged,
        "terminal": spec.terminal,
        "read_only": spec.read_only,
        "single_id": single_id,
        "devpts": "newinstance,ptmxmode=0666,mode=0620" + (",gid=5" * (not single_id)),
        # The kernel lets only the owner of the network namespace mount a new sysfs.
        "bind_sys": in_user_namespace() and spec.network == "host",
        "mounts": [_mount(mount) for mount in spec.mounts],
        "masked": [] if spec.privileged else list(MASKED),
        "read_only_paths": [] if spec.privileged else list(READ_ONLY),
        "effective": sum(1 << number for number in given) if spec.uid == 0 else 0,
        "dropped": [number for number in range(64) if number not in given],
        "filters": _filters(spec),
        "fakes": _fakes(spec, single_id),
    }


def _mount(mount: Mount) -> tuple[str, str, str, bool, str]:
    options = ""
    if mount.type == "tmpfs":
        options = f"mode={mount.mode:o}" + (f",size={mount.size}" if mount.size else "")
    return mount.type, mount.target, mount.source, mount.read_only, options


def _filters(spec: ProcessSpec) -> list[bytes]:
    """Programs for the kernel's filter of system calls; none on machines whose numbers are not known."""
    from jettison.sandbox.seccomp import packed_program

    return [] if spec.privileged else [program for program in (packed_program(),) if program]


def _fakes(spec: ProcessSpec, single_id: bool) -> tuple[bytes, bytes, int]:
    """The programs that fake ids without and with notes, and the number of seccomp(2) for the latter.

    Another user than root may not change owners anywhere, so nothing is faked for it.
    """
    if not single_id or spec.uid:
        return b"", b"", 0
    from jettison.sandbox.fake_ids import packed_programs

    return *packed_programs(), 317 if os.uname().machine == "x86_64" else 277


def _memory(told: dict[str, Any], *, terminal: bool) -> int:
    """A file in memory with the child's code and what it is told; its number is 10 or above."""
    import marshal

    memory = os.memfd_create("step", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(_code(terminal))
            marshal.dump(told, file)
        os.lseek(memory, 0, os.SEEK_SET)
        return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    finally:
        os.close(memory)


@functools.cache
def _code(terminal: bool) -> bytes:
    """The child's modules, compiled: it would spend more time on that than on all else."""
    import marshal
    from importlib.util import find_spec

    out = []
    for name in _MODULES:
        if name == "inner_terminal" and not terminal:
            continue
        found = find_spec(f"jettison.sandbox.{name}")
        loader: Any = found.loader if found else None
        out.append((f"jettison.sandbox.{name}", loader.get_code(f"jettison.sandbox.{name}")))
    return marshal.dumps(out)


def _channel() -> tuple[int, int]:
    """Two ends, one for the child: it may send files along with what it says."""
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()


def _read(descriptor: int) -> str:
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1 << 12).decode(errors="replace")
    except BlockingIOError:
        return ""
