"""The command `jettison`: picks the command's file, and turns errors into exit statuses.

Only the chosen command is imported: a build that finds all in the cache is over in some
sixty milliseconds, most of which are imports.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from jettison.cli.console import Console
from jettison.version import VERSION

COMMANDS = {
    "build": "build an image from a Dockerfile",
    "logs": "show what the steps of a build wrote",
    "shell": "open a shell where a step failed, or in a stage as it is cached",
    "builds": "list earlier builds, show where their time went, compare them",
    "why": "tell why the steps of the last build ran",
    "cache-mount": "list, save, restore and remove cache mounts",
    "lint": "check a Dockerfile",
    "graph": "draw the stages of a Dockerfile, and what the last build made of them",
    "run": "start a container from an image",
    "images": "list the images of the local store",
    "inspect": "show all about images, as JSON",
    "history": "show the steps that made an image",
    "size": "show what an image's bytes are, and which are wasted",
    "tag": "give an image a further name",
    "rmi": "remove images, or names of images",
    "load": "take images from an OCI layout or an archive into the local store",
    "save": "write images to an OCI layout or an archive",
    "du": "show what the local store takes on the disk, and for what",
    "prune": "remove what no tagged image needs from the local store",
    "check-store": "look for damage in the local store, and repair it",
    "pull": "fetch an image from a registry",
    "push": "send an image to a registry",
    "doctor": "tell how RUN is isolated on this machine, and what would make it better",
    "schema": "print the JSON Schema of the lines of --progress jsonl",
    "version": "show the version",
}
"""The commands and their summaries; each is a module of this package with COMMAND and run()."""

_CANCELLED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


_RUBBISH = 50_000
"""After so many new objects the interpreter looks for some that only refer to each other."""


def entry() -> None:
    """The console script. Ends the process."""
    # Imports make little but what stays; to look for rubbish meanwhile takes a twelfth of a cached build.
    gc.set_threshold(_RUBBISH)
    status = main(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)
    # Nothing that interpreter shutdown could still do is worth its milliseconds.
    os._exit(status)


def main(
    argv: list[str], environment: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """Run one command line and give its exit status: 0, 1 failed, 2 usage, 130 and 143 stopped."""
    for stream in (stdout, stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    console = Console(environment, stdin, stdout, stderr)
    restore = _stop_on_signals(console)
    try:
        status = _dispatch(console, argv)
        stdout.flush()
        return status
    except BrokenPipeError:
        return _quiet(stdout)
    except BaseException as error:
        return _failed(console, error)
    finally:
        restore()
        try:
            stderr.flush()
        except OSError:
            pass


def _dispatch(console: Console, argv: list[str]) -> int:
    word, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if word == "help" and rest:
        word, rest = rest[0], ["--help"]
    if word in ("--help", "-h", "help"):
        from jettison.cli.overview import overview

        console.stdout.write(overview(COMMANDS))
        return 0
    if word in ("--version", "-v", "-V"):
        console.stdout.write(f"jettison {VERSION}\n")
        return 0
    if word not in COMMANDS:
        from jettison.cli.overview import unknown

        raise unknown(word, COMMANDS)
    from importlib import import_module

    status: int = import_module(module_of(word)).run(console, rest)
    return status


def module_of(command: str) -> str:
    """The module of a command."""
    return f"jettison.cli.{command.replace('-', '_')}"


def _failed(console: Console, error: BaseException) -> int:
    from jettison.cli import failure

    try:
        console.stdout.flush()
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else 1
        if failure.is_cancelled(error):
            if console.on_signal is None:
                console.stderr.write("stopped\n")
            return _CANCELLED.get(console.stopped_by, 130)
        ours = failure.as_ours(error)
        return failure.tell(console, ours) if ours is not None else failure.internal(console, error)
    except BrokenPipeError:
        _quiet(console.stdout)
        return 1


def _quiet(stdout: TextIO) -> int:
    """The reader went away: what is still buffered must not raise again at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    except (OSError, ValueError):
        pass
    return 141


def _stop_on_signals(console: Console) -> Callable[[], None]:
    """Make SIGINT, SIGTERM and SIGHUP set `cancel`; the second one interrupts. Gives what undoes it."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def stop(number: int, frame: object) -> None:
        console.stopped_by = signal.Signals(number).name
        if console.on_signal is not None and console.on_signal(number):
            return
        if console.cancel.is_set() or not console.cancellable:
            raise KeyboardInterrupt
        console.cancel.set()

    old = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            old[number] = signal.signal(number, stop)

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    return restore
