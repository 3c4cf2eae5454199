"""Dockerfiles of any bytes, and of well-formed pieces."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from jettison.dockerfile import Dockerfile, parse, parse_trigger
from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.expand import expand_instruction
from jettison.dockerfile.glob import match
from jettison.dockerfile.instructions import Onbuild
from jettison.dockerfile.render import render
from jettison.errors import DockerfileError

_FRAGMENTS = st.sampled_from(
    [
        "FROM",
        "x AS a",
        "RUN",
        "COPY",
        "ADD",
        "ENV",
        "ARG",
        "LABEL",
        "CMD",
        "ONBUILD",
        "EXPOSE",
        "VOLUME",
        "USER",
        "WORKDIR",
        "SHELL",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "MAINTAINER",
        "--from=a",
        "--mount=type=cache,target=/k",
        "--chmod=755",
        "--link",
        "--",
        "<<E",
        "<<-E",
        "3<<'E F'",
        "E",
        "\tE",
        "E F",
        "a",
        "a=b",
        "=",
        '"',
        "'",
        "\\",
        "`",
        "$A",
        "${A:-",
        "${A#x}",
        "}",
        "[",
        "]",
        '["a", "b"]',
        '["a", 1]',
        "\\u00e9",
        "/",
        "/d/",
        "80",
        "80/tcp",
        "#",
        "# escape=`",
        "# check=x",
        "NONE",
        "CMD x",
        "--interval=1s",
        "\ufeff",
        "\x0c",
        "\x0b",
        "\x85",
        "\u2028",
        ",",
    ]
)
_SOURCES = st.lists(
    st.one_of(
        _FRAGMENTS, st.sampled_from([" ", "\n", "\n", "\r\n", "\\\n", "`\n", " \\ \n"]), st.text(max_size=3)
    ),
    max_size=40,
).map("".join)


def try_parse(data: bytes) -> Dockerfile | None:
    try:
        return parse(data)
    except DockerfileError as error:
        assert 0 < len(error.problems) <= 20
        assert all(problem.location is not None for problem in error.problems)
        assert all(len(problem.message) < 400 for problem in error.problems)
        return None


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_give_a_dockerfile_error(data: bytes) -> None:
    try_parse(data)
    try_parse(b"FROM x\nRUN " + data)


@given(_SOURCES)
@example("\nRUN a \\ \x0b\nUSER b")
@example("\nRUN a\\\n  \\\n")
@example("\nCOPY <<A <<A /\n1\nA\n2\nA\n")
def test_rendered_files_parse_to_the_same(source: str) -> None:
    for text in (source, "FROM x" + source, "FROM x\n" + source, "# escape=`\nFROM x\n" + source):
        dockerfile = try_parse(text.encode())
        if dockerfile is not None:
            assert parse(render(dockerfile).encode()) == dockerfile


@given(_SOURCES, st.dictionaries(st.sampled_from("AB"), st.text(max_size=5)))
def test_expansion_gives_a_dockerfile_error_or_an_instruction(source: str, values: dict[str, str]) -> None:
    dockerfile = try_parse(b"FROM x\n" + source.encode())
    if dockerfile is None:
        return
    for instruction in dockerfile.stages[0].instructions:
        try:
            expanded = expand_instruction(instruction, values.get, dockerfile.escape)
        except DockerfileError as error:
            assert error.location == instruction.location
            continue
        assert type(expanded) is type(instruction)
        assert (expanded.text, expanded.location) == (instruction.text, instruction.location)


@given(_SOURCES)
def test_recorded_triggers_parse_to_the_same_instruction(source: str) -> None:
    dockerfile = try_parse(b"FROM x\nONBUILD " + source.encode())
    if dockerfile is None:
        return
    for instruction in dockerfile.stages[0].instructions:
        if isinstance(instruction, Onbuild) and not instruction.text.endswith("\\"):
            again = parse_trigger(instruction.trigger, dockerfile.escape, instruction.location)
            assert again == instruction.instruction


_PATTERNS = st.text("ab*?[]^-\\/!.", max_size=10)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "-"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(_PATTERNS, max_size=5), st.lists(_PATHS, min_size=1, max_size=6))
def test_the_deciding_line_agrees_with_the_answer(lines: list[str], paths: list[str]) -> None:
    try:
        patterns = parse_ignore("\n".join(lines).encode())
    except DockerfileError:
        return
    matcher = Matcher(patterns)
    for path in paths:
        decided = matcher.why(path)
        assert matcher.ignored(path) == (decided is not None and not decided.negated)
        parent = path.rpartition("/")[0]
        if parent and matcher.ignored(parent) and not matcher.ignored(path):
            assert matcher.may_reinclude_below(parent)


@given(_PATTERNS, _PATHS)
def test_globs_never_fail_otherwise(pattern: str, path: str) -> None:
    try:
        match(pattern, path)
    except DockerfileError as error:
        assert error.message
