"""A process in the state that a step left or found, beside any build: what it changes is thrown away."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from posixpath import basename

from jettison.dataclass import dataclass, replace
from jettison.errors import NotFound
from jettison.executor.mounts import Targets
from jettison.executor.run import RunSettings, entered, prepare, runtime_folder
from jettison.graph.ops import RunOp
from jettison.graph.vertex import Vertex
from jettison.kernel import private_mounts
from jettison.sandbox.base import Mount
from jettison.store.base import FileTree
from jettison.store.resolve import resolve
from jettison.store.snapshot import Stub
from jettison.store.store import Store

_SHELLS = ("bash", "sh", "ash", "dash", "zsh", "ksh", "mksh", "fish")
_FIRST = ("/bin/bash", "/bin/sh", "/bin/ash")
_TOOLS = "/.jettison"
_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/usr/local/bin/busybox")
_INTERPRETER = 3
"""The program header of ELF that names a dynamic linker."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a process can be started: the root filesystem in `layers`, and how a step was run in it.

    `inputs` are the layers of the vertex's inputs, by their ids.
    """

    vertex: Vertex
    op: RunOp
    layers: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to start: words, or a script for the shell; neither: the shell itself. `term` is "" without a
    terminal, else its kind."""

    words: tuple[str, ...] = ()
    script: str | None = None
    term: str = ""


def missing(state: State, settings: RunSettings) -> list[str]:
    """What the step had and nobody gave now: its secrets and agents, as options of the command line."""
    mounts = state.op.mounts
    secrets = [f"--secret id={one.id}" for one in mounts if one.type == "secret"]
    secrets = [text for text in secrets if settings.secrets.value(text.partition("id=")[2]) is None]
    agents = [f"--ssh {one.id}" for one in mounts if one.type == "ssh" and one.id not in settings.ssh]
    return list(dict.fromkeys([*secrets, *agents]))


def start(store: Store, state: State, settings: RunSettings, wish: Wish, cancel: threading.Event) -> int:
    """Run to the end, with this process's streams or terminal, and give the exit status.

    Secrets that nobody gave are left out. Raises SandboxError, StoreError, Cancelled, and NotFound when
    there is no shell.
    """
    op = replace(state.op, mounts=tuple(replace(one, required=False) for one in state.op.mounts))
    step = prepare(store, state.vertex, op, state.layers, state.inputs, settings)
    args, tool = wish.words, ""
    if not args:
        shell, tool = _shell(store.view(state.layers), op)
        args = shell if wish.script is None else (*shell, "-c", wish.script)
    if tool:
        targets = step.targets
        step = replace(step, targets=Targets(targets.paths, [*targets.missing, Stub(_TOOLS[1:], "dir")]))
    # It may go on for hours, in which all else may be removed.
    store.session.need_only([*state.layers, *(layer for stack in state.inputs.values() for layer in stack)])
    with store.new_work_dir() as work:

        def inside() -> int:
            with entered(step, work, cancel) as spec:
                mounts = (*spec.mounts, _brought(tool, f"{work.path}/tools")) if tool else spec.mounts
                env = _environment(spec.env, wish.term, tool)
                spec = replace(spec, args=args, env=env, mounts=mounts, terminal=bool(wish.term))
                return settings.sandbox().run(spec, None, cancel, runtime_folder(work))

        return private_mounts(inside)


def _environment(env: tuple[str, ...], term: str, tool: str) -> tuple[str, ...]:
    """The step's variables; with the kind of terminal, and behind all else in PATH what was brought along."""
    names = dict(item.partition("=")[::2] for item in env)
    if term:
        names.setdefault("TERM", term)
    if tool:
        names["PATH"] = f"{names['PATH']}:{_TOOLS}" if names.get("PATH") else _TOOLS
    return tuple(f"{name}={value}" for name, value in names.items())


def _shell(view: FileTree, op: RunOp) -> tuple[tuple[str, ...], str]:
    """The words of a shell, and the program of this machine that has to be mounted for it, if any.

    The step's own, else bash, else sh.
    """
    own = op.args[0]
    wanted = [own] if basename(own) in _SHELLS and own != "/bin/sh" else []
    for program in (*wanted, *_FIRST):
        if _is_program(view, program):
            return (program,), ""
    for program in _BUSYBOX:
        if _is_static(program):
            return (f"{_TOOLS}/busybox", "sh"), program
    raise NotFound(
        "there is no shell in this root filesystem, and no static busybox on this machine to bring along",
        hint="install the package busybox-static, or name a program that is there: … -- /app --version",
    )


def _brought(tool: str, folder: str) -> Mount:
    """A folder with a busybox of this machine under all its names."""
    from shutil import copyfile
    from subprocess import run

    os.mkdir(folder)
    copyfile(tool, f"{folder}/busybox")
    for path in (folder, f"{folder}/busybox"):
        os.chmod(path, 0o755)
    listed = run([tool, "--list"], capture_output=True, text=True, timeout=10, check=False).stdout
    for name in listed.split():
        with suppress(OSError):
            os.symlink("busybox", f"{folder}/{name}")
    return Mount("bind", _TOOLS, folder, read_only=True)


def _is_program(view: FileTree, path: str) -> bool:
    node = view.lookup(resolve(view, path))
    return node is not None and node.kind == "file" and bool(node.mode & 0o111)


def _is_static(path: str) -> bool:
    """Whether a file is a program of this machine that needs no others: ELF, 64 bits, no dynamic linker."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:5] != b"\x7fELF\x02" or not os.access(path, os.X_OK):
                return False
            order = "<" if head[5] == 1 else ">"
            start, size, count = struct.unpack(f"{order}32xQ14xHH6x", head)
            file.seek(start)
            table = file.read(size * count)
    except (OSError, struct.error):
        return False
    kinds = [struct.unpack_from(f"{order}I", table, at)[0] for at in range(0, len(table), size)]
    return bool(kinds) and _INTERPRETER not in kinds
