"""The image configuration (OCI image-spec, Image Configuration), with Docker's additions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
