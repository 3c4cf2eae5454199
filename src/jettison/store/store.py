"""The store.

One folder with everything that outlives a build. Opening it costs one small file and one database.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from jettison.errors import StoreError
from jettison.store.base import FetchBlob
from jettison.store.blobs import Blobs
from jettison.store.database import SCHEMA_VERSION, Database, too_new
from jettison.store.faults import faults
from jettison.store.images import Images
from jettison.store.layers import Layers
from jettison.store.locks import Presence, locked
from jettison.store.private import keep_private, private, refuse_foreign
from jettison.store.temporary import Session, WorkDir, remove_tree, sweep

if TYPE_CHECKING:
    from jettison.store.copying import Kept
    from jettison.store.view import LayerView

_FOLDERS = ("", "blobs", "blobs/sha256", "layers", "tmp", "locks", "cache-mounts", "memo", "listings")


class Store:
    """A store that is open. Several threads may share one, several processes may open the same folder."""

    def __init__(self, root: str, fetch: FetchBlob | None = None) -> None:
        self.root = root
        self.presence = Presence(f"{root}/locks/in-use")
        self.fetch = fetch
        """Called for blobs that a layer names and the store has not; may be set later."""
        self.session = Session(f"{root}/tmp", self._sweep)
        self.blobs = Blobs(f"{root}/blobs", self.session)
        self.db = Database(f"{root}/jettison.db")
        self.layers = Layers(self)
        self.images = Images(self.db)
        self.copies: list[Kept] = []
        """Root filesystems that the next step may go on with, the newest last."""

    @classmethod
    def open(cls, root: str, fetch: FetchBlob | None = None) -> Store:
        """Open the store in a folder, or make a new one there; an older one is brought to today's version.

        Raises StoreError when the folder cannot be used, or a later version of jettison wrote it.
        """
        root = os.path.abspath(root)
        with faults("opening the store", root):
            if not _is_current(root):
                _prepare(root)
            keep_private(root)
            return cls(root, fetch)

    def close(self) -> None:
        """Remove what is unfinished, and close the files."""
        self.session.close()
        self.db.close()
        self.presence.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def view(self, layer_ids: Sequence[str]) -> LayerView:
        """The file tree of stacked layers, the lowest first."""
        from jettison.store.view import LayerView

        layers = self.layers

        def tree(layer_id: str) -> str | None:
            return layers.tree(layer_id) if layers.has_tree(layer_id) else None

        return LayerView(layer_ids, tree, layers.ensure_index, layers.ensure_tree)

    def new_work_dir(self, *, beside: bool = False) -> WorkDir:
        """A folder for one step on the store's filesystem, with `upper` and `work`.

        Removed when its owner dies. See Session.new_work_dir for `beside`.
        """
        return self.session.new_work_dir(beside=beside)

    def lock(
        self,
        name: str,
        on_wait: Callable[[], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> AbstractContextManager[bool]:
        """Hold a lock that all builds of this store share. Gives whether another one had it.

        `on_wait` is called once before waiting; Cancelled is raised when `cancel` is set meanwhile.
        """
        return locked(f"{self.root}/locks/{_file_name(name)}", on_wait, cancel)

    def cache_mount_folder(self, mount_id: str) -> str:
        """Where a cache mount is, or would be.

        Files under ids that are not ours cannot be written to: where we have one id mounts are others.
        """
        from jettison.store.trees import virtual

        return f"{self.root}/cache-mounts/{_file_name(mount_id)}{'.virtual' if virtual() else ''}"

    def salt(self) -> bytes:
        """What this store mixes into digests that must tell nothing. Raises StoreError."""
        from jettison.store.salt import salt_of

        return salt_of(self.root, self.session)

    def tidy(self) -> None:
        """Remove what dead processes left, if this one did not do so already when it first wrote something.

        Looks at two small folders where there is nothing to do. Raises nothing: what stays now goes later.
        """
        try:
            # The lock of all who have the store open is always there.
            if os.listdir(f"{self.root}/tmp") or len(os.listdir(f"{self.root}/locks")) > 1:
                self.session.new_name("tidy")
        except (OSError, StoreError):
            pass

    def _sweep(self) -> None:
        """Remove what dead processes left outside of their folders below tmp/."""
        sweep(f"{self.root}/locks")
        self.layers.sweep()

    def cache_mount(self, mount_id: str, seed: Callable[[str], None] | None = None) -> str:
        """The folder of a cache mount.

        A new one is first filled by `seed`, which gets an empty folder (0755).
        """
        import time

        folder = self.cache_mount_folder(mount_id)
        now = time.time()
        # Said to be in use before anyone looks for it, so that nothing removes it in between.
        self.db.write(
            "INSERT INTO cache_mounts (id, folder, created, last_used) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET folder = excluded.folder, last_used = excluded.last_used",
            (mount_id, os.path.basename(folder), now, now),
        )
        if not os.path.isdir(folder):
            with self.lock(f"cache-mount-{mount_id}"), faults("making a cache mount", self.root):
                if not os.path.isdir(folder):
                    self._new_cache_mount(folder, seed)
        return folder

    def _new_cache_mount(self, folder: str, seed: Callable[[str], None] | None) -> None:
        fresh = self.session.new_folder("cache", 0o755)
        try:
            if seed:
                seed(fresh)
            os.rename(fresh, folder)
        except BaseException:
            remove_tree(fresh)
            raise


def _file_name(name: str) -> str:
    """A file name for any text."""
    if len(name) < 100 and name.replace("-", "").replace("_", "").isalnum() and name.isascii():
        return name
    from hashlib import sha256

    return "x" + sha256(os.fsencode(name)).hexdigest()


def _is_current(root: str) -> bool:
    try:
        with open(f"{root}/version", encoding="utf-8", errors="replace") as file:
            text = file.read().strip()
    except FileNotFoundError:
        return False
    if not text.isdigit():
        raise StoreError(f"{root} is no store of jettison: its version file says {text!r}")
    if int(text) > SCHEMA_VERSION:
        raise too_new(root, int(text))
    return int(text) == SCHEMA_VERSION


def _prepare(root: str) -> None:
    """Make a new store, or bring an older one to today's version."""
    os.makedirs(root, 0o700, exist_ok=True)
    refuse_foreign(root)
    if not os.path.isdir(f"{root}/locks") and os.listdir(root) and not os.path.exists(f"{root}/jettison.db"):
        raise StoreError(f"{root} holds other things and is no store", hint="--root names another folder")
    os.makedirs(f"{root}/locks", 0o700, exist_ok=True)
    with locked(f"{root}/locks/open"):
        if _is_current(root):
            return
        for name in _FOLDERS:
            os.makedirs(f"{root}/{name}", 0o700, exist_ok=True)
            os.chmod(f"{root}/{name}", 0o700)
        db = Database(f"{root}/jettison.db")
        try:
            # Before SQLite makes the files beside it, which take its mode.
            os.chmod(f"{root}/jettison.db", 0o600)
            db.prepare()
        finally:
            db.close()
        # The version comes last: whoever sees it finds everything else in place.
        with open(f"{root}/version.new", "w", encoding="ascii", opener=private) as file:
            file.write(f"{SCHEMA_VERSION}\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{root}/version.new", f"{root}/version")
