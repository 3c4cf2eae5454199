"""Which packages of a node_modules folder only development needs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

_PACKAGE = re.compile(r"node_modules/(?:@[^/]+/)?[^/@.][^/]*(?=/)")
LOCK = "node_modules/.package-lock.json"
"""npm's own list of what it installed, dependencies of dependencies among them."""


def manifests(paths: Collection[str]) -> dict[str, str]:
    """For each folder with node_modules that has one: the file that says what is for development only."""
    found: dict[str, str] = {}
    for path in paths:
        if path.endswith(LOCK):
            found[path.removesuffix(LOCK)] = path
    for path in paths:
        folder, _, name = path.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        if name == "package.json" and "node_modules" not in folder.split("/"):
            found.setdefault(prefix, path)
    return found


def development_only(contents: Mapping[str, bytes]) -> set[str]:
    """The folders of such packages. `contents` holds what `manifests` named, by the folder it is for.

    What is no JSON says nothing.
    """
    out: set[str] = set()
    for prefix, data in contents.items():
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            names = _of_lock(document) if "lockfileVersion" in document else _of_package(document)
            out.update(prefix + name for name in names)
    return out


def _of_lock(document: dict[str, Any]) -> list[str]:
    packages = _table(document, "packages")
    return [name for name, facts in packages.items() if isinstance(facts, dict) and facts.get("dev") is True]


def _of_package(document: dict[str, Any]) -> list[str]:
    kept = {
        name
        for key in ("dependencies", "optionalDependencies", "peerDependencies")
        for name in _table(document, key)
    }
    return [f"node_modules/{name}" for name in _table(document, "devDependencies") if name not in kept]


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def is_below(path: str, folders: Collection[str]) -> bool:
    """Whether a file belongs to one of these packages, or to a package inside of one."""
    return any(path[: found.end()] in folders for found in _PACKAGE.finditer(path))
