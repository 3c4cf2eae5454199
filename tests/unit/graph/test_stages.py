"""The stage graph: names, numbers, what is needed and what is refused."""

from __future__ import annotations

import pytest

from jettison.dockerfile import parse
from jettison.errors import GraphError
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import StageGraph, build_stage_graph, check_base
from jettison.platforms import Platform

AMD64 = Platform("linux", "amd64")


def stages(text: str, contexts: tuple[str, ...] = (), **build_args: str) -> StageGraph:
    scope = GlobalScope(build_args, platform_args(AMD64, AMD64, ""))
    return build_stage_graph(parse(text.encode()), scope, contexts, AMD64)


def needed(graph: StageGraph, target: str) -> list[str]:
    indices = graph.needed([graph.find(target).stage.index], {})
    return [graph.plans[index].label for index in sorted(indices)]


GUIDE = """
FROM a AS builder
RUN make
FROM builder AS tester
RUN make test
FROM b AS tools
FROM c AS final
COPY --from=builder /x /x
RUN --mount=from=tools,target=/t true
"""


def test_only_what_the_target_needs() -> None:
    graph = stages(GUIDE)
    assert needed(graph, "final") == ["builder", "tools", "final"]
    assert needed(graph, "tester") == ["builder", "tester"]
    assert needed(graph, "BUILDER") == ["builder"]


def test_a_base_chosen_by_an_argument() -> None:
    text = "ARG T\nFROM a AS dev\nFROM b AS production\nFROM ${T:-production} AS final\n"
    assert needed(stages(text), "final") == ["production", "final"]
    assert needed(stages(text, T="dev"), "final") == ["dev", "final"]


def test_an_unknown_name_is_an_image() -> None:
    graph = stages("ARG T\nFROM a AS dev\nFROM ${T:-x/y:1}\n")
    assert (graph.plans[1].base.kind, graph.plans[1].base.name) == ("image", "x/y:1")
    assert graph.plans[1].label == "stage-1"


def test_the_latest_earlier_stage_of_a_name_is_meant() -> None:
    graph = stages("FROM a AS x\nFROM b AS x\nFROM x AS y\nFROM c AS x\n")
    assert graph.plans[2].base.index == 1
    assert graph.find("x").stage.index == 3


def test_numbers_count_stages() -> None:
    graph = stages("FROM a\nFROM b\nCOPY --from=0 /x /x\n")
    assert needed(graph, "1") == ["stage-0", "stage-1"]


def test_a_named_context_comes_before_stage_and_image() -> None:
    graph = stages("FROM a AS dep\nFROM dep\nFROM img:latest\n", ("dep", "img"))
    assert [plan.base.kind for plan in graph.plans] == ["image", "context", "context"]


def test_triggers_of_a_parent_stage_make_stages_needed() -> None:
    graph = stages("FROM a AS made\nFROM b AS p\nONBUILD COPY --from=made /m /m\nFROM p AS child\n")
    assert needed(graph, "child") == ["made", "p", "child"]
    assert needed(graph, "p") == ["p"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a AS me\nCOPY --from=me /x /x\n", ["me", "itself", "circular"]),
        (
            "FROM a AS one\nCOPY --from=two /x /x\nFROM b AS two\nCOPY --from=one /x /x\n",
            ["two", "later", "line 3"],
        ),
        ("FROM a\nCOPY --from=7 /x /x\n", ["7", "index"]),
        ("FROM a\nRUN --mount=from=late,target=/x true\nFROM b AS late\n", ["late", "later"]),
    ],
)
def test_what_cannot_be_read_from_is_refused_with_its_line(text: str, words: list[str]) -> None:
    graph = stages(text)
    with pytest.raises(GraphError) as caught:
        graph.needed([0], {})
    assert all(word in caught.value.message for word in words)
    assert caught.value.location is not None
    assert caught.value.location.first_line == 2


def test_errors_of_stages_that_nobody_needs_do_not_matter() -> None:
    graph = stages("FROM a AS broken\nCOPY --from=9 /x /x\nFROM b AS good\n")
    assert needed(graph, "good") == ["good"]


def test_an_unknown_target_names_the_nearest_stage() -> None:
    with pytest.raises(GraphError) as caught:
        stages(GUIDE).find("bulder")
    assert caught.value.hint == "did you mean 'builder'?"


def test_a_base_without_a_value_is_refused() -> None:
    graph = stages("ARG IMAGE\nFROM $IMAGE\n")
    with pytest.raises(GraphError, match="empty"):
        check_base(graph.plans[0])
