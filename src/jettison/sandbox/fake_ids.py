"""Where there is one id only: a filter that lets what would need another one seem to succeed.

Package managers give files to users and groups, switch to them, and make device nodes. In a user namespace
with a single id the kernel refuses all of that. The filter answers such calls itself, with success, and
nothing is done; or it has the ones noted that matter for the image.
"""

from __future__ import annotations

import functools
import os

from jettison.sandbox.noted_ids import NOTED
from jettison.sandbox.seccomp import (
    ALLOW,
    ARCHITECTURE,
    AUDIT,
    ERRNO,
    FIRST_ARGUMENT,
    JUMP_EQUAL,
    LOAD,
    NUMBER,
    RETURN,
    Instruction,
    packed,
)

_FAKED = {
    "x86_64": (92, 93, 94, 260, 105, 106, 113, 114, 117, 119, 122, 123, 116, 126),
    "i386": (
        *(16, 182, 95, 198, 207, 212, 298, 23, 46, 70, 71, 164, 170, 138, 139, 81),
        *(213, 214, 203, 204, 206, 208, 210, 215, 216, 185),
    ),
    "aarch64": (54, 55, 143, 144, 145, 146, 147, 149, 151, 152, 159, 91),
}
"""chown and set*id in all their forms, setgroups, capset: the numbers of these calls."""

_NODES = {"x86_64": {133: 1, 259: 2}, "i386": {14: 1, 297: 2}, "aarch64": {33: 2}}
"""mknod and mknodat: which argument says what kind of file to make."""

_ON = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}
"""Whose programs a machine runs."""

_KIND_MASK, _DEVICES = 0o170000, (0o020000, 0o060000)
_AND = 0x54
_ASK = 0x7FC00000
_JUMP = 0x05


@functools.cache
def packed_programs() -> tuple[bytes, bytes]:
    """The filter for the kernel without and with notes; b"" on machines whose numbers are not known."""
    machine = os.uname().machine
    return packed(program(machine, noted=False)), packed(program(machine, noted=True))


def program(machine: str, *, noted: bool) -> list[Instruction]:
    """The filter for all programs that a machine runs; what it does not fake, it allows.

    With `noted` the kernel asks us about some of the calls (`noted_ids.py`).
    """
    out: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE)]
    for name in _ON.get(machine, ()):
        part = _part(name, noted)
        out += [(JUMP_EQUAL, 1, 0, AUDIT[name]), (_JUMP, 0, 0, len(part)), *part]
    return [*out, (RETURN, 0, 0, ALLOW)] if len(out) > 1 else []


def _part(name: str, noted: bool) -> list[Instruction]:
    fake: Instruction = (RETURN, 0, 0, ERRNO)
    ask: Instruction = (RETURN, 0, 0, _ASK) if noted else fake
    out: list[Instruction] = [(LOAD, 0, 0, NUMBER)]
    for number in _FAKED[name]:
        out += [(JUMP_EQUAL, 0, 1, number), ask if number in NOTED[name] else fake]
    for number, argument in _NODES[name].items():
        kind = [(LOAD, 0, 0, FIRST_ARGUMENT + 8 * argument), (_AND, 0, 0, _KIND_MASK)]
        kind += [step for device in _DEVICES for step in ((JUMP_EQUAL, 0, 1, device), ask)]
        out += [(JUMP_EQUAL, 0, len(kind) + 1, number), *kind, (RETURN, 0, 0, ALLOW)]
    return [*out, (RETURN, 0, 0, ALLOW)]
