"""The base images of the seed cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.needed import needed


@pytest.fixture(scope="session")
def base_images() -> Path:
    return bases.ensure(*needed())


@pytest.fixture(scope="session")
def base_sizes(base_images: Path) -> set[int]:
    return {path.stat().st_size for name in needed() for path in blobs(base_images, name)}


def blobs(folder: Path, name: str) -> Iterator[Path]:
    yield from (bases.layout_of(name, folder)[0] / "blobs" / "sha256").iterdir()
