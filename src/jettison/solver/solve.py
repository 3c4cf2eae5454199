"""Solving a build graph: look up what is known, run the rest side by side, remember the results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from jettison.cache.key import CacheKey, content_key, definition_key
from jettison.dataclass import dataclass, field, replace
from jettison.errors import Cancelled, JettisonError
from jettison.events import Emit, StepFinished, StepStarted
from jettison.graph.ops import CopyOp, to_json
from jettison.graph.vertex import BuildGraph, Vertex, short_id
from jettison.solver.base import Cache, Executor, Layers
from jettison.solver.state import SolverState, tainted_vertices

if TYPE_CHECKING:
    from queue import SimpleQueue

_ENOUGH_IDLE = 0.5
"""Of one core: less is what every machine has between two steps."""


@dataclass(slots=True)
class Solution:
    """The layers of every vertex that has some, when they were made, and how many steps ran."""

    layers: dict[str, Layers]
    created: dict[str, float] = field(default_factory=dict)
    ran: int = 0
    cached: int = 0


@dataclass(slots=True)
class Trace:
    """What steps were made of and what became of them, for explanations; filled while the build runs.

    `keys` are all definition keys, `inputs` those of content keys that were needed. `states` is "cached",
    "ran", "failed", or "unsure" where files changed while they were read; steps not reached have none.
    `seconds` is what steps took, `errors` why they failed. `kept` is the number under which all this was
    kept, 0 for not.
    """

    keys: dict[str, CacheKey] = field(default_factory=dict)
    inputs: dict[str, list[list[str] | str]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Layers] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    kept: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step needs."""

    graph: BuildGraph
    keys: dict[str, CacheKey]
    tainted: set[str]
    cache: Cache
    executor: Executor
    emit: Emit
    trace: Trace
    unsure: set[str] = field(default_factory=set)
    """Vertices whose definition key does not fit what they were made of, as files changed meanwhile."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What a step's thread hands back."""

    vertex: str
    layers: Layers = ()
    created: float = 0.0
    cached: bool = False
    error: BaseException | None = None
    size: int = 0
    seconds: float = 0.0


def definition_keys(
    graph: BuildGraph, executor: Executor, cache: Cache, tainted: set[str]
) -> dict[str, CacheKey]:
    """The definition key of every vertex. Reads build contexts, runs nothing."""
    keys: dict[str, CacheKey] = {}

    def known(name: str) -> Layers | None:
        if not name:
            return ()
        layers = executor.known(graph.vertices[name])
        if layers is None and name not in tainted:
            digest = keys[name].digest
            hit = cache.find([digest]).get(digest)
            return hit.layers if hit is not None else None
        return layers

    for vertex in graph.vertices.values():
        inputs = tuple(keys[name].digest for name in vertex.inputs)
        content = executor.context_digest(vertex, partial(known, vertex.base or ""))
        keys[vertex.id] = definition_key(to_json(vertex.op), inputs, content)
    return keys


@dataclass(frozen=True, slots=True)
class Slots:
    """How many steps run side by side: `jobs`, and up to `most` while cores have nothing to do.

    `idle` is asked every `interval` seconds, and gives the number of such cores.
    """

    jobs: int
    most: int = 0
    idle: Callable[[], float] = lambda: 0.0
    interval: float = 0.05


def solve(
    graph: BuildGraph,
    cache: Cache,
    executor: Executor,
    emit: Emit,
    cancel: threading.Event,
    slots: Slots,
    trace: Trace | None = None,
    checks: Collection[str] = (),
) -> Solution:
    """Bring about every target's result; all of `trace` but the results is for what has to be done.

    Steps run in threads of their own, as many at a time as `slots` says. The first error sets `cancel`,
    waits for what runs to end, and is raised. `checks` are vertices that are brought about before that,
    unless they need what failed; all that went wrong by itself meanwhile is in the `others` of the error.
    Raises Cancelled when `cancel` was set from outside.
    """
    tainted = tainted_vertices(graph)
    keys = definition_keys(graph, executor, cache, tainted)
    names = {key.digest: name for name, key in keys.items() if name not in tainted}
    hits = {names[key]: hit for key, hit in cache.find(list(names)).items()}
    solution = Solution({}, {name: hit.created for name, hit in hits.items()})
    state = SolverState.begin(graph, {name: hit.layers for name, hit in hits.items()})
    todo = {*state.ready, *state.waiting}
    for vertex in graph.vertices.values():
        if vertex.id not in todo:
            layers = executor.known(vertex)
            if layers is not None:
                state.results[vertex.id] = layers
            if vertex.id in state.results:
                hit = hits.get(vertex.id)
                emit(_finished(vertex, 0.0, _Done(vertex.id, cached=True, size=hit.size if hit else 0)))
                solution.cached += 1
    trace = trace or Trace()
    trace.results = state.results
    if todo:
        trace.keys = keys
        trace.states = dict.fromkeys(state.results, "cached")
        work = _Work(graph, keys, tainted, cache, executor, emit, trace)
        _run(work, state, solution, cancel, slots, checks)
    solution.layers = state.results
    return solution


def look_up(graph: BuildGraph, cache: Cache, executor: Executor) -> Solution:
    """What the cache knows of each vertex of a graph, by definition; reads build contexts, runs nothing."""
    names = {key.digest: name for name, key in definition_keys(graph, executor, cache, set()).items()}
    hits = {names[key]: hit for key, hit in cache.find(list(names)).items()}
    layers = {name: hit.layers for name, hit in hits.items()}
    for vertex in graph.vertices.values():
        known = executor.known(vertex)
        if known is not None:
            layers[vertex.id] = known
    return Solution(layers, {name: hit.created for name, hit in hits.items()})


def _run(
    work: _Work,
    state: SolverState,
    solution: Solution,
    cancel: threading.Event,
    slots: Slots,
    checks: Collection[str],
) -> None:
    from queue import SimpleQueue

    finished: SimpleQueue[_Done] = SimpleQueue()
    failures: list[BaseException] = []

    def start() -> bool:
        name = state.start() if not cancel.is_set() else None
        if name is None:
            return False
        vertex = work.graph.vertices[name]
        inputs = {item: state.results[item] for item in (*vertex.inputs, vertex.base) if item}
        body = partial(_report, finished, work, vertex, inputs)
        threading.Thread(target=body, name=vertex.short, daemon=True).start()
        return True

    while True:
        while len(state.running) < slots.jobs and start():
            pass
        if not state.running:
            break
        done = _next(finished, state, slots, start)
        work.trace.seconds[done.vertex] = done.seconds
        if done.error is not None:
            # What is no error of a step, or the end of the build, concerns all of them.
            own = isinstance(done.error, JettisonError) and not isinstance(done.error, Cancelled)
            state.fail(done.vertex, checks if own else ())
            work.trace.states[done.vertex] = "failed"
            work.trace.errors[done.vertex] = done.error
            failures.append(done.error)
        else:
            _take_in(work, state, solution, done)
        if state.given_up:
            cancel.set()
    if failures:
        raise _failure(failures)
    if cancel.is_set() and not state.done:
        raise Cancelled("the build was cancelled")


def _take_in(work: _Work, state: SolverState, solution: Solution, done: _Done) -> None:
    state.finish(done.vertex, done.layers)
    solution.created[done.vertex] = done.created
    work.trace.states.setdefault(done.vertex, "cached" if done.cached else "ran")
    if done.cached:
        solution.cached += 1
    else:
        solution.ran += 1


def _failure(failures: list[BaseException]) -> BaseException:
    """The first error that is none of being stopped, with the further ones; a bug goes before all others."""
    own = [error for error in failures if not isinstance(error, Cancelled)]
    for error in own:
        if not isinstance(error, JettisonError):
            return error
    if not own:
        return failures[0]
    first, *others = {error.message: error for error in own if isinstance(error, JettisonError)}.values()
    first.others = tuple(others)
    return first


def _next(finished: SimpleQueue[_Done], state: SolverState, slots: Slots, start: Callable[[], bool]) -> _Done:
    """The next step that ends. While it is waited for, idle cores are given further steps, one at a time."""
    from queue import Empty

    slots.idle()
    while state.ready and len(state.running) < slots.most:
        try:
            return finished.get(timeout=slots.interval)
        except Empty:
            if slots.idle() >= _ENOUGH_IDLE:
                start()
    return finished.get()


def _report(finished: SimpleQueue[_Done], work: _Work, vertex: Vertex, inputs: dict[str, Layers]) -> None:
    finished.put(_step(work, vertex, inputs))


def _step(work: _Work, vertex: Vertex, inputs: dict[str, Layers]) -> _Done:
    """Carry out one vertex in its own thread; never raises."""
    started = time.time()
    clock = time.perf_counter()
    try:
        done = _carry_out(work, vertex, inputs, started)
    except BaseException as error:
        done = _Done(vertex.id, error=error)
    done = replace(done, seconds=time.perf_counter() - clock)
    try:
        work.emit(_finished(vertex, done.seconds, done))
    except BaseException as error:
        return _Done(vertex.id, error=done.error or error)
    return done


def _finished(vertex: Vertex, seconds: float, done: _Done) -> StepFinished:
    error = ""
    if done.error is not None:
        error = done.error.message if isinstance(done.error, JettisonError) else repr(done.error)
    needed = dict.fromkeys((*vertex.inputs, vertex.base) if vertex.base else vertex.inputs)
    return StepFinished(
        time.time(),
        vertex.short,
        vertex.name,
        vertex.stage,
        done.cached,
        seconds,
        error,
        done.size,
        tuple([short_id(name) for name in needed]),
        isinstance(done.error, Cancelled),
    )


def _carry_out(work: _Work, vertex: Vertex, inputs: dict[str, Layers], started: float) -> _Done:
    key = work.keys[vertex.id]
    layers = work.executor.known(vertex)
    if layers is not None:
        work.emit(StepStarted(started, vertex.short, vertex.name, vertex.stage, vertex.location))
        work.executor.execute(vertex, inputs)
        return _Done(vertex.id, layers, started)
    by_content = content_key(to_json(vertex.op), work.executor.content_inputs(vertex, inputs))
    work.trace.inputs[vertex.id] = by_content.parts["inputs"]
    with work.executor.exclusive(key.digest) as waited:
        if not vertex.forced:
            # Somebody else may have built it while this process waited for the lock.
            wanted = [by_content.digest]
            if waited and vertex.id not in work.tainted:
                wanted.append(key.digest)
            found = work.cache.find(wanted)
            for name in reversed(wanted):
                if name in found:
                    hit = found[name]
                    layers = _stacked(vertex, inputs, hit.layers)
                    if name == by_content.digest:
                        work.cache.save([key], layers, hit.seconds, hit.created)
                    return _Done(vertex.id, layers, hit.created, cached=True, size=hit.size)
        work.emit(StepStarted(started, vertex.short, vertex.name, vertex.stage, vertex.location))
        clock = time.perf_counter()
        built = work.executor.execute(vertex, inputs)
        keys = [by_content] if built.sure else []
        if not built.sure:
            work.trace.states[vertex.id] = "unsure"
        if not built.sure or not work.unsure.isdisjoint(inputs):
            work.unsure.add(vertex.id)
        else:
            keys.append(key)
        created = work.cache.save(keys, built.layers, time.perf_counter() - clock, None)
    return _Done(vertex.id, built.layers, created, size=built.size)


def _stacked(vertex: Vertex, inputs: dict[str, Layers], layers: Layers) -> Layers:
    """A known result on the base of this build: the layer of a COPY --link may have been made on another."""
    if isinstance(vertex.op, CopyOp) and vertex.op.link and vertex.base:
        return (*inputs[vertex.base], layers[-1])
    return layers
