"""Where an export goes: a file that appears by rename, or a stream."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from jettison.errors import ExportError
from jettison.replacing import replacing
from jettison.store.faults import FULL

STREAM = "-"


@contextmanager
def opened(dest: str, stream: BinaryIO | None) -> Iterator[BinaryIO]:
    """What to write an archive to: `stream` for "-", else a new file that replaces `dest` at the end.

    An export that fails leaves an earlier file as it was. Pipes and devices are written
    to directly. Raises ExportError.
    """
    with reported(dest):
        if dest == STREAM:
            if stream is None:
                raise ExportError("there is no stream to write to", hint="give dest=FILE")
            yield stream
            stream.flush()
            return
        dest = os.path.realpath(dest)
        if os.path.isdir(dest):
            raise ExportError(
                f"{dest} is a folder, where a file is to be written",
                hint="name a file in it, or use tar=false for an OCI layout in a folder",
            )
        if os.path.exists(dest) and not stat.S_ISREG(os.stat(dest).st_mode):
            with open(dest, "wb", buffering=0) as file:
                yield file
            return
        os.makedirs(os.path.dirname(dest), exist_ok=True)
        with replacing(dest) as file:
            yield file


@contextmanager
def reported(dest: str) -> Iterator[None]:
    """Turns an OSError of the block into an ExportError that names the destination."""
    try:
        yield
    except OSError as error:
        name = "the output" if dest == STREAM else dest
        if isinstance(error, BrokenPipeError):
            raise ExportError(f"writing {name}: its reader went away") from error
        hint = "free some space, or write to another disk" if error.errno in FULL else None
        where = f" ({error.filename})" if error.filename and error.filename != dest else ""
        raise ExportError(f"writing {name}: {error.strerror or error}{where}", hint=hint) from error
