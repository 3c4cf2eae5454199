"""Running a program quietly, and saying a line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def run(*command: object, **options: Any) -> str:
    """Run a command and return what it printed; when it fails, show that and give up."""
    words = [str(c) for c in command]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        line = " ".join(" ".join(words).split())
        raise SystemExit(f"bases: '{line[-200:]}' failed with status {done.returncode}")
    return done.stdout


def say(text: str) -> None:
    """Print a line in one piece: images are made side by side."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
