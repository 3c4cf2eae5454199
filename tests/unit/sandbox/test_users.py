from __future__ import annotations

import pytest

from jettison.errors import NotFound, SandboxError
from jettison.sandbox.users import User, lookup, needs_files, owner

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# comment:x:5:5::/:/bin/sh
app:x:1001:1002:app:/home/app:/bin/sh
broken:x:many:1::/:/bin/sh
short:x:7
lone:x:2001:2002::/nohome:/bin/sh
same:x:1001:9::/other:/bin/sh
nohome:x:3001:3002
"""
GROUP = b"root:x:0:\napp:x:1002:app\nextra:x:1500:app\nthird:x:1600:app, lone\nbad:x:no:app\nextra:x:1:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (), "/root")),
        ("root", User(0, 0, (), "/root")),
        ("app", User(1001, 1002, (1500, 1600), "/home/app")),
        ("app:third", User(1001, 1600, (), "/home/app")),
        ("app:9", User(1001, 9, (), "/home/app")),
        ("app:", User(1001, 1002, (1500, 1600), "/home/app")),
        ("1001", User(1001, 1002, (1500, 1600), "/home/app")),
        ("lone", User(2001, 2002, (1600,), "/nohome")),
        ("nohome", User(3001, 3002, (), "/")),
        ("4321", User(4321, 0, (), "/")),
        ("4321:8765", User(4321, 8765, (), "/")),
        ("4321:extra", User(4321, 1500, (), "/")),
    ],
)
def test_lookup(text: str, expected: User) -> None:
    assert lookup(text, PASSWD, GROUP) == expected


def test_lookup_without_files() -> None:
    assert lookup("0", None, None) == User(0, 0)
    assert lookup("", None, None) == User(0, 0)
    assert lookup("12:34", None, None) == User(12, 34)


@pytest.mark.parametrize(
    ("text", "passwd", "message"),
    [
        ("nosuchuser", PASSWD, "unable to find user nosuchuser: no matching entry"),
        ("nosuchuser", None, "unable to find user nosuchuser: the image has no /etc/passwd"),
        ("broken", PASSWD, "unable to find user broken"),
        ("app:nosuch", PASSWD, "unable to find group nosuch"),
        ("2147483648", PASSWD, "unable to find user 2147483648"),
        ("-1", PASSWD, "unable to find user -1"),
    ],
)
def test_lookup_of_unknown_names(text: str, passwd: bytes | None, message: str) -> None:
    with pytest.raises(SandboxError, match=message) as caught:
        lookup(text, passwd, GROUP)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234:5678", (1234, 5678)),
        ("1234", (1234, 1234)),
        ("1001", (1001, 1001)),
        ("0:9", (0, 9)),
        ("app", (1001, 1002)),
        ("app:extra", (1001, 1500)),
        ("77:extra", (77, 1500)),
        ("app:9", (1001, 9)),
    ],
)
def test_owner(text: str, expected: tuple[int, int]) -> None:
    assert owner(text, PASSWD, GROUP) == expected


@pytest.mark.parametrize("text", ["app", "app:1", "1:app"])
def test_owner_by_name_needs_the_files(text: str) -> None:
    with pytest.raises(NotFound, match="app"):
        owner(text, None, None)
    assert needs_files(text)


def test_numbers_need_no_files() -> None:
    assert not needs_files("1:2")
    assert not needs_files("1")
    assert owner("1", None, None) == (1, 1)
