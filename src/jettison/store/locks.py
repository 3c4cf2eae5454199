"""Locks between processes and threads: flock, which the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jettison.errors import Cancelled

_POLL_SECONDS = 0.05


@contextmanager
def locked(
    path: str,
    on_wait: Callable[[], None] | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[bool]:
    """Hold the lock named by a file, which comes and goes with it. Yields whether it had to be waited for.

    `on_wait` is called once before waiting. Raises Cancelled when `cancel` is set while waiting.
    """
    waited = False
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(fd):
                if not waited and on_wait:
                    on_wait()
                waited = True
                _wait(fd, cancel)
            if still_named(fd, path):
                break
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    try:
        yield waited
    finally:
        # Removed while it is held: whoever waits on this file sees that it lost its name, and takes
        # the new one.
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Take the exclusive flock of an open file or folder, if it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Presence:
    """A shared lock that everyone who has a store open holds, for whoever must know of others."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep everyone out who would open the store, if nobody else has it open now; gives whether it is so.

        For moments only: whoever comes meanwhile waits. To be called by one at a time.
        """
        alone = try_lock(self._fd)
        if not alone:
            # The attempt gave the shared lock away.
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        try:
            yield alone
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        """Leave."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def still_named(fd: int, path: str) -> bool:
    """Whether a path still leads to the open file."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), named)


def _wait(fd: int, cancel: threading.Event | None) -> None:
    if cancel is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    while not try_lock(fd):
        if cancel.wait(_POLL_SECONDS):
            raise Cancelled("stopped while waiting for another build")
