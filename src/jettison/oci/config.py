"""The image configuration (OCI image-spec, Image Configuration), with Docker's additions."""

from __future__ import annotations

from typing import Any

from jettison.dataclass import dataclass, field
from jettison.digests import is_digest
from jettison.errors import SourceError
from jettison.oci.descriptor import text
from jettison.oci.manifest import json_bytes, read_json


@dataclass(frozen=True, slots=True)
class History:
    """One entry of `history`. `created` is RFC 3339, or "" where there is none."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The whole configuration document of one image.

    `config` is the document's `config` object as plain JSON (Env, Cmd, User, …,
    Docker's Healthcheck, OnBuild and Shell among them): what is not understood
    is carried along. Absent keys are absent, never null.
    """

    os: str
    architecture: str
    variant: str = ""
    author: str = ""
    created: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Top-level keys that the specification does not name (os.version, os.features, …)."""


_LARGEST = 8 * 1024 * 1024
_NAMED = frozenset({"os", "architecture", "variant", "author", "created", "config", "rootfs", "history"})


def parse_config(data: bytes, what: str = "image configuration") -> ImageConfig:
    """Read a configuration document, Docker's older ones too. Raises SourceError when it is none.

    Missing fields and nulls are taken as empty.
    """
    value = read_json(data, what, _LARGEST)
    rootfs = _mapping(value, "rootfs", what)
    diff_ids = _list(rootfs, "diff_ids", what)
    for diff_id in diff_ids:
        if not isinstance(diff_id, str) or not is_digest(diff_id):
            raise SourceError(f"{what}: {diff_id!r} in rootfs.diff_ids is no digest")
    config = {key: item for key, item in _mapping(value, "config", what).items() if item is not None}
    for key in ("OnBuild", "Shell"):
        if not all(isinstance(word, str) for word in _list(config, key, what)):
            raise SourceError(f"{what}: {key} must be a list of strings")
    return ImageConfig(
        os=text(value, "os", what),
        architecture=text(value, "architecture", what),
        variant=text(value, "variant", what),
        author=text(value, "author", what),
        created=text(value, "created", what),
        config=config,
        diff_ids=tuple(diff_ids),
        history=tuple(_history(item, what) for item in _list(value, "history", what)),
        extra={key: item for key, item in value.items() if key not in _NAMED and item is not None},
    )


def config_bytes(config: ImageConfig) -> bytes:
    """The JSON document, keys sorted, empty fields left out."""
    value: dict[str, Any] = {
        **config.extra,
        "architecture": config.architecture,
        "config": config.config,
        "history": [_history_json(entry) for entry in config.history],
        "os": config.os,
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
    }
    for key, item in (("variant", config.variant), ("author", config.author), ("created", config.created)):
        if item:
            value[key] = item
    return json_bytes(_sorted(value))


def _history(item: Any, what: str) -> History:
    if not isinstance(item, dict):
        raise SourceError(f"{what}: every entry of history must be an object")
    return History(
        created=text(item, "created", what),
        created_by=text(item, "created_by", what),
        comment=text(item, "comment", what),
        author=text(item, "author", what),
        empty_layer=bool(item.get("empty_layer")),
    )


def _history_json(entry: History) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in ("created", "created_by", "comment", "author"):
        if getattr(entry, key):
            out[key] = getattr(entry, key)
    if entry.empty_layer:
        out["empty_layer"] = True
    return out


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, (list, tuple)) else value


def _mapping(value: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise SourceError(f"{what}: {key} must be an object")
    return found


def _list(value: dict[str, Any], key: str, what: str) -> list[Any]:
    found = value.get(key) or []
    if not isinstance(found, list):
        raise SourceError(f"{what}: {key} must be a list")
    return found
