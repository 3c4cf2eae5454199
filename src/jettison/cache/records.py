"""What is known of steps that ran: cache records in the store's database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable

from jettison.cache.key import CacheKey
from jettison.dataclass import dataclass
from jettison.digests import canonical_json
from jettison.store.database import Database

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """The result under one key. `layers` is the whole stack, lowest first; `created` seconds since the epoch.

    `seconds` is what the step took when it ran, `size` the bytes of its own layer's files; `last_used`
    is right to the hour.
    """

    key: str
    layers: tuple[str, ...]
    created: float
    seconds: float
    size: int
    last_used: float = 0.0


def find(
    db: Database, keys: Iterable[str], has_tree: Callable[[str], bool] = lambda layer_id: True
) -> dict[str, CacheRecord]:
    """The records of some keys, by key. A record is only given while all its layers are in the store.

    Layers without a blob are asked for with `has_tree`.
    """
    wanted = list(dict.fromkeys(keys))
    found: dict[str, CacheRecord] = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = db.read(
            f"SELECT key, layers, created, seconds, size, last_used FROM records WHERE key IN ({marks})", part
        )
        for key, layers, created, seconds, size, used in rows:
            found[key] = CacheRecord(key, tuple(json.loads(layers)), created, seconds, size, used)
    ids = list({layer for record in found.values() for layer in record.layers})
    present: set[str] = set()
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = db.read(f"SELECT id, blob FROM layers WHERE id IN ({marks})", part)
        present.update(layer_id for layer_id, blob in rows if blob or has_tree(layer_id))
    return {key: record for key, record in found.items() if present.issuperset(record.layers)}


def save(
    db: Database,
    keys: Iterable[CacheKey],
    layers: tuple[str, ...],
    seconds: float,
    size: int,
    created: float | None = None,
) -> float:
    """Remember a result under several keys, in place of what they stood for before; give when it was made."""
    used = time.time()
    now = used if created is None else created
    rows = [
        (key.digest, json.dumps(layers), canonical_json(key.parts).decode("ascii"), now, used, seconds, size)
        for key in keys
    ]
    db.write_many(
        "INSERT OR REPLACE INTO records (key, layers, parts, created, last_used, seconds, size)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return now


def touch(db: Database, found: Collection[CacheRecord]) -> bool:
    """Note that records and their layers were used now, for whoever has to choose what to remove.

    To the hour is enough. Gives whether anything was noted: what was found may have been removed just before.
    """
    now = time.time()
    stale = [(now, record.key) for record in found if record.last_used < now - _HOUR]
    if not stale:
        return False
    keys = {key for _, key in stale}
    layers = {layer for record in found if record.key in keys for layer in record.layers}
    with db.transaction():
        db.write_many("UPDATE records SET last_used = ? WHERE key = ?", stale)
        db.write_many("UPDATE layers SET last_used = ? WHERE id = ?", [(now, layer) for layer in layers])
    return True
