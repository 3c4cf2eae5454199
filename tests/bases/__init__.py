"""Stand-ins for the base images that the tests and examples name, made of Debian, PyPI and npm packages.

Each carries the name, Env, Cmd, Entrypoint, WorkingDir and ports that Dockerfiles
count on, and real programs, but is not the official image: its label `stand-in`
says so. They exist so that everything can be tested where no image registry can
be reached; only the machine's own apt, pip and npm clients are used.

    python -m tests.bases OUT                     make every image
    python -m tests.bases OUT node:18 alpine:3.15 make these, and what they build on
    python -m tests.bases --list                  name the images

A repository becomes one OCI layout below OUT, its tags the layout's references.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where made images stay between runs: $JETTISON_TEST_CACHE, else ~/.cache/jettison-bases."""
    named = os.environ.get("JETTISON_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "jettison-bases"


def ensure(*names: str) -> Path:
    """Make the named images (and their parents) where they are missing or out of date; return the folder.

    Several processes may ask at the same time: one makes, the others wait.
    """
    from tests.bases.make import make_all

    folder = cache_folder()
    make_all(folder, names)
    return folder


def layout_of(name: str, folder: Path | None = None) -> tuple[Path, str]:
    """The layout folder and the tag of an image: `gcr.io/distroless/java:11` lies in `distroless/java`."""
    repository, _, tag = name.removeprefix("gcr.io/").partition(":")
    return (folder or cache_folder()) / repository, tag or "latest"
