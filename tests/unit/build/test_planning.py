"""From a request to a build graph: targets, tags, base images, warnings."""

from __future__ import annotations

from typing import Any

import pytest

from jettison.errors import DockerfileError, GraphError, NotFound, UsageError
from jettison.events import BaseResolved, Event, Warned
from jettison.graph.ops import GitOp, HttpOp
from jettison.graph.stages import Origin
from jettison.graph.state import Remote
from jettison.inputs import Contexts
from jettison.oci.config import ImageConfig
from jettison.planning import Plan, make_plan, parse_file
from jettison.platforms import Platform
from jettison.request import BuildRequest
from jettison.sources.base import BaseImage

THREE = "FROM a AS one\nRUN 1\nFROM one AS two\nRUN 2\nFROM b\nCOPY --from=one /x /x\n"


def resolve(origin: Origin, platform: Platform) -> BaseImage:
    if origin.name.startswith("no"):
        raise NotFound(f"no image {origin.name}", hint="load it")
    config = ImageConfig("linux", "amd64", config={"Env": ["PATH=/bin"]}, diff_ids=(origin.name,))
    return BaseImage(f"docker.io/library/{origin.name}:latest", "sha256:0", "local store", config, ())


def no_remote(remote: Remote) -> HttpOp | GitOp:
    raise AssertionError(remote)


def plan(text: str, events: list[Event] | None = None, **request: Any) -> Plan:
    dockerfile = parse_file(text.encode(), "Dockerfile")
    emit = (events if events is not None else []).append
    contexts = Contexts({"": "."}, {})
    return make_plan(BuildRequest(**request), dockerfile, contexts, resolve, no_remote, emit, lambda: 0.0)


def targets(made: Plan) -> dict[str, tuple[str, ...]]:
    return dict(zip((target.name for target in made.graph.targets), made.tags, strict=True))


def test_the_last_stage_is_the_target_and_gets_the_tags() -> None:
    made = plan(THREE, tags=("x:1", "y"))
    assert targets(made) == {"stage-2": ("x:1", "y")}
    assert made.graph.skipped == ("two",)


def test_several_targets_share_one_graph() -> None:
    made = plan(THREE, targets=("two", "stage-2".replace("stage-", "")), tags=("two=app:2", "2=app:3"))
    assert targets(made) == {"two": ("app:2",), "stage-2": ("app:3",)}
    names = [vertex.name for vertex in made.graph.vertices.values()]
    assert names.count("[one 2/2] RUN 1") == 1


def test_check_stages_are_built_beside_the_target_in_the_order_of_the_file() -> None:
    made = plan(THREE, checks=("stage-2".replace("stage-", ""), "TWO", "two"))
    assert [name for name, _ in made.checks] == ["two", "stage-2"] and made.graph.skipped == ()
    names = [made.graph.vertices[vertex].name for _, vertex in made.checks]
    assert names == ["[two 1/1] RUN 2", "[stage-2 2/2] COPY --from=one /x /x"]
    assert targets(made) == {"stage-2": ()}
    every = plan(THREE, checks=("*",), targets=("one",)).checks
    assert [name for name, _ in every] == ["one", "two", "stage-2"]
    twice = plan("FROM a AS x\nRUN 1\nFROM b AS x\nRUN 2\nFROM scratch\n", checks=("*",))
    assert len({vertex for _, vertex in twice.checks}) == 3 and twice.checks[2] == ("stage-2", "")
    assert plan("FROM a AS x\nRUN 1\nFROM b AS x\nRUN 2\n", checks=("x",)).checks == twice.checks[1:2]
    with pytest.raises(GraphError, match="check stage 'tow' could not be found") as caught:
        plan(THREE, checks=("tow",))
    assert caught.value.hint == "did you mean 'two'?"


def test_a_stage_tag_makes_its_stage_a_target() -> None:
    assert targets(plan(THREE, tags=("one=a:1", "two=b:1"))) == {"one": ("a:1",), "two": ("b:1",)}


def test_a_plain_tag_beside_stage_tags_goes_to_the_last_stage() -> None:
    made = plan(THREE, tags=("one=a:1", "two=b:1", "c:1"))
    assert targets(made) == {"one": ("a:1",), "two": ("b:1",), "stage-2": ("c:1",)}


def test_a_plain_tag_beside_one_stage_tag_goes_to_the_last_stage_too() -> None:
    assert targets(plan(THREE, tags=("one=a:1", "c:1"))) == {"one": ("a:1",), "stage-2": ("c:1",)}


def test_a_plain_tag_beside_a_target_is_the_targets() -> None:
    made = plan(THREE, targets=("two",), tags=("one=a:1", "c:1"))
    assert targets(made) == {"two": ("c:1",), "one": ("a:1",)}


def test_a_tag_that_could_go_to_several_targets_is_refused() -> None:
    with pytest.raises(UsageError, match="2 targets"):
        plan(THREE, targets=("one", "two"), tags=("x",))


def test_where_bases_came_from_is_told_once_each() -> None:
    events: list[Event] = []
    plan(THREE, events)
    assert sorted(e.name for e in events if isinstance(e, BaseResolved)) == [
        "docker.io/library/a:latest",
        "docker.io/library/b:latest",
    ]


def test_a_missing_image_has_the_line_that_names_it_and_a_near_stage() -> None:
    with pytest.raises(NotFound) as caught:
        plan("FROM a AS nobuilder\nFROM b\nRUN x\nCOPY --from=nobuildr /x /x\n")
    assert caught.value.location is not None
    assert caught.value.location.first_line == 4
    assert caught.value.hint == "did you mean the stage 'nobuilder'? load it"


def test_an_unused_build_argument_is_told_with_the_nearest_name() -> None:
    events: list[Event] = []
    plan("FROM a\nARG VERSION\n", events, build_args={"VERSON": "1", "HTTP_PROXY": "p", "VERSION": "2"})
    warned = [e.message for e in events if isinstance(e, Warned)]
    assert len(warned) == 1
    assert "VERSON" in warned[0] and "did you mean VERSION?" in warned[0]


def test_proxies_reach_steps_but_no_vertex() -> None:
    made = plan("FROM a\nRUN x\n", build_args={"HTTP_PROXY": "http://p"})
    assert made.proxies == {"HTTP_PROXY": "http://p"}
    same = plan("FROM a\nRUN x\n")
    assert list(made.graph.vertices) == list(same.graph.vertices)


def test_a_build_argument_without_value_comes_from_the_environment_or_is_left_out() -> None:
    text = "FROM a\nARG A=none\nARG B=none\nLABEL a=$A b=$B\n"
    made = plan(text, build_args={"A": None, "B": None}, environment={"A": "set"})
    assert made.graph.targets[0].config.config["Labels"] == {"a": "set", "b": "none"}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "ARG A=1\n"])
def test_a_file_without_a_stage_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        parse_file(text.encode(), "Dockerfile")


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 20])
def test_an_epoch_that_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        plan("FROM a\n", environment={"SOURCE_DATE_EPOCH": value})


def test_the_epoch_of_an_argument_comes_before_the_environment() -> None:
    environment = {"SOURCE_DATE_EPOCH": "1"}
    assert plan("FROM a\n", environment=environment).epoch == 1
    assert plan("FROM a\n", environment=environment, build_args={"SOURCE_DATE_EPOCH": "2"}).epoch == 2


def test_no_cache_names_stages_that_exist() -> None:
    made = plan(THREE, no_cache=("one",))
    assert [v.forced for v in made.graph.vertices.values()] == [False, True, False, False]
    with pytest.raises(GraphError):
        plan(THREE, no_cache=("nosuch",))
