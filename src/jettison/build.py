"""A build from beginning to end: contexts → Dockerfile → stages → vertices → layers → images.

This is the page to read first. It is also the only place that names concrete
back ends: the local store, the local executor, the exporters.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from jettison.bases import fetch_layer, resolver
from jettison.checks import checks_of
from jettison.config import Config
from jettison.dataclass import dataclass
from jettison.errors import Cancelled, JettisonError, NotFound
from jettison.events import BuildFinished, BuildStarted, Emit, Relay
from jettison.executor.contexts import Context, ContextCopies, open_context_of
from jettison.executor.load import slots_for
from jettison.executor.local import LocalExecutor, StoreCache
from jettison.graph.ops import CopyOp
from jettison.graph.vertex import BuildGraph
from jettison.inputs import (
    Contexts,
    MainContext,
    agent_sockets,
    fetch_contexts,
    fetching_with,
    open_main,
    read_dockerfile,
    sort_contexts,
)
from jettison.planning import Plan, make_plan, parse_file, refuse_unallowed
from jettison.request import BuildRequest, BuildResult, BuiltImage
from jettison.side_by_side import once
from jettison.solver.base import Layers
from jettison.solver.solve import Solution, Trace, look_up, solve
from jettison.sources.context import find_ignore, open_context
from jettison.sources.memo import memo_name
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.executor.network import BuildNetwork
    from jettison.executor.remote import Remotes
    from jettison.executor.run import RunSettings
    from jettison.journal.journal import Journal
    from jettison.oci.registry.access import RegistryAccess
    from jettison.secrets.values import Secrets
    from jettison.verdict import Verdict


def build(
    request: BuildRequest, config: Config, emit: Emit, cancel: threading.Event | None = None
) -> BuildResult:
    """Build all targets of a request and write its outputs.

    Raises a JettisonError of the kind that fits; whatever was there before is still there then.
    `cancel` may be set from anywhere to stop the build.
    """
    started = time.perf_counter()
    cancel = cancel or threading.Event()
    fetched: list[bytes] = []
    secrets = once(lambda: _secrets(request))
    relay = Relay(emit)
    emit = secrets().masked(relay.emit) if request.secrets else relay.emit
    try:
        with Store.open(config.root) as store:
            solution, images, verdicts = _build(request, config, store, relay, emit, cancel, fetched, secrets)
            store.tidy()
    except BaseException as error:
        if request.secrets:
            secrets().mask(error)
        text = error.message if isinstance(error, JettisonError) else str(error) or type(error).__name__
        emit(BuildFinished(time.time(), time.perf_counter() - started, *relay.counts, text, relay.name))
        if isinstance(error, JettisonError):
            error.dockerfile = fetched[0] if fetched else None
        raise
    seconds, ran, cached = time.perf_counter() - started, solution.ran, solution.cached
    emit(BuildFinished(time.time(), seconds, ran, cached, build=relay.name))
    return BuildResult(images, ran, cached, seconds, relay.name, verdicts)


def last_built(request: BuildRequest, config: Config, store: Store, emit: Emit) -> tuple[Plan, Solution]:
    """What the cache has of the targets of a request; nothing is built.

    Raises NotFound when a target was never built as it is now.
    """
    plan, solution = known_of(request, config, store, emit)
    for target in plan.graph.targets:
        if target.vertex and target.vertex not in solution.layers:
            words = [word for name in request.targets for word in ("--target", name)]
            raise NotFound(
                f"the target {target.name} has not been built as it is now",
                hint=f"build it first: {' '.join(['jettison build', *words, request.context])}",
            )
    return plan, solution


def known_of(request: BuildRequest, config: Config, store: Store, emit: Emit) -> tuple[Plan, Solution]:
    """The steps of a request, and what the cache has of them, be it little; nothing is built."""
    # Without images nothing is packed on the way to the keys.
    secrets = once(lambda: _secrets(request))
    made = _made(request, config, store, emit, threading.Event(), [], secrets, images=False)
    try:
        return made.plan, look_up(made.plan.graph, StoreCache(store), made.executor)
    finally:
        made.executor.finish()


def _build(
    request: BuildRequest,
    config: Config,
    store: Store,
    relay: Relay,
    emit: Emit,
    cancel: threading.Event,
    fetched: list[bytes],
    secrets: Callable[[], Secrets],
) -> tuple[Solution, tuple[BuiltImage, ...], tuple[Verdict, ...]]:
    from jettison.exporting import check_outputs, export, wants_images

    check_outputs(request)
    made = _made(request, config, store, emit, cancel, fetched, secrets, wants_images(request))
    graph = made.plan.graph
    refuse_unallowed(request, graph)
    names = tuple([target.name for target in graph.targets])
    checks = tuple([stage for stage, _ in made.plan.checks])
    emit(BuildStarted(time.time(), names, len(graph.vertices), graph.skipped, checks))
    with _recorded(relay, made, secrets) as trace:
        solution, verdicts = _solve(made, cancel, trace, secrets)
        with _upkeep(store, config, graph, solution, emit):
            images = export(made.main.request, made.plan, solution, store, made.access, emit)
            return solution, images, verdicts


@contextmanager
def _recorded(relay: Relay, made: _Made, secrets: Callable[[], Secrets]) -> Iterator[Trace]:
    """A block whose events go to a journal as soon as a step has something to do, or something goes wrong."""
    trace = Trace()

    def join() -> Journal:
        from jettison.journal.journal import Journal

        place = _place(made.main, made.path)
        return Journal(made.executor.store, relay.began, place, made.plan.graph, relay.direct, trace)

    relay.join = join
    try:
        yield trace
    except BaseException as error:
        if made.main.request.secrets:
            secrets().mask(error)
        relay.joined()
        relay.end(error)
        raise
    relay.end(None)


@dataclass(frozen=True, slots=True)
class _Made:
    """All that a build needs, before its first step. `path` is the Dockerfile's, "" for none."""

    main: MainContext
    path: str
    plan: Plan
    executor: LocalExecutor
    access: Callable[[], RegistryAccess]


def _made(
    request: BuildRequest,
    config: Config,
    store: Store,
    emit: Emit,
    cancel: threading.Event,
    fetched: list[bytes],
    secrets: Callable[[], Secrets],
    images: bool,
) -> _Made:
    """Read the Dockerfile, find the base images, and lay out the steps."""
    from jettison.exporters.attributes import packing_of

    chosen = packing_of(request)
    remotes = once(lambda: _remotes(request, config, store, cancel, secrets()))
    fetching = once(lambda: fetching_with(remotes(), request, store.session.new_folder, emit))
    named = sort_contexts(request)
    main = open_main(request, fetching)
    request, folder = main.request, main.folder
    contexts = Contexts({"": folder, **named.folders}, named.images)
    data, shown, path = read_dockerfile(main)
    if main.fetched:
        fetched.append(data)
    access = _access(config, request.environment)
    downloads: dict[str, str] = {}
    store.fetch = lambda blob, origin: fetch_layer(store, access(), blob, origin, emit, downloads)
    resolve = resolver(request, contexts, store, access)
    dockerfile = parse_file(data, shown)
    plan = make_plan(
        request,
        dockerfile,
        contexts,
        resolve,
        lambda remote: remotes().pin(remote),
        emit,
        time.time,
        checks_of(store, dockerfile, data, folder, path),
        lambda name: secrets().stamp(name, store.salt),
    )
    graph = plan.graph
    opened = _open_contexts(fetch_contexts(contexts, _used(graph), fetching), named, main, path, store)
    networks: list[BuildNetwork] = []
    executor = LocalExecutor(
        store=store,
        graph=graph,
        copies=ContextCopies(store, opened, chosen),
        packing=chosen,
        run_settings=once(lambda: _run_settings(request, config, plan, secrets(), emit, networks)),
        emit=emit,
        cancel=cancel,
        remotes=remotes,
        images=images,
        downloads=downloads,
        networks=networks,
    )
    return _Made(main, path, plan, executor, access)


def _solve(
    made: _Made, cancel: threading.Event, trace: Trace, secrets: Callable[[], Secrets]
) -> tuple[Solution, tuple[Verdict, ...]]:
    """Carry out the steps; what ran, and why, is kept for `jettison why`, also when the build fails."""
    plan, executor, request = made.plan, made.executor, made.main.request
    store, emit, slots = executor.store, executor.emit, slots_for(request.jobs)
    known, checks = StoreCache(store), [vertex for _, vertex in plan.checks]
    try:
        try:
            solution = solve(plan.graph, known, executor, emit, cancel, slots, trace, checks)
        except JettisonError as error:
            if not isinstance(error, Cancelled):
                if trace.results:
                    _copy_out(plan, trace.results, executor, strict=False)
                error.checks = _verdicts(made, trace, secrets)
            raise
        _copy_out(plan, trace.results, executor, strict=True)
        return solution, _verdicts(made, trace, secrets)
    finally:
        executor.finish()
        if any(state != "cached" for state in trace.states.values()):
            from jettison.why.telling import tell

            trace.kept = tell(store, plan, trace, request, _place(made.main, made.path), emit)


def _copy_out(plan: Plan, results: Mapping[str, Layers], executor: LocalExecutor, strict: bool) -> None:
    if plan.artifacts:
        from jettison.exporters.artifacts import copy_out

        copy_out(plan.artifacts, plan.graph, results, executor.failed, executor.store, executor.emit, strict)


def _verdicts(made: _Made, trace: Trace, secrets: Callable[[], Secrets]) -> tuple[Verdict, ...]:
    if not made.plan.checks:
        return ()
    from jettison.verdicts import reach_verdicts

    hide = secrets().masks().hide_text if made.main.request.secrets else str
    return reach_verdicts(made.plan, trace, made.executor, hide)


def _place(main: MainContext, path: str) -> tuple[str, str]:
    """What builds are told apart by: where the context and the Dockerfile are."""
    if not main.fetched:
        return os.path.realpath(main.folder), os.path.realpath(path) if path else ""
    from jettison.why.ops import without_password

    return without_password(main.request.context), main.request.file


def _upkeep(
    store: Store, config: Config, graph: BuildGraph, solution: Solution, emit: Emit
) -> AbstractContextManager[None]:
    """Keeps the store below its cap beside the export. When no step ran the store has hardly grown."""
    if not solution.ran:
        return nullcontext()
    from jettison.upkeep.after_build import kept_small

    names = {
        layers[-1]: (graph.vertices[vertex].stage, graph.vertices[vertex].name)
        for vertex, layers in solution.layers.items()
        if layers
    }
    in_use = {layer for layers in solution.layers.values() for layer in layers}
    return kept_small(store, config.cache_max, names, in_use, emit)


def _used(graph: BuildGraph) -> list[str]:
    """The named contexts that a build reads; no other is brought here."""
    used = [vertex.op.context for vertex in graph.vertices.values() if isinstance(vertex.op, CopyOp)]
    return list(dict.fromkeys(filter(None, used)))


def _open_contexts(
    contexts: Contexts, written: Contexts, main: MainContext, dockerfile_path: str, store: Store
) -> dict[str, Context]:
    """The contexts as trees, with what is remembered of the files of those that stay where they are."""
    opened: dict[str, Context] = {}
    for name, folder in contexts.folders.items():
        if name and not os.path.isdir(folder):
            continue
        found = find_ignore(folder, "" if name else dockerfile_path)
        tree = open_context(folder, None) if found is None else open_context(folder, found[1], found[0])
        stays = not main.fetched if not name else written.folders[name] == folder
        opened[name] = open_context_of(tree, f"{store.root}/memo/{memo_name(tree.folder)}" if stays else "")
    return opened


def _access(config: Config, environment: Mapping[str, str]) -> Callable[[], RegistryAccess]:
    @once
    def access() -> RegistryAccess:
        from jettison.oci.registry.access import access_from

        return access_from(config, environment)

    return access


def _secrets(request: BuildRequest) -> Secrets:
    from jettison.secrets.values import Secrets

    return Secrets(request)


def _remotes(
    request: BuildRequest, config: Config, store: Store, cancel: threading.Event, secrets: Secrets
) -> Remotes:
    from jettison.executor.remote import remotes_of

    agent = agent_sockets(request).get("default", "")
    new_name = store.session.new_name
    return remotes_of(
        request.environment,
        config.ca_bundle,
        config.read_timeout,
        agent,
        new_name,
        cancel,
        secrets.value,
    )


def _run_settings(
    request: BuildRequest,
    config: Config,
    plan: Plan,
    secrets: Secrets,
    emit: Emit,
    networks: list[BuildNetwork],
) -> RunSettings:
    from jettison.running import run_settings
    from jettison.sandbox.ladder import chooser

    sandbox = chooser(request.isolation or config.isolation, request.runtime or config.runtime, emit)
    return run_settings(request, sandbox, plan.proxies, secrets, emit, networks, plan.graph.vertices.values())
