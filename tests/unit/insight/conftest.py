"""A store for the tests of this room."""

from __future__ import annotations

from tests.unit.store.conftest import store

__all__ = ["store"]
