"""An ordinary user's command goes on inside a user namespace."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def enter() -> Mapping[str, str]:
    """Come back as root of a user namespace, in a child process, with the variables to use there.

    When that cannot be done, say why and end this process.
    """
    from jettison.errors import JettisonError
    from jettison.sandbox import rootless

    try:
        rootless.become_root(marked=rootless.MARK in os.environ)
    except JettisonError as error:
        from jettison.cli.console import Console
        from jettison.cli.failure import tell

        os._exit(tell(Console(os.environ, sys.stdin, sys.stdout, sys.stderr), error))
    return {**os.environ, rootless.MARK: "1"}
