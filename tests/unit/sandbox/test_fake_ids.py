"""The filter that fakes ids, interpreted here, against this machine's own numbers of system calls."""

from __future__ import annotations

import stat

import pytest

from jettison.sandbox import fake_ids
from tests.unit.sandbox import bpf
from tests.unit.sandbox.bpf import ARM64, I386, X86_64
from tests.unit.sandbox.headers import numbers

ALLOW, SUCCESS, ASK = 0x7FFF0000, 0x00050000, 0x7FC00000
OWNERS = {"chown", "fchown", "lchown", "fchownat"}
_IDS = "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset"
IDS = set(_IDS.split())
OWNERS_32 = {f"{name}32" for name in OWNERS - {"fchownat"}} | {"fchownat"}
IDS_32 = {f"{name}32" for name in IDS - {"capset"}}


def answer(name_or_number: int, *words: int, noted: bool = True, architecture: int = X86_64) -> int:
    values = {0: name_or_number, 4: architecture}
    values |= {16 + 8 * at: (words[at] if at < len(words) else 0) & 0xFFFFFFFF for at in range(6)}
    return bpf.answer(fake_ids.program("x86_64", noted=noted), values)


@pytest.mark.parametrize("architecture", [X86_64, I386])
@pytest.mark.parametrize("noted", [True, False])
def test_every_call_is_answered_as_it_should(architecture: int, noted: bool) -> None:
    asked = (OWNERS if architecture == X86_64 else OWNERS_32) if noted else set()
    faked = IDS | OWNERS | (IDS_32 | OWNERS_32 if architecture == I386 else set())
    for name, number in numbers(architecture).items():
        expected = ASK if name in asked else SUCCESS if name in faked else ALLOW
        assert answer(number, noted=noted, architecture=architecture) == expected, name


@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_only_device_nodes_are_none_of_the_kernels_business(architecture: int) -> None:
    table = numbers(architecture)
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        assert answer(table["mknod"], 0, kind | 0o600, 259, architecture=architecture) == ASK
        assert answer(table["mknodat"], 3, 0, kind | 0o600, architecture=architecture) == ASK
        assert answer(table["mknodat"], 3, 0, kind, noted=False, architecture=architecture) == SUCCESS
    for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, 0):
        assert answer(table["mknod"], 0, kind | 0o600, 259, architecture=architecture) == ALLOW
        assert answer(table["mknodat"], 3, 0, kind | 0o600, architecture=architecture) == ALLOW


def test_other_architectures() -> None:
    assert answer(92, architecture=ARM64) == ALLOW
    assert fake_ids.program("sparc", noted=True) == []
    program = fake_ids.program("aarch64", noted=True)
    words = {0: 54, 4: ARM64, **{16 + 8 * at: 0 for at in range(6)}}
    assert bpf.answer(program, words) == ASK
    assert bpf.answer(program, {**words, 0: 146}) == SUCCESS
