"""How far what was measured may be from what BuildKit made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FACTOR = 1.02
"""An image may be this much larger than the reference."""


def differences(got: dict[str, Any], want: dict[str, Any], base_sizes: set[int]) -> Iterator[str]:
    """What is wrong with one image. `base_sizes` are the layer sizes of the base images of this machine.

    Base layers are made where the tests run, from today's packages, so they count with the size
    that they have in the reference.
    """
    if got["status"] != want["status"]:
        yield f"ended as {got['status']}, not {want['status']}"
        return
    if got["status"] != "ok":
        return
    if got["layers"] != want["layers"]:
        yield f"{got['layers']} layers, not {want['layers']}"
    ours, theirs = dict(got["config"]), dict(want["config"])
    for config in (ours, theirs):
        config.pop("Labels", None) if "stand-in" in config.get("Labels", {}) else None
        config["Env"] = [item for item in config.get("Env", []) if not item.startswith("JAVA_VERSION=")]
    if ours != theirs:
        yield f"config is {ours}, not {theirs}"
    based = 0
    while based < len(got["layer_sizes"]) and got["layer_sizes"][based] in base_sizes:
        based += 1
    size = sum(want["layer_sizes"][:based]) + sum(got["layer_sizes"][based:])
    if size > want["compressed"] * FACTOR:
        yield f"{size} bytes, the reference has {want['compressed']}"
