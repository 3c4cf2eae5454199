from __future__ import annotations

import pytest

from jettison.dockerfile.glob import is_pattern, match
from jettison.errors import DockerfileError


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*", ".hidden", True),
        ("*", "", True),
        ("*c", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("ab[^^]", "ab^", False),
        ("ab[!c]", "ab!", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a?b", "a/b", False),
        ("a[^a]b", "a/b", False),
        (r"[\]a]", "]", True),
        (r"[\-x]", "-", True),
        (r"[x\-]", "x", True),
        ("[z-a]", "b", False),
        ("arr[[]0].txt", "arr[0].txt", True),
        ("a.c", "abc", False),
        ("a**c", "abbc", True),
        ("src/**/*.txt", "src/a.txt", True),
        ("src/**/*.txt", "src/x/y/a.txt", True),
        ("src/**/*.txt", "other/a.txt", False),
        ("**/a", "a", True),
        ("**/a", "x/y/a", True),
        ("x/**", "x", False),
        ("x/**", "x/y/z", True),
        ("**", "x/y", True),
    ],
)
def test_match(pattern: str, name: str, expected: bool) -> None:
    assert match(pattern, name) is expected


@pytest.mark.parametrize("pattern", ["[", "[]a]", "[-]", "[x-]", "[-x]", "a[", "[a", "a\\", "[a-b-c]", "[^"])
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(DockerfileError):
        match(pattern, "a")


def test_is_pattern() -> None:
    assert [is_pattern(text) for text in ("a/b.c", "a*", "a?", "[a", "a\\b")] == [
        False,
        True,
        True,
        True,
        True,
    ]
