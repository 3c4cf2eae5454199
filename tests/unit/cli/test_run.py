from __future__ import annotations

import io
from pathlib import Path

import pytest

from jettison.cli.console import Console
from jettison.cli.options import parse
from jettison.cli.run import COMMAND, request_of
from jettison.container import ContainerRequest, Volume
from jettison.errors import UsageError


def request(*argv: str, **environment: str) -> ContainerRequest:
    console = Console(environment, io.StringIO(), io.StringIO(), io.StringIO())
    return request_of(parse(COMMAND, list(argv)), console)


def test_what_stands_behind_the_image_is_the_command() -> None:
    got = request("-w", "/x", "image", "ls", "-l", "--rm", "-e")
    assert (got.command, got.cwd) == (("ls", "-l", "--rm", "-e"), "/x")


def test_variables(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    path.write_text("# comment\n\nA=file\nHERE\n")
    got = request("--env-file", str(path), "-e", "A=1", "-e", "B", "-e", "MISSING", "i", B="2", HERE="3")
    assert got.env == ("A=file", "HERE=3", "A=1", "B=2")


def test_volumes(tmp_path: Path) -> None:
    source = str(tmp_path)
    got = request(
        *("-v", f"{source}:/a", "-v", f"{source}:/b/:ro", "-v", "/c", "--tmpfs", "/d:size=1m"),
        *("--mount", f"type=bind,src={source},dst=/e,readonly", "i"),
    )
    assert got.volumes == (
        Volume(source, "/a"),
        Volume(source, "/b", True),
        Volume("", "/c"),
        Volume(source, "/e", True),
        Volume("", "/d"),
    )


def test_an_empty_entrypoint_is_none_at_all() -> None:
    assert request("--entrypoint", "", "i", "sh").entrypoint == ()
    assert request("--entrypoint", "sh", "i").entrypoint == ("sh",)
    assert request("i").entrypoint is None


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["-v", "name:/x", "i"], "named volumes"),
        (["-v", "/nowhere-at-all:/x", "i"], "does not exist"),
        (["-v", "/tmp:x", "i"], "absolute"),
        (["-v", "/tmp:/", "i"], "absolute"),
        (["-v", "/tmp:/x:strange", "i"], "not understood"),
        (["--mount", "type=volume,src=x,dst=/y", "i"], "not understood"),
        (["--network", "bridge", "i"], "bridge"),
        (["-d", "i"], "not supported yet"),
        (["-w", "x", "i"], "absolute"),
        (["-e", "=1", "i"], "no name"),
        ([], "needs an argument"),
    ],
)
def test_what_is_wrong_is_named(argv: list[str], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        request(*argv)
    assert part in caught.value.message


def test_ports_are_noted() -> None:
    parsed = parse(COMMAND, ["-p", "80:80", "--rm", "--name", "x", "i"])
    assert [note.split()[0] for note in parsed.notes] == ["-p", "--name"]
