"""Prints the base images that a test run on this machine needs, for `make test`."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
SEED_CASES = HERE.parent.parent / "shared" / "seed-cases"
"""The founders' real projects, where they lie beside the project."""


def needed() -> list[str]:
    """The stand-ins that the Dockerfiles of the examples (and the seed cases, if there) build on."""
    from tests.bases.recipe import RECIPES, load_recipes

    load_recipes()
    makeable = {name for recipe in RECIPES for name in recipe.names}
    found: set[str] = set()
    for folder, pattern in ((HERE.parent / "examples", "*/Dockerfile"), (SEED_CASES, "*/context/Dockerfile")):
        for path in folder.glob(pattern):
            found.update(re.findall(r"^FROM\s+(?:--platform=\S+\s+)?(\S+)", path.read_text(), re.M))
    return sorted(name for name in found if name.removeprefix("gcr.io/") in makeable)


if __name__ == "__main__":
    print(" ".join(needed()))
