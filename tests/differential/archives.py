"""Facts of docker archives, as a daemon of any age writes them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from tests.conformance import imagetree

CONFIG = (
    *("Env", "Cmd", "Entrypoint", "User", "Labels", "WorkingDir", "ExposedPorts", "Volumes", "StopSignal"),
)


def archive_facts(archive: Path) -> dict[str, Any]:
    """The facts of a docker archive, of any age."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None, name
            return file.read()

        [entry] = json.loads(read("manifest.json"))
        config = json.loads(read(entry["Config"]))
        tree: dict[str, Any] = {}
        for name in entry["Layers"]:
            imagetree.apply_layer(tree, read(name))
    tree.pop("/", None)
    given = {name: config["config"].get(name) for name in CONFIG}
    return {"tree": tree, "config": _plain_config(given), "layers": len(entry["Layers"])}


def _plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty or the default, and without the order of Env."""
    out = {name: value for name, value in config.items() if value}
    if out.get("WorkingDir") == "/":
        del out["WorkingDir"]
    if "Env" in out:
        out["Env"] = sorted(out["Env"])
    return out
