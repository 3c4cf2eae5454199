"""The numbers of system calls, from the kernel's own headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.sandbox.bpf import I386, X86_64

HEADERS = {X86_64: "64", I386: "32"}


def numbers(architecture: int) -> dict[str, int]:
    """By name; the test is skipped where there are no headers."""
    path = Path(f"/usr/include/x86_64-linux-gnu/asm/unistd_{HEADERS[architecture]}.h")
    if not path.exists():
        pytest.skip("needs the kernel's headers (package linux-libc-dev)")
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)\n", path.read_text())}
