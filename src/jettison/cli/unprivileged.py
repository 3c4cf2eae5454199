"""A command goes on as who can build: an ordinary user's inside a user namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.sandbox import identity

if TYPE_CHECKING:
    from jettison.cli.console import Console


def enter(console: Console, isolation: str) -> None:
    """Come back as who `isolation` needs, perhaps in a child process. Before the store is opened.

    Raises SandboxError, and UsageError for an isolation that is none.
    """
    isolation = identity.checked(isolation)
    if identity.settled(isolation):
        return
    from jettison.sandbox.rootless import MARK

    user = os.geteuid() != 0
    identity.become(isolation, marked=MARK in console.environment)
    if user:
        console.environment = {**console.environment, MARK: "1"}
