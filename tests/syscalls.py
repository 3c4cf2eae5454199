"""A program without a C library that makes a few system calls, and writes what the kernel answers to each.

For x86-64, and there for its 32-bit calls too, which a filter of system calls must not forget.
"""

from __future__ import annotations

import struct

from jettison.dataclass import dataclass

_BASE = 0x400000
_ANSWERS = 0x600000
_REGISTERS = (b"\x48\xb8", b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9")
"""mov rax/rdi/rsi/rdx/r10/r8/r9, …"""
_OLD = (b"\xb8", b"\xbb", b"\xb9", b"\xba", b"\xbe", b"\xbf", b"\xbd")
"""mov eax/ebx/ecx/edx/esi/edi/ebp, …"""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call by its number. Bytes among the arguments are passed by address.

    `answer_of` is the place of an earlier call whose answer is the first argument. `old` is the 32-bit table.
    """

    name: str
    number: int
    arguments: tuple[int | bytes, ...] = ()
    answer_of: int = -1
    old: bool = False


def program(calls: list[Call]) -> bytes:
    """An ELF file that makes the calls, and writes a signed number of 64 bits for each to its output."""
    data = b"".join(item for call in calls for item in call.arguments if isinstance(item, bytes))
    size = len(_code(calls, 0))
    code = _code(calls, _BASE + 120 + size)
    whole = 120 + len(code) + len(data)
    # ELF header and two segments would be 176 bytes: one segment that is all (read, write, execute) will do.
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    memory = _ANSWERS - _BASE + 8 * len(calls)
    return header + struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, whole, memory, 4096) + code + data


def _code(calls: list[Call], data: int) -> bytes:
    out = b""
    for place, call in enumerate(calls):
        values: list[int] = [call.number]
        for item in call.arguments:
            values.append(data if isinstance(item, bytes) else item)
            data += len(item) if isinstance(item, bytes) else 0
        values += [0] * (7 - len(values))
        if call.old:
            out += b"".join(
                op + struct.pack("<I", value & 0xFFFFFFFF) for op, value in zip(_OLD, values, strict=True)
            )
            out += b"\xcd\x80\x48\x98"  # int 0x80; cdqe
        else:
            out += b"".join(
                op + struct.pack("<Q", value & (1 << 64) - 1)
                for op, value in zip(_REGISTERS, values, strict=True)
            )
            if call.answer_of >= 0:
                out += b"\x48\xbb" + struct.pack("<Q", _ANSWERS + 8 * call.answer_of) + b"\x48\x8b\x3b"
            out += b"\x0f\x05"
        out += b"\x48\xbb" + struct.pack("<Q", _ANSWERS + 8 * place) + b"\x48\x89\x03"
    end = ((1, 1, _ANSWERS, 8 * len(calls), 0, 0, 0), (60, 0, 0, 0, 0, 0, 0))
    for values_ in end:
        out += b"".join(op + struct.pack("<Q", value) for op, value in zip(_REGISTERS, values_, strict=True))
        out += b"\x0f\x05"
    return out
