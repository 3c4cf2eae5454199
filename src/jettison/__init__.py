"""jettison builds container images from multistage Dockerfiles.

`import jettison` is cheap: a name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jettison.version import VERSION as __version__

if TYPE_CHECKING:
    from jettison.api import build, build_async, build_request
    from jettison.errors import JettisonError, StepFailed
    from jettison.request import Artifact, BuildRequest, BuildResult, Limits, Output, Secret

_HOMES = {
    "build": "jettison.api",
    "build_async": "jettison.api",
    "build_request": "jettison.api",
    "BuildRequest": "jettison.request",
    "BuildResult": "jettison.request",
    "Limits": "jettison.request",
    "Artifact": "jettison.request",
    "Output": "jettison.request",
    "Secret": "jettison.request",
    "JettisonError": "jettison.errors",
    "StepFailed": "jettison.errors",
}

__all__ = [
    "Artifact",
    "BuildRequest",
    "BuildResult",
    "JettisonError",
    "Limits",
    "Output",
    "Secret",
    "StepFailed",
    "__version__",
    "build",
    "build_async",
    "build_request",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jettison' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


class _Package(ModuleType):
    """Keeps `jettison.build` the function: importing the module of that name would put it in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "build" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
