"""The end of a build in which something ran: it is taken down, and explained if that was asked for."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from jettison.errors import JettisonError
from jettison.events import Emit, StepExplained
from jettison.location import Location
from jettison.request import BuildRequest
from jettison.solver.solve import Trace
from jettison.sources.context import find_ignore, open_context
from jettison.store.store import Store
from jettison.why import record
from jettison.why.base import Build, Explained

if TYPE_CHECKING:
    from jettison.planning import Plan
    from jettison.why.files import Ignored


def tell(
    store: Store, plan: Plan, trace: Trace, request: BuildRequest, place: tuple[str, str], emit: Emit
) -> int:
    """Keep what the steps were made of, and with `explain` emit why they ran. Never ends a build.

    Gives the number to read it by, or 0 if it was not kept.
    """
    build = record.take_down(
        plan.graph, trace, plan.dockerfile, plan.arguments, plan.images, request.no_cache, place, time.time()
    )
    if not any(step.ran for step in build.steps):
        return 0
    try:
        if request.explain:
            for item in explained(store, build, record.before(store.db, build)):
                emit(_event(item, plan.dockerfile.path))
        return record.keep(store.db, build)
    except JettisonError:
        return 0  # What is wrong with the store is told by those who cannot do without it.


def explained(store: Store, build: Build, earlier: list[Build]) -> list[Explained]:
    """Why the steps of a build ran, with the store's listings and what .dockerignore says now."""
    from jettison.store.listings import load
    from jettison.why.explain import explain

    return explain(build, earlier, partial(load, store.root), _ignored(build))


def _ignored(build: Build) -> Ignored:
    def why(path: str) -> str:
        try:
            found = find_ignore(build.folder, build.file)
            if found is None:
                return ""
            return open_context(build.folder, found[1], found[0]).ignored_by(path) or ""
        except (JettisonError, OSError):
            return ""

    return why


def _event(item: Explained, path: str) -> StepExplained:
    step = item.step
    return StepExplained(
        time.time(),
        step.id.removeprefix("sha256:")[:12],
        step.name,
        step.stage,
        Location(path, *step.lines) if step.lines[0] else None,
        tuple(reason.text for reason in item.reasons),
        tuple(reason.kind for reason in item.reasons),
    )
