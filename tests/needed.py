"""Prints the base images that a test run on this machine needs, for `make test`."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
SEED_CASES = HERE.parent.parent / "shared" / "seed-cases"
"""The founders' real projects, where they lie beside the project."""


def base_names(folder: Path) -> list[str]:
    """The stand-ins that the Dockerfiles below a folder build on."""
    from tests.bases.recipe import RECIPES, load_recipes

    load_recipes()
    makeable = {name for recipe in RECIPES for name in recipe.names}
    found: set[str] = set()
    for path in folder.rglob("Dockerfile"):
        found.update(re.findall(r"^FROM\s+(?:--platform=\S+\s+)?(\S+)", path.read_text(), re.M))
    return sorted(name for name in found if name.removeprefix("gcr.io/") in makeable)


def needed() -> list[str]:
    """What the examples (and the seed cases, if they are there) build on."""
    return sorted({*base_names(EXAMPLES), *base_names(SEED_CASES)})


if __name__ == "__main__":
    print(" ".join(needed()))
