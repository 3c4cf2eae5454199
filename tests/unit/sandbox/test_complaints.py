from __future__ import annotations

import pytest

from jettison.sandbox.complaints import explain, find, lacks_seccomp, suspect

RUNC = "runc run failed: unable to start container process: "


def logged(message: str, level: str = "error") -> bytes:
    return f'{{"level":"warning","msg":"else"}}\n{{"level":"{level}","msg":"{message}"}}\n'.encode()


def test_log_of_a_failure() -> None:
    assert find(b"", logged("broken")) == "broken"
    assert find(b"", logged("broken", "warning")) is None
    assert find(b"", b"no json\n{\n[]\n") is None


def test_output_of_a_process_is_none() -> None:
    assert find(b"ls: nothing there\n", b"") is None
    assert find(b'{"msg":"mine","level":"error"}\n', b"") is None
    assert find(b"exec /a: no such file or directory\nmore\n", b"") is None


@pytest.mark.parametrize(
    ("complaint", "program", "status", "text"),
    [
        ("executable file `a` not found in $PATH: No such file or directory", "a", 127, "PATH of the image"),
        ("executable file `/a` not found in $PATH: No such file or directory", "/a", 127, "not found in the"),
        ("open executable: Permission denied", "/a", 126, "not an executable file"),
        ("exec container process `/a`: Exec format error", "/a", 126, "another platform?"),
        (
            "exec container process (missing dynamic library?) `/a`: No such file or directory",
            "/a",
            127,
            "linker",
        ),
        (RUNC + 'exec: "a": executable file not found in $PATH', "a", 127, "PATH of the image"),
        (RUNC + 'exec: "/a": stat /a: no such file or directory', "/a", 127, "not found in the image"),
        (RUNC + 'exec: "/a": permission denied', "/a", 126, "not an executable file"),
        ("exec /a: exec format error", "/a", 126, "another platform?"),
        ("exec /a: no such file or directory", "/a", 127, "linker"),
        (RUNC + "error mounting x", "/a", 0, "error mounting x"),
        ("chdir `/f`: Not a directory", "/a", 0, "chdir `/f`: Not a directory"),
    ],
)
def test_explanations(complaint: str, program: str, status: int, text: str) -> None:
    got, message = explain(complaint, program)
    assert got == status
    assert text in message
    if status:
        assert message.startswith(f'exec: "{program}": ')
    else:
        assert message == text


def test_suspects() -> None:
    assert suspect(b"runc run failed: x\n")
    assert suspect(b"exec /a: exec format error\n")
    assert not suspect(b"warning: x\n")
    assert not suspect(b"exec a\nexec b\n")


def test_missing_filters() -> None:
    assert lacks_seccomp("seccomp: config provided but seccomp not supported")
    assert not lacks_seccomp("chdir: not supported")
