"""Whose files COPY, ADD and WORKDIR make: USER[:GROUP], looked up in the image they go into."""

from __future__ import annotations

from jettison.sandbox import users
from jettison.store.base import FileTree
from jettison.store.resolve import resolve


def resolve_owner(text: str, image: FileTree) -> tuple[int, int]:
    """The numbers for the text of --chown or USER. "" is root.

    A user number alone gives the group of that number; a user name alone
    gives the group of its passwd entry. Raises NotFound for a name that the image doesn't know.
    """
    if not users.needs_files(text):
        return users.owner(text, None, None)
    return users.owner(text, _content(image, "etc/passwd"), _content(image, "etc/group"))


def _content(image: FileTree, path: str) -> bytes | None:
    real = resolve(image, path)
    node = image.lookup(real)
    if node is None or node.kind != "file":
        return None
    with image.open(real) as stream:
        return stream.read()
