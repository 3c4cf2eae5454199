"""The solver's state machine: results in, tasks out."""

from __future__ import annotations

from jettison.dataclass import replace
from jettison.graph.ops import MkdirOp
from jettison.graph.vertex import BuildGraph, Target, Vertex
from jettison.oci.config import ImageConfig
from jettison.solver.state import SolverState, needed_vertices, tainted_vertices


def vertex(name: str, *inputs: str, base: str = "", forced: bool = False) -> Vertex:
    return Vertex(
        name, MkdirOp("/" + name, ""), inputs, base or (inputs[0] if inputs else ""), name, "s", None, forced
    )


def graph(*vertices: Vertex, target: str) -> BuildGraph:
    config = ImageConfig("linux", "amd64")
    return BuildGraph({v.id: v for v in vertices}, (Target("t", target, config, (), (), 0),), ())


DIAMOND = graph(vertex("a"), vertex("b", "a"), vertex("c", "a"), vertex("d", "b", "c"), target="d")


def test_a_vertex_is_ready_when_all_its_inputs_are_there() -> None:
    state = SolverState.begin(DIAMOND, {})
    assert state.start() == "a"
    assert state.start() is None
    state.finish("a", ("1",))
    assert [state.start(), state.start(), state.start()] == ["b", "c", None]
    state.finish("b", ("1", "2"))
    assert state.start() is None
    state.finish("c", ("1", "3"))
    assert state.start() == "d"
    state.finish("d", ("1", "2", "4"))
    assert state.done


def test_what_is_known_hides_what_it_was_made_of() -> None:
    assert needed_vertices(DIAMOND, {"d": ("x",)}) == set()
    assert needed_vertices(DIAMOND, {"b": ("x",)}) == {"a", "c", "d"}
    assert needed_vertices(DIAMOND, {"b": ("x",), "c": ("y",)}) == {"d"}


def test_stages_beside_the_targets_are_needed_too() -> None:
    both = replace(graph(vertex("a"), vertex("b", "a"), vertex("c", "a"), target="b"), beside=(("c", "c"),))
    assert needed_vertices(both, {}) == {"a", "b", "c"}
    assert needed_vertices(both, {"c": ("x",), "b": ("y",)}) == set()
    assert needed_vertices(replace(both, beside=(("empty", ""),)), {}) == {"a", "b"}


def test_nothing_to_do_is_done_at_once() -> None:
    assert SolverState.begin(DIAMOND, {"d": ("x",)}).done


def test_a_vertex_that_reads_one_input_twice_waits_for_it_once() -> None:
    twice = graph(vertex("a"), vertex("b", "a", "a"), target="b")
    state = SolverState.begin(twice, {})
    assert state.start() == "a"
    state.finish("a", ())
    assert state.start() == "b"


def test_what_builds_on_a_forced_step_is_tainted() -> None:
    chain = graph(vertex("a"), vertex("b", "a", forced=True), vertex("c", "b"), vertex("d"), target="c")
    assert tainted_vertices(chain) == {"b", "c"}


def test_a_base_that_is_no_input_is_waited_for_too() -> None:
    link = graph(
        vertex("a"), vertex("b"), Vertex("c", MkdirOp("/c", ""), ("b",), "a", "c", "s", None), target="c"
    )
    state = SolverState.begin(link, {})
    assert {state.start(), state.start()} == {"a", "b"}
    state.finish("b", ())
    assert state.start() is None
    state.finish("a", ())
    assert state.start() == "c"
