"""The history in the store: builds in which a step had something to do, and the logs of the latest."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jettison.dataclass import replace
from jettison.digests import canonical_json
from jettison.errors import JettisonError, StoreError
from jettison.journal.base import PastBuild, PastStep, build_name, number_of, steps_from_plain, steps_to_plain
from jettison.journal.logs import EVENTS, is_alive
from jettison.journal.recorder import Recorder
from jettison.store.database import HISTORY, Database
from jettison.store.rows import row_of, unpacked
from jettison.store.temporary import remove_tree

if TYPE_CHECKING:
    from jettison.store.store import Store

VERSION = 1
"""Of the data that is kept of a build: what another jettison kept in another form is passed over."""

KEPT = 200
"""Builds that the history remembers, and the most that their logs take (bytes, as they are on the disk):"""
MOST = 512 << 20

_COLUMNS = "number, at, seconds, folder, file, targets, state, ran, cached, error, why"


def log_folder(store: Store, number: int) -> str:
    """Where the logs of a build are, or would be."""
    return f"{store.root}/logs/{build_name(number)}"


def begin(db: Database, at: float, place: tuple[str, str], targets: tuple[str, ...]) -> int:
    """Give a build that runs now a number. `place` is its context and its Dockerfile."""
    folder, file = map(os.fsencode, place)
    with db.transaction():
        db.write(HISTORY)
        db.write(
            "INSERT INTO history (version, at, folder, file, targets, state)"
            " VALUES (?, ?, ?, ?, ?, 'running')",
            (VERSION, at, folder, file, json.dumps(targets)),
        )
        return int(db.read("SELECT last_insert_rowid()")[0][0])


def finish(db: Database, build: PastBuild) -> None:
    """Take down how a build ended; the oldest ones are forgotten."""
    data = zlib.compress(canonical_json(steps_to_plain(build.steps, build.spans)), 1)
    with db.transaction():
        db.write(
            "UPDATE history SET seconds = ?, state = ?, ran = ?, cached = ?, error = ?, why = ?, data = ?"
            " WHERE number = ?",
            (build.seconds, build.state, build.ran, build.cached, build.error, build.why, data, build.number),
        )
        db.write("DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?", (KEPT,))


def latest(db: Database, folder: str = "", states: tuple[str, ...] = (), before: int = 0) -> int | None:
    """The number of the last build, of one folder or of all; None if there is none.

    `states` are those that count (all of them), `before` is the number of a later one.
    """
    where, values = _where(folder)
    if states:
        where += f" AND state IN ({','.join('?' * len(states))})"
    if before:
        where, states = f"{where} AND number < ?", (*states, str(before))
    db.write(HISTORY)
    rows = db.read(f"SELECT max(number) FROM history WHERE {where}", (*values, *states))
    number: int | None = rows[0][0]
    return number


def listed(store: Store, most: int, folder: str = "") -> tuple[list[PastBuild], list[str]]:
    """The latest builds without their steps, the last one first; and the names of those that are damaged."""
    where, values = _where(folder)
    store.db.write(HISTORY)
    sql = f"SELECT {_COLUMNS} FROM history WHERE {where} ORDER BY number DESC LIMIT ?"
    builds, damaged = [], []
    for row in store.db.read(sql, (*values, most)):
        try:
            builds.append(_known_end(store, _build(row)))
        except ValueError:
            damaged.append(build_name(row[0]))
    return builds, damaged


def read(store: Store, number: int) -> PastBuild | None:
    """A build with its steps, as far as it has come; None if the history has it not.

    Raises StoreError when what it has is damaged.
    """
    store.db.write(HISTORY)
    sql = f"SELECT {_COLUMNS}, data FROM history WHERE number = ? AND version = ?"
    rows = store.db.read(sql, (number, VERSION))
    if not rows:
        return None
    *values, data = rows[0]
    try:
        build = _build(values)
        if build.state != "running":
            return _with_steps(build, data)
    except ValueError as error:
        raise StoreError(
            f"what the history has of {build_name(number)} is damaged: {error}",
            hint="name another build: jettison builds lists them",
        ) from error
    return _so_far(_known_end(store, build), f"{log_folder(store, number)}/{EVENTS}")


def maker(store: Store, layer: str) -> tuple[PastBuild, PastStep] | None:
    """The build and the step in it that made a layer, if the history has them. Damaged ones are skipped."""
    sql = (
        f"SELECT {_COLUMNS}, data FROM history WHERE version = ? AND state != 'running' ORDER BY number DESC"
    )
    for *values, data in store.db.read(sql, (VERSION,)):
        try:
            build = _with_steps(_build(values), data)
        except ValueError:
            continue
        for step in build.steps:
            if step.result == layer and step.state == "ran":
                return build, step
    return None


def _where(folder: str) -> tuple[str, tuple[Any, ...]]:
    if folder:
        return "version = ? AND folder = ?", (VERSION, os.fsencode(folder))
    return "version = ?", (VERSION,)


def _build(row: Any) -> PastBuild:
    number, at, seconds, folder, file, targets, *rest = row
    try:
        places = (os.fsdecode(folder), os.fsdecode(file))
        names = json.loads(targets)
    except (TypeError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem
    return row_of(PastBuild, (number, at, seconds, *places, names, *rest))


def _with_steps(build: PastBuild, data: bytes) -> PastBuild:
    steps, spans = steps_from_plain(unpacked(data))
    return replace(build, steps=steps, spans=spans)


def _known_end(store: Store, build: PastBuild) -> PastBuild:
    """Builds that never said how they ended were killed."""
    if build.state == "running" and not is_alive(log_folder(store, build.number)):
        return replace(build, state="killed")
    return build


def _so_far(build: PastBuild, path: str) -> PastBuild:
    """A build that runs, or was killed, with the steps that its events tell of."""
    from jettison.progress.jsonl import from_json

    recorder = Recorder(build.at)
    try:
        with open(path, "rb") as file:
            for line in file:
                recorder.emit(from_json(json.loads(line)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, JettisonError):
        pass  # The last line of one that was killed may be half a line.
    return replace(
        build,
        seconds=recorder.ended,
        ran=recorder.ran,
        cached=recorder.cached,
        steps=tuple(replace(step, log=_size(path, step.number)) for step in recorder.steps()),
        spans=recorder.spans(),
    )


def _size(events: str, step: int) -> int:
    try:
        return os.stat(f"{os.path.dirname(events)}/{step}.log").st_size
    except OSError:
        return 0


def trim(store: Store, own: int) -> None:
    """Remove the logs of builds that are forgotten, and the oldest ones beyond the limit. Raises OSError.

    Those of builds that run stay, and those of the build `own`.
    """
    known = {number for (number,) in store.db.read("SELECT number FROM history")}
    total = 0
    for number, path in _folders(f"{store.root}/logs"):
        total += sum(os.stat(f"{path}/{name}").st_size for name in os.listdir(path))
        if number == own or (number in known and total <= MOST) or is_alive(path):
            continue
        doomed = store.session.new_name("dead")
        os.rename(path, doomed)
        remove_tree(doomed)


def _folders(logs: str) -> Iterator[tuple[int, str]]:
    """The folders of logs with the numbers of their builds, the latest first."""
    found = [(number_of(name) or 0, f"{logs}/{name}") for name in os.listdir(logs)]
    yield from sorted((number, path) for number, path in found if os.path.isdir(path))[::-1]
