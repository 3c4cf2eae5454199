"""A store's salt: without it, nobody can try out values of secrets on what the cache remembers of them."""

from __future__ import annotations

import os

from jettison.errors import StoreError
from jettison.store.faults import faults
from jettison.store.temporary import Session

NAME = "salt"
_BYTES = 32


def salt_of(root: str, session: Session) -> bytes:
    """The salt of the store in a folder; a store without one makes it. Raises StoreError."""
    path = f"{root}/{NAME}"
    with faults("reading the salt", root):
        if not os.path.exists(path):
            _make(path, session)
        with open(path, "rb") as file:
            salt = file.read(_BYTES + 1)
    if len(salt) != _BYTES:
        raise StoreError(
            f"the store's salt {path} is damaged",
            hint="remove the file: steps with secrets that count run again once then",
        )
    return salt


def _make(path: str, session: Session) -> None:
    """Let the salt appear whole; another process may be first."""
    own = session.new_name(NAME)
    with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(os.urandom(_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    os.unlink(own)
