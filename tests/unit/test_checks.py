"""The linter in a build: what it found last time is what it finds, as long as nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import jettison.lint.building
from jettison.checks import checks_of
from jettison.dockerfile.parser import parse
from jettison.errors import DockerfileError
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import build_stage_graph
from jettison.graph.state import ResolvedImage
from jettison.oci.config import ImageConfig
from jettison.platforms import Platform
from jettison.store.store import Store

HERE = Platform("linux", "amd64")
TEXT = "FROM base:1\nCOPY ignored /\nARG V=1\nENV P=$GOPATH\nCMD x\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def found(
    store: Store, folder: Path, text: str = TEXT, env: str = "", arguments: dict[str, str] | None = None
) -> list[tuple[str, int]]:
    path = folder / "Dockerfile"
    path.write_text(text)
    dockerfile = parse(text.encode(), str(path))
    scope = GlobalScope(arguments or {}, platform_args(HERE, HERE, ""))
    stages = build_stage_graph(dockerfile, scope, set(), HERE)
    config = ImageConfig("linux", "amd64", config={"Env": [env] if env else []})
    images = {("base:1", str(HERE)): ResolvedImage("base:1", config)}
    look = checks_of(store, dockerfile, text.encode(), str(folder), str(path))
    got = look(stages, [stages.plans[-1]], HERE, arguments or {}, images)
    assert all(finding.location.path == str(path) for finding in got)
    return [(finding.rule, finding.location.first_line) for finding in got]


def test_an_equal_build_is_not_looked_at_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found(store, tmp_path)
    assert first == [("UndefinedVar", 4), ("JSONArgsRecommended", 5)]
    monkeypatch.delattr(jettison.lint.building, "check_build")
    assert found(store, tmp_path) == first
    with pytest.raises(ImportError):
        found(store, tmp_path, TEXT + "USER app\n")


def test_whatever_a_finding_depends_on_is_looked_at_again(store: Store, tmp_path: Path) -> None:
    first = found(store, tmp_path)
    assert found(store, tmp_path, env="GOPATH=/go") == [("JSONArgsRecommended", 5)]
    (tmp_path / ".dockerignore").write_text("ignored\n")
    assert found(store, tmp_path) == [("CopyIgnoredFile", 2), *first]
    (tmp_path / ".dockerignore").write_text("other\n")
    assert found(store, tmp_path) == first
    assert found(store, tmp_path, TEXT.replace("CMD", "MAINTAINER"))[-1] == ("MaintainerDeprecated", 5)


def test_an_error_is_one_every_time(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(DockerfileError, match="lint violation found for rule MaintainerDeprecated"):
            found(store, tmp_path, "# check=error=true\nFROM base:1\nMAINTAINER me\n")
    assert found(store, tmp_path, "# check=error=true\nFROM base:1\n") == []


def test_one_row_for_each_file(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        found(store, tmp_path, f"FROM base:1\nLABEL a={number}\n")
    assert len(store.db.read("SELECT name FROM remembered")) == 1
