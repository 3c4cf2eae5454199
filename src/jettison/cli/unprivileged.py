"""An ordinary user's command goes on inside a user namespace."""

from __future__ import annotations

import os
import sys


def enter(argv: list[str]) -> None:
    """Replace this process by the same command in a user namespace; tell why when that cannot be done."""
    from jettison.cli.console import Console
    from jettison.cli.failure import tell
    from jettison.errors import JettisonError
    from jettison.sandbox import rootless

    try:
        rootless.enter([sys.executable, "-m", "jettison", *argv])
    except JettisonError as error:
        os._exit(tell(Console(os.environ, sys.stdin, sys.stdout, sys.stderr), error))
