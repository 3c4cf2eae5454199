"""Texts that would take all time or all memory: each is answered at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from jettison.dockerfile import glob
from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.expand import expand
from jettison.errors import DockerfileError


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """No test here may take longer than ten seconds: matching listens to signals."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def ignored(pattern: str, path: str) -> bool:
    return Matcher(parse_ignore(pattern.encode())).ignored(path)


BOMBS = ["*a" * 60 + "b", "*?" * 60 + "b", "**/a/" * 60 + "b", "**/" * 60 + "b", "**/*a*a*a/" * 20 + "b"]


@pytest.mark.parametrize("matches", [glob.match, ignored])
@pytest.mark.parametrize("pattern", BOMBS)
def test_wildcards(matches: Callable[[str, str], bool], pattern: str) -> None:
    for path in ("a" * 250, "a/" * 250 + "c", "aaaa/" * 100 + "aaa"):
        assert not matches(pattern, path)
    assert matches(pattern, "a/" * 60 + "b") == pattern.startswith(("**/a/", "**/**"))


def test_classes_in_an_ignore_file_have_a_limit() -> None:
    """They may stand for a slash, so all places have to be tried."""
    with pytest.raises(DockerfileError, match="more wildcards"):
        parse_ignore(b"*[a]" * 20)
    assert ignored("**/*[ab]*.py[co]", "x/a1.pyc")


def test_a_variable_made_of_itself() -> None:
    value = "a" * 10
    with pytest.raises(DockerfileError, match="longer than"):
        for _ in range(40):
            value = expand("$A" * 10, {"A": value}.get, "\\")
    assert len(value) < 1 << 20
