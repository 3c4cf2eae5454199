"""What OCI runtimes say when a process cannot be started, turned into one clear line."""

from __future__ import annotations

import json
import re

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126

_LATE_RUNC = re.compile(
    r"exec (?P<path>/.*): (?P<why>exec format error|no such file or directory|permission denied)"
)
"""What runc writes to the step's own output, when the last system call fails."""

_LATE_CRUN = re.compile(r"exec container process ")


_PREFIXES = (
    b'{"',
    b"exec ",
    b"executable ",
    b"open executable",
    b"chdir ",
    b"runc run failed",
    b"seccomp",
    b"writing to pipe",
)


def suspect(data: bytes) -> bool:
    """Whether output may come from the runtime and not from the process. Wrong guesses do no harm."""
    return data.startswith(_PREFIXES) and data.count(b"\n") <= 1


def find(held: bytes, log: bytes) -> str | None:
    """The runtime's complaint, from its log or from the only thing written; None: the process did run.

    Only asked after a status other than 0.
    """
    for line in reversed(log.decode(errors="replace").splitlines()):
        message = _message(line)
        if message is not None:
            return message
    text = held.decode(errors="replace").strip()
    if "\n" in text or not text:
        return None
    message = _message(text)
    if message is not None and _LATE_CRUN.match(message):
        return message
    return text if _LATE_RUNC.fullmatch(text) else None


def _message(line: str) -> str | None:
    """The text of one log line in JSON, if it reports an error."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("level") not in ("error", "fatal"):
        return None
    return str(record.get("msg", ""))


def lost(complaint: str) -> bool:
    """Whether the true complaint got lost: the child of crun ended too early, while a hook still ran.

    A program that is not in the image does that, now and then.
    """
    return "writing to pipe: Broken pipe" in complaint or "error executing hook" in complaint


def refused(complaint: str) -> bool:
    """Whether a mount could not be made or changed, which comes before anything of a step."""
    lowered = complaint.lower()
    return "mount" in lowered or "propagation" in lowered


def lacks_seccomp(complaint: str) -> bool:
    """Whether the runtime or the kernel was built without system call filters."""
    lowered = complaint.lower()
    return "seccomp" in lowered and ("not supported" in lowered or "not enabled" in lowered)


def explain(complaint: str, program: str) -> tuple[int, str]:
    """(127 or 126, a message) when the program is at fault; (0, the complaint shortened) when not."""
    lowered = complaint.lower()
    quoted = f'exec: "{program}"'
    if "exec format error" in lowered:
        return _NOT_EXECUTABLE, f"{quoted}: exec format error: image is for another platform?"
    if _LATE_CRUN.match(complaint) or _LATE_RUNC.fullmatch(complaint):
        if "no such file" in lowered:
            return _NOT_FOUND, f"{quoted}: its interpreter or dynamic linker is not found in the image"
        return _NOT_EXECUTABLE, f"{quoted}: permission denied"
    about_program = "executable" in lowered or 'exec: "' in lowered
    if about_program and ("not found" in lowered or "no such file" in lowered):
        where = "not found in the image" if "/" in program else "not found in PATH of the image"
        return _NOT_FOUND, f"{quoted}: {where}"
    if about_program and ("permission denied" in lowered or "not permitted" in lowered):
        return _NOT_EXECUTABLE, f"{quoted}: not an executable file"
    if about_program and "is a directory" in lowered:
        return _NOT_EXECUTABLE, f"{quoted}: is a directory"
    return 0, complaint.removeprefix("runc run failed: ").removeprefix("unable to start container process: ")
