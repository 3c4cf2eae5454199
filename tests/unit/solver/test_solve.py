"""Solving: what runs, what is reused, what stops."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from jettison.errors import Cancelled, JettisonError, SourceError
from jettison.events import Event, StepFinished, ignore
from jettison.graph.vertex import BuildGraph, Vertex
from jettison.solver.solve import Slots, Solution, Trace, solve
from jettison.testing.solving import MemoryCache, ScriptedExecutor

from .test_state import DIAMOND, graph, vertex


def run(build: BuildGraph, executor: ScriptedExecutor, cache: MemoryCache, jobs: int = 2) -> Solution:
    return solve(build, cache, executor, ignore, threading.Event(), Slots(jobs))


def test_every_vertex_runs_once_and_stacks_on_its_base() -> None:
    executor = ScriptedExecutor(act=lambda v: v.name)
    solution = run(DIAMOND, executor, MemoryCache())
    assert sorted(executor.ran) == ["a", "b", "c", "d"]
    assert solution.layers["d"] == ("a", "b", "d")
    assert (solution.ran, solution.cached) == (4, 0)


def test_the_second_build_runs_nothing() -> None:
    cache = MemoryCache()
    run(DIAMOND, ScriptedExecutor(), cache)
    again = ScriptedExecutor()
    solution = run(DIAMOND, again, cache)
    assert again.ran == []
    assert (solution.ran, solution.cached) == (0, 4)


def test_a_changed_context_runs_its_step_and_what_builds_on_it() -> None:
    cache = MemoryCache()
    run(DIAMOND, ScriptedExecutor(contexts={"b": "one"}), cache)
    changed = ScriptedExecutor(contexts={"b": "two"}, act=lambda v: v.name + "2")
    run(DIAMOND, changed, cache)
    assert changed.ran == ["b", "d"]


def test_a_rebuilt_step_with_an_equal_result_does_not_rebuild_its_readers() -> None:
    cache = MemoryCache()
    run(DIAMOND, ScriptedExecutor(contexts={"b": "one"}, act=lambda v: v.name), cache)
    changed = ScriptedExecutor(contexts={"b": "two"}, act=lambda v: v.name)
    solution = run(DIAMOND, changed, cache)
    assert changed.ran == ["b"]
    assert solution.layers["d"] == ("a", "b", "d")


def test_a_forced_step_runs_although_it_is_known() -> None:
    cache = MemoryCache()
    run(DIAMOND, ScriptedExecutor(), cache)
    forced = dict(DIAMOND.vertices)
    forced["c"] = replace(forced["c"], forced=True)
    executor = ScriptedExecutor(act=lambda v: v.name + "-new")
    run(replace(DIAMOND, vertices=forced), executor, cache)
    assert executor.ran == ["c", "d"]


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def meet(v: Vertex) -> None:
        if v.name in "bc":
            meeting.wait()

    run(DIAMOND, ScriptedExecutor(act=meet), MemoryCache(), jobs=2)
    assert not meeting.broken


def test_one_job_runs_one_step_at_a_time() -> None:
    running = []

    def alone(v: Vertex) -> None:
        running.append(v.name)
        assert running == [v.name]
        running.remove(v.name)

    run(DIAMOND, ScriptedExecutor(act=alone), MemoryCache(), jobs=1)


def test_idle_cores_get_more_steps_than_there_are_jobs() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def meet(v: Vertex) -> None:
        if v.name in "bc":
            meeting.wait()

    slots = Slots(1, 2, lambda: 1.0, 0.001)
    solve(DIAMOND, MemoryCache(), ScriptedExecutor(act=meet), ignore, threading.Event(), slots)
    assert not meeting.broken


def test_busy_cores_get_no_more() -> None:
    running = []

    def alone(v: Vertex) -> None:
        running.append(v.name)
        assert running == [v.name]
        running.remove(v.name)

    slots = Slots(1, 4, lambda: 0.2, 0.001)
    solve(DIAMOND, MemoryCache(), ScriptedExecutor(act=alone), ignore, threading.Event(), slots)


def test_the_first_failure_is_raised_and_nothing_new_starts() -> None:
    def fail(v: Vertex) -> None:
        if v.name == "b":
            raise SourceError("b is broken")

    executor = ScriptedExecutor(act=fail)
    events: list[Event] = []
    cancel = threading.Event()
    with pytest.raises(SourceError, match="b is broken"):
        solve(DIAMOND, MemoryCache(), executor, events.append, cancel, Slots(1))
    assert executor.ran == ["a", "b"]
    assert cancel.is_set()
    assert [e.error for e in events if isinstance(e, StepFinished)] == ["", "b is broken"]


def test_a_step_whose_files_changed_meanwhile_is_not_remembered_and_spoils_no_key() -> None:
    cache = MemoryCache()
    executor = ScriptedExecutor(contexts={"b": "one"}, changing=frozenset("b"), act=lambda v: v.name + "-odd")
    run(DIAMOND, executor, cache)
    again = ScriptedExecutor(contexts={"b": "one"}, act=lambda v: v.name)
    solution = run(DIAMOND, again, cache)
    assert again.ran == ["b", "d"]
    assert solution.layers["d"][1:] == ("b", "d")


APART = replace(
    graph(vertex("a"), vertex("b", "a"), vertex("c", "a"), vertex("d", "c"), vertex("t", "a"), target="t"),
    beside=(("b", "b"), ("d", "d")),
)
"""Below the target and two stages beside it there is one step."""


def check(broken: str, checks: tuple[str, ...], jobs: int = 1) -> tuple[list[str], JettisonError, Trace]:
    """Solve with steps that fail: what ran, the error, and the trace."""

    def fail(v: Vertex) -> None:
        if v.name in broken:
            raise SourceError(f"{v.name} is broken")

    executor, trace, cancel = ScriptedExecutor(act=fail), Trace(), threading.Event()
    with pytest.raises(SourceError) as caught:
        solve(APART, MemoryCache(), executor, ignore, cancel, Slots(jobs), trace, checks)
    assert cancel.is_set()
    return executor.ran, caught.value, trace


def test_checks_are_brought_to_their_end_when_something_else_fails() -> None:
    ran, error, trace = check("b", ("b", "d"))
    # The target's own step does not begin.
    assert ran == ["a", "b", "c", "d"]
    assert error.message == "b is broken" and error.others == ()
    assert trace.errors == {"b": error} and {"a", "c", "d"} == set(trace.results)
    assert all(trace.seconds[name] > 0 for name in "abcd")
    assert check("t", ("b", "d"))[0] == ["a", "b", "c", "t", "d"]


def test_without_checks_the_first_failure_ends_all() -> None:
    assert check("bc", ())[0] == ["a", "b"]
    assert check("b", ("b",))[0] == ["a", "b"]


def test_failures_of_several_checks_are_told_together() -> None:
    ran, error, trace = check("bc", ("b", "d"))
    assert ran == ["a", "b", "c"]
    assert [one.message for one in (error, *error.others)] == ["b is broken", "c is broken"]
    assert set(trace.errors) == {"b", "c"}
    assert check("a", ("b", "d"))[0] == ["a"]


def test_what_only_the_target_needs_is_stopped_when_the_checks_are_over() -> None:
    begun, cancel = threading.Event(), threading.Event()

    def act(v: Vertex) -> None:
        if v.name == "t":
            begun.set()
            assert cancel.wait(20)
            raise Cancelled("stopped")
        if v.name == "b":
            assert begun.wait(20)
            raise SourceError("b is broken")
        if v.name == "d":
            assert not cancel.is_set()

    executor = ScriptedExecutor(act=act)
    with pytest.raises(SourceError) as caught:
        solve(APART, MemoryCache(), executor, ignore, cancel, Slots(4), None, ("b", "d"))
    assert "d" in executor.ran and caught.value.others == ()


def test_a_bug_ends_everything_and_comes_first() -> None:
    def act(v: Vertex) -> None:
        if v.name == "b":
            raise SourceError("b is broken")
        if v.name == "c":
            raise ZeroDivisionError

    executor = ScriptedExecutor(act=act)
    with pytest.raises(ZeroDivisionError):
        solve(APART, MemoryCache(), executor, ignore, threading.Event(), Slots(1), None, ("b", "d"))
    assert executor.ran == ["a", "b", "c"]


def test_a_failure_is_not_remembered() -> None:
    cache = MemoryCache()

    def fail(v: Vertex) -> None:
        raise SourceError("no")

    single = graph(vertex("a"), target="a")
    with pytest.raises(SourceError):
        run(single, ScriptedExecutor(act=fail), cache)
    executor = ScriptedExecutor()
    run(single, executor, cache)
    assert executor.ran == ["a"]


def test_cancelling_stops_before_the_next_step() -> None:
    cancel = threading.Event()
    executor = ScriptedExecutor(act=lambda v: cancel.set() or v.name)
    with pytest.raises(Cancelled):
        solve(DIAMOND, MemoryCache(), executor, ignore, cancel, Slots(2))
    assert executor.ran == ["a"]


def test_the_failure_is_told_rather_than_the_cancelling_it_causes() -> None:
    started = threading.Event()
    cancel = threading.Event()

    def act(v: Vertex) -> None:
        if v.name == "b":
            started.wait(20)
            raise SourceError("b is broken")
        if v.name == "c":
            started.set()
            cancel.wait(20)
            raise Cancelled("stopped")

    with pytest.raises(SourceError):
        solve(DIAMOND, MemoryCache(), ScriptedExecutor(act=act), ignore, cancel, Slots(2))
