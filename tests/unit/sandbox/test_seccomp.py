"""The filter program, interpreted here, against the rules and this machine's own numbers of system calls."""

from __future__ import annotations

import pytest

from jettison.sandbox import seccomp
from tests.unit.sandbox import bpf
from tests.unit.sandbox.bpf import ARM64, I386, X86_64
from tests.unit.sandbox.headers import numbers

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


def answer(number: int, first: int = 0, architecture: int = X86_64) -> int:
    return bpf.answer(seccomp.program(), {0: number, 4: architecture, 16: first & 0xFFFFFFFF})


@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_program_and_rules_agree(architecture: int) -> None:
    free = {name for rule in seccomp.rules()["syscalls"] if "args" not in rule for name in rule["names"]}
    table = numbers(architecture)
    for name in ("clone", "clone3", "personality", "socket"):
        del table[name]
    for name, number in table.items():
        assert answer(number, architecture=architecture) == (ALLOW if name in free else EPERM), name


@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_calls_that_depend_on_arguments(architecture: int) -> None:
    table = numbers(architecture)

    def ask(name: str, first: int) -> int:
        return answer(table[name], first, architecture)

    clone_newuser, sigchld, af_vsock, af_inet = 0x10000000, 17, 40, 2
    assert ask("clone", sigchld) == ALLOW
    assert ask("clone", clone_newuser | sigchld) == EPERM
    assert ask("clone3", 0) == ENOSYS
    assert ask("socket", af_inet) == ALLOW
    assert ask("socket", af_vsock) == EPERM
    assert ask("personality", 0xFFFFFFFF) == ALLOW
    assert ask("personality", 0x0040000) == EPERM


def test_unknown_calls_and_architectures() -> None:
    assert answer(100000) == ENOSYS
    assert answer(0x40000000 | 39) == ENOSYS
    assert answer(0, architecture=ARM64) == EPERM


def test_jumps_stay_inside() -> None:
    program = seccomp.program()
    assert len(program) < 4096
    for position, (code, true, false, operand) in enumerate(program):
        reach = operand if code == 0x05 else max(true, false)
        assert position + 1 + reach < len(program) or code in (0x06, 0x20)
        assert max(true, false) < 256
    assert program[-1][0] == 0x06
