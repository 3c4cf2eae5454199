"""Programs for the kernel's filter of system calls, interpreted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

X86_64, I386, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7


def answer(program: Sequence[tuple[int, int, int, int]], values: Mapping[int, int]) -> int:
    """What a program returns for a call. `values` has the words that it may load, by their offsets."""
    position = accumulator = 0
    while True:
        code, true, false, operand = program[position]
        position += 1
        if code == 0x20:
            accumulator = values[operand]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x05:
            position += operand
        elif code == 0x06:
            return operand
        else:
            tests = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: accumulator & operand != 0,
            }
            position += true if tests[code] else false
