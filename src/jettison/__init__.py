"""jettison builds container images from multistage Dockerfiles.

`import jettison` is cheap: a name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jettison.version import VERSION as __version__

if TYPE_CHECKING:
    from jettison.api import build
    from jettison.errors import JettisonError, StepFailed
    from jettison.request import BuildRequest, BuildResult, Output

_HOMES = {
    "build": "jettison.api",
    "BuildRequest": "jettison.request",
    "BuildResult": "jettison.request",
    "Output": "jettison.request",
    "JettisonError": "jettison.errors",
    "StepFailed": "jettison.errors",
}

__all__ = [
    "BuildRequest",
    "BuildResult",
    "JettisonError",
    "Output",
    "StepFailed",
    "__version__",
    "build",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jettison' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
