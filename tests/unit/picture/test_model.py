"""What is in a picture: nodes, edges, what is left out, and the critical path."""

from __future__ import annotations

import pytest

from jettison.dockerfile.parser import parse_trigger
from jettison.errors import GraphError
from jettison.location import Location
from jettison.picture.model import Outcome, Picture
from tests.unit.picture.drawn import SHOP, drawn, shop


def edges(picture: Picture) -> list[tuple[str, str, str]]:
    names = {node.id: node.name for node in picture.nodes}
    return [(edge.kind, names[edge.source], names[edge.reader]) for edge in picture.edges]


def test_every_from_copy_and_mount_is_an_edge() -> None:
    picture = drawn(SHOP)
    assert edges(picture) == [
        ("from", "node:18", "deps"),
        ("from", "deps", "tester"),
        ("from", "deps", "web"),
        ("from", "golang:1.22", "api"),
        ("mount", "web", "api"),
        ("copy", "api", "final"),
        ("copy", "web", "final"),
        ("copy", "nginx:1.25", "final"),
    ]
    assert picture.edges[6].paths == (("/dist", "/public"), ("/licences", "/public/licences"))
    assert picture.edges[4].paths == (("/dist", "/embed"),)


def test_what_the_target_leaves_out() -> None:
    picture = drawn(SHOP)
    assert [node.name for node in picture.left_out] == ["tester"]
    assert [node.name for node in drawn(SHOP, "tester").left_out] == ["web", "api", "final"]
    assert [node.name for node in drawn(SHOP, "tester", "final").left_out] == []
    needed = {node.name: node.needed for node in drawn(SHOP, "web").nodes}
    assert (needed["node:18"], needed["golang:1.22"], needed["nginx:1.25"]) == (True, False, False)


def test_numbers_aliases_and_a_base_chosen_by_an_argument() -> None:
    text = "ARG T\nFROM a AS Dev\nFROM b\nFROM ${T:-dev} AS last\nCOPY --from=1 /x /\nCOPY --from=DEV /y /\n"
    assert edges(drawn(text))[2:] == [
        ("from", "dev", "last"),
        ("copy", "stage-1", "last"),
        ("copy", "dev", "last"),
    ]
    assert edges(drawn(text, T="c:1"))[2] == ("from", "c:1", "last")


def test_one_image_under_two_platforms_is_two_nodes() -> None:
    picture = drawn("FROM a AS x\nFROM --platform=linux/arm64 a AS y\nCOPY --from=x / /\nCOPY --from=a / /\n")
    assert [(node.name, node.platform) for node in picture.nodes] == [
        ("a", ""),
        ("x", ""),
        ("a", "linux/arm64"),
        ("y", "linux/arm64"),
    ]


def test_named_contexts_and_scratch() -> None:
    picture = drawn("FROM scratch\nCOPY --from=assets / /\nCOPY --from=scratch / /\n", contexts=["assets"])
    assert [(node.kind, node.name, node.scratch) for node in picture.nodes] == [
        ("context", "assets", False),
        ("stage", "stage-0", True),
    ]
    assert len(picture.edges) == 1


def test_triggers_of_stages_and_of_base_images() -> None:
    text = "FROM t AS tools\nFROM a AS parent\nONBUILD COPY --from=tools /x /\n"
    text += "FROM parent AS child\nFROM b AS last\n"
    trigger = parse_trigger("COPY --from=tools /y /", "\\", Location("Dockerfile", 5, 5))
    picture = drawn(text, triggers={3: [trigger]})
    assert ("copy", "tools", "child") in edges(picture)
    assert ("copy", "tools", "last") in edges(picture)
    assert [node.name for node in picture.left_out] == ["parent", "child"]


def test_a_cycle_is_refused_where_it_is_needed_and_told_where_it_is_not() -> None:
    text = "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\n"
    with pytest.raises(GraphError, match="circular"):
        drawn(text, "x")
    broken = drawn(text, "y").nodes[0]
    assert (broken.name, broken.needed) == ("x", False)
    assert "defined later" in broken.problem
    with pytest.raises(GraphError, match="is empty"):
        drawn("ARG B\nFROM $B\n")


def test_the_last_build_is_put_onto_nodes_and_edges() -> None:
    picture = shop()
    assert [node.name for node in picture.nodes if node.critical] == ["deps", "web", "api", "final"]
    assert [edge.reader for edge in picture.edges if edge.critical] == ["stage2", "stage3", "stage4"]
    assert picture.nodes[1].outcome == Outcome("cached", 12.0, 90_000_000)
    assert picture.nodes[2].outcome == Outcome()


def test_names_are_safe_to_show() -> None:
    picture = drawn('FROM a AS x\nFROM b\u202etxt\nCOPY --from=x ["/a\\u0007b\\nc", "/"]\n')
    assert picture.nodes[2].name == "b\\u202etxt"
    assert picture.edges[-1].paths == (("/a\\x07b\\nc", "/"),)
