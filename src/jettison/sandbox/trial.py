"""Tries one rung of the ladder for real: `python -m jettison.sandbox.trial RUNG RUNTIME FOLDER`.

It becomes who the rung needs, starts a process in its sandbox and mounts an overlay, both in FOLDER, which is
empty before and after. What came of it goes to standard output as a JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading

from jettison import kernel
from jettison.errors import JettisonError, SandboxError
from jettison.sandbox import identity, ladder
from jettison.sandbox.base import ProcessSpec
from jettison.sandbox.settings import ELSEWHERE, NOEXEC

_PROGRAM = "/nothing"
_NOT_FOUND = 127


def main(isolation: str, runtime: str, folder: str) -> int:
    """Try, and tell. The exit status is 0 whatever comes of it."""
    try:
        identity.become(isolation)
        answer = kernel.private_mounts(lambda: _inside(isolation, runtime, folder))
    except (JettisonError, OSError) as error:
        hint = error.hint if isinstance(error, JettisonError) else None
        answer = {"problem": getattr(error, "message", str(error)), "hint": hint or ""}
    finally:
        for name in os.listdir(folder):
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _inside(isolation: str, runtime: str, folder: str) -> dict[str, str]:
    rung = ladder.choose(isolation, runtime)
    rootfs, work = f"{folder}/rootfs", f"{folder}/work"
    for path in (rootfs, work, *(f"{rootfs}/{name}" for name in ("dev", "proc", "sys"))):
        os.mkdir(path)
    heard: list[bytes] = []
    # A program that is not there is missed only when all else stands.
    status = rung.sandbox.run(
        ProcessSpec(rootfs, (_PROGRAM,), ("PATH=/",)),
        lambda stream, data: heard.append(data),
        threading.Event(),
        work,
    )
    if status != _NOT_FOUND:
        text = b"".join(heard).decode("utf-8", "replace").strip()
        raise SandboxError(f"{rung.sandbox.name} failed with status {status}: {text}")
    overlay = _overlay(folder)
    if overlay and kernel.refuses_programs(folder):
        raise SandboxError(NOEXEC, hint=ELSEWHERE)
    return {
        "isolation": rung.isolation,
        "identity": rung.identity,
        "sandbox": rung.sandbox.name,
        "problem": "",
        "overlay": overlay,
    }


def _overlay(folder: str) -> str:
    """Why no overlay can be mounted in a folder; "" when it can."""
    names = ("lower", "upper", "over", "merged")
    for name in names:
        os.mkdir(f"{folder}/{name}")
    lower, upper, work, merged = (f"{folder}/{name}" for name in names)
    if not kernel.may_mount():
        return "nothing may be mounted"
    try:
        data = f"userxattr,index=off,volatile,lowerdir={lower},upperdir={upper},workdir={work}"
        kernel.mount("overlay", merged, "overlay", 0, data)
        kernel.umount(merged, kernel.MNT_DETACH)
        return ""
    except OSError as error:
        return error.strerror or str(error)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
