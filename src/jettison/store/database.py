"""The one SQLite file of a store: schema, versions, and access from several threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jettison.errors import StoreError

SCHEMA_VERSION = 2
"""How many of the `migrations` a database of today has. A store's `version` file says the same number."""
BUSY_SECONDS = 120

BUILDS = """
CREATE TABLE IF NOT EXISTS builds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, at REAL NOT NULL,
    folder BLOB NOT NULL, file BLOB NOT NULL, data BLOB NOT NULL
)
"""
"""What `jettison why` compares. Made by the first build that has something to say, also in older stores."""

HISTORY = """
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, at REAL NOT NULL,
    seconds REAL NOT NULL DEFAULT 0, folder BLOB NOT NULL, file BLOB NOT NULL, targets TEXT NOT NULL,
    state TEXT NOT NULL, ran INTEGER NOT NULL DEFAULT 0, cached INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', why INTEGER NOT NULL DEFAULT 0, data BLOB NOT NULL DEFAULT x''
)
"""
"""Builds in which a step had something to do, as `jettison builds` lists them. Made like the other one."""


class Database:
    """A connection that all threads of a process share, one at a time; SQLite keeps processes apart."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._depth = 0
        with self._reported():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous=NORMAL")

    def prepare(self) -> None:
        """Bring a new or older file to today's schema. The caller holds the store's opening lock.

        Raises StoreError for a file that a later jettison wrote. After a failure, or when the process
        dies, the file has one version or the next, whole.
        """
        from jettison.store.migrations import MIGRATIONS

        with self._lock, self._reported():
            version = self.version()
            if version > SCHEMA_VERSION:
                raise too_new(self._path, version)
            self._connection.execute("PRAGMA journal_mode=WAL")
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                try:
                    self._connection.executescript(
                        f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number}; COMMIT;"
                    )
                except BaseException:
                    self._roll_back()
                    raise

    def version(self) -> int:
        """The schema version of the file; 0 when it is empty."""
        return int(self.read("PRAGMA user_version")[0][0])

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock, self._reported():
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one changing statement, and give the number of rows it touched."""
        with self._lock, self._reported():
            return self._connection.execute(sql, values).rowcount

    def write_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one changing statement for each row, in one transaction."""
        with self.transaction(), self._reported():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The only writer, in this process and all others, until the block ends.

        An exception undoes all of it.
        """
        with self._lock:
            if self._depth == 0:
                with self._reported():
                    self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._roll_back()
                raise
            self._depth -= 1
            if self._depth == 0:
                try:
                    with self._reported():
                        self._connection.execute("COMMIT")
                except BaseException:
                    self._roll_back()
                    raise

    def _roll_back(self) -> None:
        # SQLite has already rolled back by itself after some errors (a full disk among them).
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file. Later calls raise StoreError."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error


def too_new(path: str, version: int) -> StoreError:
    """The error for a store that a later jettison wrote."""
    return StoreError(
        f"{path} has version {version}; this jettison understands versions up to {SCHEMA_VERSION}",
        hint="use the newer jettison, or another folder with --root",
    )


def _explained(error: sqlite3.Error, path: str) -> StoreError:
    """What SQLite says, as a StoreError. None of these touch what a finished transaction wrote."""
    folder = os.path.dirname(path)
    # The upper bits tell where inside SQLite it happened.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            f"the store's database cannot grow: no space left in {folder}",
            hint="free some space, or use another folder with --root",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"the store's database in {folder} cannot be read or written: {error}",
            hint="most often the disk is full, or a quota used up: free some space",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"the store's database in {folder} was locked for {BUSY_SECONDS} s",
            hint="another process holds it; is it stopped?",
            temporary=True,
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(
            f"the store's database in {folder} cannot be written: {error}",
            hint="the folder has to be writable for this user; --root names another",
        )
    return StoreError(
        f"the store's database {path} cannot be used: {error}",
        hint="if it is damaged, move the store's folder away: all in it can be made again",
    )
