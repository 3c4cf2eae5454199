"""The filter of system calls: what an ordinary container may ask of the kernel, as Docker's default has it.

seccomp.json lists the calls that are allowed by name, and by number for the
architectures that this module can write a filter program for itself.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from typing import Any

_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}

_NAMESPACE_FLAGS = 0x7E020000
"""All CLONE_NEW* bits that clone(2) takes, CLONE_NEWNS among them."""

ENOSYS = 38
_AF_VSOCK = 40

RAW_FILTER = "run.oci.seccomp_bpf_data"
"""The annotation by which crun takes a filter program instead of making one, which costs it 15 ms."""

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
"""What a filter answers (linux/seccomp.h); ERRNO has the error number in its low half, 0 is success."""
EPERM = 1

LOAD, JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL, JUMP_SET, RETURN = (
    0x20,
    0x15,
    0x25,
    0x35,
    0x45,
    0x06,
)
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data (linux/seccomp.h); the argument's low half, on little-endian machines."""

AUDIT = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
"""What the kernel calls the architectures (linux/audit.h)."""

Instruction = tuple[int, int, int, int]
"""One struct sock_filter: code, jump if true, jump if false, operand."""


@functools.cache
def _data() -> dict[str, Any]:
    with open(os.path.join(os.path.dirname(__file__), "seccomp.json"), "rb") as file:
        data: dict[str, Any] = json.load(file)
    return data


def rules() -> dict[str, Any]:
    """The filter: what seccomp.json lists is allowed, a few calls depend on arguments, the rest is EPERM."""
    data = _data()
    calls: list[dict[str, Any]] = [{"names": data["allow"], "action": "SCMP_ACT_ALLOW"}]
    calls += [_rule("personality", 0, value, "SCMP_CMP_EQ") for value in data["personalities"]]
    calls += [
        _rule("socket", 0, _AF_VSOCK, "SCMP_CMP_NE"),
        # No new namespaces; s390 has the flags in the second argument.
        _rule("clone", int(os.uname().machine == "s390x"), _NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ"),
        # Its flags are out of a filter's sight; the C library falls back to clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]
    filter_: dict[str, Any] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": calls}
    architectures = _ARCHITECTURES.get(os.uname().machine)
    if architectures:
        filter_["architectures"] = list(architectures)
    return filter_


def _rule(name: str, index: int, value: int, operator: str) -> dict[str, Any]:
    argument = {"index": index, "value": value, "op": operator}
    if operator == "SCMP_CMP_MASKED_EQ":
        argument["valueTwo"] = 0
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]}


@functools.cache
def raw_program() -> str:
    """The filter as a program for the kernel, in base64; "" on machines it has no numbers for."""
    import base64

    return base64.b64encode(packed_program()).decode()


@functools.cache
def packed_program() -> bytes:
    """The filter as a program for the kernel; b"" on machines it has no numbers for."""
    return packed(program()) if os.uname().machine == "x86_64" else b""


def packed(instructions: Iterable[Instruction]) -> bytes:
    """Instructions as the kernel reads them."""
    import struct

    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def program() -> list[Instruction]:
    """The filter for x86_64 and i386 programs: the same answers as `rules`, and ENOSYS for newer calls.

    Programs are as plain as can be, all jumps short: the kernel keeps its own table of always allowed calls.
    """
    out: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE)]
    for name, table in _data()["numbers"].items():
        part = _architecture(table)
        out.append((JUMP_EQUAL, 1, 0, AUDIT[name]))
        # A long jump: conditional ones reach 255 instructions only.
        out.append((0x05, 0, 0, len(part)))
        out += part
    out.append((RETURN, 0, 0, ERRNO | EPERM))
    return out


def _architecture(table: dict[str, Any]) -> list[Instruction]:
    denied, missing = (RETURN, 0, 0, ERRNO | EPERM), (RETURN, 0, 0, ERRNO | ENOSYS)
    allowed = (RETURN, 0, 0, ALLOW)
    out: list[Instruction] = [(LOAD, 0, 0, NUMBER), (_JUMP_GREATER, 0, 1, table["last"]), missing]
    out += [(JUMP_EQUAL, 0, 1, table["clone3"]), missing]
    first: Instruction = (LOAD, 0, 0, FIRST_ARGUMENT)
    out += [(JUMP_EQUAL, 0, 4, table["clone"]), first, (JUMP_SET, 0, 1, _NAMESPACE_FLAGS), denied, allowed]
    out += [(JUMP_EQUAL, 0, 4, table["socket"]), first, (JUMP_EQUAL, 0, 1, _AF_VSOCK), denied, allowed]
    kinds = _data()["personalities"]
    out += [(JUMP_EQUAL, 0, 2 + 2 * len(kinds), table["personality"]), first]
    for kind in kinds:
        out += [(JUMP_EQUAL, 0, 1, kind), allowed]
    out.append(denied)
    for low, high in table["ranges"]:
        out += [(_JUMP_GREATER, 3, 0, high), (_JUMP_GREATER_EQUAL, 0, 1, low), allowed, denied]
    out.append(denied)
    return out
