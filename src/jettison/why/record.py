"""The latest builds in the store's database: taken down when something ran, given back for comparison."""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Mapping

from jettison.cache.key import GENERATION
from jettison.digests import canonical_json, digest_of
from jettison.dockerfile.instructions import Arg, Dockerfile, Env
from jettison.errors import StoreError
from jettison.graph.ops import SourceOp, to_json
from jettison.graph.vertex import BuildGraph, Vertex
from jettison.solver.solve import Trace
from jettison.store.database import BUILDS, Database
from jettison.store.rows import unpacked
from jettison.why.base import Build, Step, from_plain, to_plain

VERSION = 1
"""Of the data that is kept of a build: what another jettison kept in another form is passed over."""

KEPT = 64
"""Builds that the store remembers, and at most this many of one Dockerfile:"""
KEPT_OF_ONE = 12


def take_down(
    graph: BuildGraph,
    trace: Trace,
    dockerfile: Dockerfile,
    arguments: Mapping[str, str],
    images: Mapping[str, str],
    no_cache: tuple[str, ...],
    place: tuple[str, str],
    at: float,
) -> Build:
    """The build as it is kept. `images` are digests of base images by step name and platform.

    `place` is where it was built from: context and Dockerfile.
    """
    steps = tuple(_step(vertex, trace, images, no_cache) for vertex in graph.vertices.values())
    return Build(at, *place, GENERATION, variables(dockerfile, arguments), steps)


def _step(vertex: Vertex, trace: Trace, images: Mapping[str, str], no_cache: tuple[str, ...]) -> Step:
    key = trace.keys[vertex.id]
    layers = trace.results.get(vertex.id)
    where = vertex.location
    image = ""
    if isinstance(vertex.op, SourceOp):
        image = images.get(f"{vertex.name.rpartition('FROM ')[2]} {vertex.op.platform}", "")
    return Step(
        vertex.id,
        vertex.stage,
        vertex.name,
        (where.first_line, where.last_line) if where else (0, 0),
        to_json(vertex.op),
        key.digest,
        vertex.inputs,
        trace.states.get(vertex.id, ""),
        digest_of(list(layers)) if layers is not None else "",
        key.parts.get("content", ""),
        tuple(trace.inputs.get(vertex.id, ())),
        _forced_by(vertex, no_cache) if vertex.forced else "",
        image,
    )


def _forced_by(vertex: Vertex, no_cache: tuple[str, ...]) -> str:
    if "*" not in no_cache:
        for text in no_cache:
            stage, _, line = text.partition(":")
            named = stage.lower() in ("", vertex.stage.lower()) or f"stage-{stage}" == vertex.stage
            where = vertex.location
            if named and (not line or (where and where.first_line <= int(line) <= where.last_line)):
                return f"--no-cache={text}"
    return "--no-cache"


def variables(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> dict[str, dict[str, tuple[str, str]]]:
    """What ARG and ENV set in each stage, with build arguments; other variables in values stay as written."""
    out: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for arg in dockerfile.global_args:
        for name, default in arg.items:
            out[""][name] = ("ARG", arguments.get(name, default or ""))
    for stage in dockerfile.stages:
        own = out[stage.name or f"stage-{stage.index}"] = {}
        for item in stage.instructions:
            if isinstance(item, Arg):
                for name, default in item.items:
                    fallback = default if default is not None else out[""].get(name, ("", ""))[1]
                    own.setdefault(name, ("ARG", arguments.get(name, fallback)))
            elif isinstance(item, Env):
                own.update((name, ("ENV", value)) for name, value in item.pairs)
    return out


def keep(db: Database, build: Build) -> int:
    """Remember a build, and give its number; the oldest ones are forgotten."""
    data = zlib.compress(canonical_json(to_plain(build)), 1)
    with db.transaction():
        db.write(BUILDS)
        db.write(
            "INSERT INTO builds (version, at, folder, file, data) VALUES (?, ?, ?, ?, ?)",
            (VERSION, build.at, os.fsencode(build.folder), os.fsencode(build.file), data),
        )
        number = int(db.read("SELECT last_insert_rowid()")[0][0])
        db.write(
            "DELETE FROM builds WHERE number <= (SELECT max(number) FROM builds) - ? OR number IN"
            " (SELECT number FROM builds WHERE folder = ? AND file = ?"
            " ORDER BY number DESC LIMIT -1 OFFSET ?)",
            (KEPT, os.fsencode(build.folder), os.fsencode(build.file), KEPT_OF_ONE),
        )
    return number


def latest(db: Database, folder: str = "", file: str = "") -> int | None:
    """The number of the last build in which something ran, of one folder or of all; None if there is none.

    `file` picks those of one Dockerfile.
    """
    db.write(BUILDS)
    given = [(name, os.fsencode(path)) for name, path in (("folder", folder), ("file", file)) if path]
    where = "".join(f" AND {name} = ?" for name, _ in given)
    values = (VERSION, *(path for _, path in given))
    rows = db.read(f"SELECT max(number) FROM builds WHERE version = ?{where}", values)
    return rows[0][0] if rows else None


def read(db: Database, number: int) -> Build:
    """The build of a number that `latest` gave. Raises StoreError when it is damaged."""
    build = _read(db.read("SELECT data FROM builds WHERE number = ?", (number,))[0][0])
    if build is None:
        raise StoreError(
            "what is kept of the steps of the last build is damaged",
            hint="the next build in which a step runs can be explained again",
        )
    return build


def read_some(db: Database, numbers: Collection[int]) -> dict[int, Build]:
    """Those builds of some numbers that are still remembered, and whole."""
    marks = ",".join("?" * len(numbers))
    db.write(BUILDS)
    sql = f"SELECT number, data FROM builds WHERE version = ? AND number IN ({marks})"
    found = {number: _read(data) for number, data in db.read(sql, (VERSION, *numbers))}
    return {number: build for number, build in found.items() if build is not None}


def before(db: Database, build: Build, number: int | None = None) -> list[Build]:
    """What a build is compared with, the nearest first: earlier ones of its Dockerfile, or else of others.

    A checkout in a new folder finds what was built in the old one. What is damaged is passed over.
    """
    db.write(BUILDS)
    earlier = "version = ? AND number < ?"
    values = (VERSION, number if number is not None else 1 << 62)
    order = "ORDER BY number DESC LIMIT ?"
    rows = db.read(
        f"SELECT data FROM builds WHERE {earlier} AND folder = ? AND file = ? {order}",
        (*values, os.fsencode(build.folder), os.fsencode(build.file), KEPT_OF_ONE),
    )
    rows = rows or db.read(f"SELECT data FROM builds WHERE {earlier} {order}", (*values, KEPT_OF_ONE))
    return [one for row in rows if (one := _read(row[0])) is not None]


def cache_mount_users(db: Database) -> dict[str, str]:
    """The stage that used each cache mount last, as far as builds are remembered."""
    db.write(BUILDS)
    out: dict[str, str] = {}
    for (data,) in db.read("SELECT data FROM builds WHERE version = ? ORDER BY number DESC", (VERSION,)):
        known = _read(data)
        for step in known.steps if known is not None else ():
            for mount in step.op.get("mounts", ()):
                if mount["type"] == "cache":
                    out.setdefault(mount["id"], step.stage)
    return out


def _read(data: bytes) -> Build | None:
    """None for what is damaged."""
    try:
        return from_plain(unpacked(data))
    except ValueError:
        return None
