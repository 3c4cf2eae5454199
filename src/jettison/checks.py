"""The linter as a step of every build. What it found in an equal build is remembered.

To look at the same file again costs little, but importing the rules takes as long as much of a build in
which everything is known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jettison.digests import digest_of, digest_of_bytes
from jettison.location import Location
from jettison.platforms import Platform
from jettison.sources.context import find_ignore
from jettison.store.store import Store
from jettison.version import VERSION

if TYPE_CHECKING:
    from jettison.dockerfile.instructions import Dockerfile
    from jettison.graph.stages import StageGraph, StagePlan
    from jettison.graph.state import ResolvedImage
    from jettison.lint.base import Finding
    from jettison.planning import Checks

GENERATION = 1
"""Grows when rules change between two versions."""


def checks_of(store: Store, dockerfile: Dockerfile, data: bytes, folder: str, path: str) -> Checks:
    """What looks at the stages of a build. `folder` is the main context, `path` the Dockerfile's, or "".

    Raises DockerfileError when the file says `# check=error=true` and something is found.
    """
    # A Dockerfile that was fetched lies elsewhere in each build.
    lasting = path and not os.path.abspath(path).startswith(store.root)
    name = f"checks of {os.path.realpath(path) if lasting else '-'}"

    def checks(
        stages: StageGraph,
        targets: Sequence[StagePlan],
        platform: Platform,
        arguments: Mapping[str, str],
        images: Mapping[tuple[str, str], ResolvedImage],
    ) -> Sequence[Finding]:
        ignore = find_ignore(folder, path)
        key = digest_of(
            [
                [VERSION, GENERATION, dockerfile.path, digest_of_bytes(data)],
                None if ignore is None else [ignore[0], digest_of_bytes(ignore[1])],
                [plan.label for plan in targets],
                str(platform),
                dict(arguments),
                sorted(stages.contexts),
                [
                    [*names, image.config.os, image.config.architecture, image.config.config]
                    for names, image in sorted(images.items(), key=lambda item: item[0])
                ],
            ]
        )
        known = _recall(store, name, key, dockerfile.path)
        if known is not None:
            return known
        from jettison.lint.building import check_build

        found = check_build(dockerfile, data, ignore, stages, targets, platform, arguments, images)
        _remember(store, name, key, found)
        return found

    return checks


def _recall(store: Store, name: str, key: str, path: str) -> Sequence[Finding] | None:
    rows = store.db.read("SELECT value FROM remembered WHERE name = ?", (name,))
    known = json.loads(rows[0][0]) if rows else {}
    if known.get("key") != key:
        return None
    if not known["found"]:
        return ()
    from jettison.lint.base import Finding

    return [Finding(rule, message, Location(path, *lines)) for rule, message, lines in known["found"]]


def _remember(store: Store, name: str, key: str, found: Sequence[Finding]) -> None:
    lines = [(one.location.first_line, one.location.last_line) for one in found]
    items = [(one.rule, one.message, place) for one, place in zip(found, lines, strict=True)]
    value = json.dumps({"key": key, "found": items})
    store.db.write("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (name, value))
