"""What keeps devices shut: the filter's answers, and a hook that hears the runtime out, as it has to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jettison import kernel
from jettison.sandbox.devices import program, shutting
from tests.unit.sandbox import bpf
from tests.unit.sandbox.bpf import ARM64, I386, X86_64
from tests.unit.sandbox.headers import numbers

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
RDONLY, ARM = 1, 0x40000028


def answer(number: int, flags: int = 0, architecture: int = X86_64, machine: str = "x86_64") -> int:
    return bpf.answer(program(machine), {0: number, 4: architecture, 40: flags})


def test_nothing_but_a_mount_that_would_lose_nodev_is_refused() -> None:
    table = numbers(X86_64)
    for name, number in table.items():
        expected = ENOSYS if name in ("mount_setattr", "open_tree_attr") else ALLOW
        assert answer(number) == expected, name
    remount = kernel.MS_REMOUNT
    for flags in (remount, remount | kernel.MS_BIND, remount | kernel.MS_BIND | kernel.MS_NOSUID):
        assert answer(table["mount"], flags) == EPERM
        assert answer(21, flags, I386) == EPERM
        assert answer(40, flags, ARM64, "aarch64") == EPERM
        assert answer(21, flags, ARM, "aarch64") == EPERM
        for harmless in (kernel.MS_NODEV, kernel.MS_NOEXEC, RDONLY):
            assert answer(table["mount"], flags | harmless) == ALLOW
    assert answer(table["mount"], kernel.MS_BIND) == ALLOW
    assert program("s390x") == []


@pytest.mark.parametrize("program", [shutil.which("mount"), ""])
def test_the_hook_reads_all_that_the_runtime_tells(tmp_path: Path, program: str) -> None:
    words = shutting(str(tmp_path / "none"), shutil.which("sh") or "", program)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        # More than a pipe holds: this is a BrokenPipeError if the other end goes away unread.
        process.stdin.write(b'{"ociVersion":"1.0.2"}\n' * 20_000 + b"{}")
        process.stdin.close()
    assert process.returncode != 0, "there is nothing to be remounted"
