"""Texts that would take all time or all memory: each is answered at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from jettison.dockerfile import glob
from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.expand import expand
from jettison.dockerfile.parser import parse
from jettison.errors import DockerfileError
from jettison.graph.lower import image_triggers, lower
from jettison.graph.scope import GlobalScope
from jettison.graph.stages import build_stage_graph
from jettison.graph.state import ResolvedImage, Settings
from jettison.graph.vertex import BuildGraph
from jettison.oci.config import ImageConfig
from jettison.platforms import Platform
from jettison.solver.state import SolverState


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


def test_an_ignore_file_has_a_limit() -> None:
    with pytest.raises(DockerfileError, match="more than 10,000 patterns"):
        parse_ignore(b"".join(b"a%d\n" % number for number in range(100_000)))


def test_triggers_have_a_limit() -> None:
    config = ImageConfig("linux", "amd64", config={"OnBuild": ["LABEL a=b"] * 20_001})
    stages = build_stage_graph(parse(b"FROM base"), GlobalScope({}, {}), (), Platform("linux", "amd64"))
    with pytest.raises(DockerfileError, match="20,001 ONBUILD instructions"):
        image_triggers(ResolvedImage("base", config), stages.plans[0], "\\")


def test_a_variable_made_of_itself() -> None:
    value = "a" * 10
    with pytest.raises(DockerfileError, match="longer than"):
        for _ in range(40):
            value = expand("$A" * 10, {"A": value}.get, "\\")
    assert len(value) < 1 << 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\n" + "#" * (16 << 20), "larger than 16 MiB"),
        ("FROM scratch\n" * 20_001, "more than 20,000 instructions"),
        ("FROM scratch\nLABEL a=" + "x" * (1 << 20), "longer than 1 MiB"),
        ("FROM scratch\nLABEL a=b " + "\\\n x" * 700_000, "longer than 1 MiB"),
        ("FROM scratch\nRUN " + "--mount=type=tmpfs,target=/t " * 257 + "true", "more than 256 mounts"),
        ("FROM scratch\n" + "RUN <<E\n" * 10_000, "unterminated here-document"),
        ("FROM scratch\nRUN " + "<<E " * 10_000, "unterminated here-document"),
        ("FROM scratch\nCMD " + "[" * 1_000_000, ""),
    ],
)
def test_a_dockerfile_has_limits(text: str, said: str) -> None:
    if not said:
        assert parse(text.encode()).stages
        return
    with pytest.raises(DockerfileError) as caught:
        parse(text.encode())
    assert [problem.message for problem in caught.value.problems if said in problem.message], caught.value
    assert len(str(caught.value)) < 500


def lowered(lines: list[str]) -> BuildGraph:
    """The graph of the last stage of a Dockerfile."""
    dockerfile, platform = parse("\n".join(lines).encode()), Platform("linux", "amd64")
    scope = GlobalScope({}, {})
    stages = build_stage_graph(dockerfile, scope, (), platform)
    target = stages.plans[-1]
    needed = stages.needed([target.stage.index], {})
    return lower(stages, [target], needed, {}, (), Settings(dockerfile.escape, scope, platform))


def test_what_variables_come_to_altogether() -> None:
    """Each value is small enough; all of them would fill the memory."""
    lines = ["FROM scratch", f"ARG A={'x' * 200_000}", *(f"LABEL b{number}=$A" for number in range(1000))]
    with pytest.raises(DockerfileError, match="more than 64 Mi characters") as caught:
        lowered(lines)
    assert caught.value.location is not None and 300 < caught.value.location.first_line < 400


def test_ten_thousand_stages() -> None:
    """They take time in proportion, not by their square."""
    lines = ["FROM scratch AS s0", "COPY f /"]
    for number in range(1, 9000):
        lines += [f"FROM scratch AS s{number}", f"COPY --from=s{number - 1} /f /f"]
    state = SolverState.begin(lowered(lines), {})
    while not state.done:
        name = state.start()
        assert name is not None
        state.finish(name, ())
    assert len(state.results) == 9000
