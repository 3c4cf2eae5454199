"""Remembered hashes: never for what may have changed, in any order, and damaged ones are no harm."""

from __future__ import annotations

import os
import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from jettison.sources import memo as memo_module
from jettison.sources.memo import Memo, hash_file, key_of, memo_name


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files were written long ago, as far as the memo sees."""
    now = time.time_ns() + 100_000_000_000
    monkeypatch.setattr("jettison.sources.memo.time.time_ns", lambda: now)


@pytest.fixture
def settled(tmp_path: Path, later: None) -> Path:
    """One such file."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c/f").write_text("c/f")
    os.utime(tmp_path / "c/f", (1, 1))
    return tmp_path / "c/f"


def test_the_memo_spares_reading(tmp_path: Path, settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = Memo(str(tmp_path / "memo/x"))
    first = memo.hashes([str(settled)])
    memo.save()
    read: list[str] = []


    def counting(file: str, *more: Any) -> bytes:
        read.append(file)
        return hash_file(file, *more)

    monkeypatch.setattr(memo_module, "hash_file", counting)
    assert Memo(str(tmp_path / "memo/x")).hashes([str(settled)]) == first and read == []
    settled.write_text("C/F")
    os.utime(settled, (1, 1))
    again = Memo(str(tmp_path / "memo/x")).hashes([str(settled)])
    assert again != first and read == [str(settled)]


def test_what_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    memo = Memo(str(tmp_path / "memo/x"))
    memo.hashes([str(tmp_path / "f")])
    memo.save()
    key = _key(tmp_path / "f")
    assert Memo(str(tmp_path / "memo/x")).get(key) is None


def test_a_damaged_memo_is_forgotten(tmp_path: Path, settled: Path) -> None:
    memo = Memo(str(tmp_path / "memo/x"))
    first = memo.hashes([str(settled)])
    memo.save()
    good = (tmp_path / "memo/x").read_bytes()
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    for bad in (good[:-1], flipped, good[:10], b"", b"jettison memo 1\n" + good[16:]):
        (tmp_path / "memo/x").write_bytes(bad)
        assert Memo(str(tmp_path / "memo/x")).get(_key(settled)) is None
        assert Memo(str(tmp_path / "memo/x")).hashes([str(settled)]) == first


def _key(path: Path) -> bytes:
    st = path.stat()
    return key_of(st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)


def _record(number: int, version: int = 0) -> tuple[bytes, bytes]:
    return key_of(1, number, 10, 5, 5 + version), sha256(b"%d %d" % (number, version)).digest()


def _fill(memo: Memo, records: list[tuple[bytes, bytes]]) -> int:
    """Ask for all; give the number of those that were not known, and are now."""
    missing = 0
    for key, digest in records:
        found = memo.get(key)
        assert found in (None, digest)
        if found is None:
            missing += 1
            memo.put(key, digest)
    memo.settle()
    return missing


def test_the_order_does_not_matter_for_what_is_found(tmp_path: Path, later: None) -> None:
    path = str(tmp_path / "memo")
    records = [_record(number) for number in range(3000)]
    memo = Memo(path)
    assert _fill(memo, records) == 3000
    assert _fill(memo, records) == 0
    memo.save()
    for order in (records[::-1], records[1500:] + records[:10], records[::7], records):
        memo = Memo(path)
        assert _fill(memo, order) == 0
        memo.save()
    shuffled = random.Random(7).sample(records, 3000)
    assert _fill(Memo(path), shuffled) < 3000
    memo = Memo(path)
    _fill(memo, shuffled)
    memo.save()
    assert _fill(Memo(path), shuffled) == 0


def test_a_large_file_is_always_found(tmp_path: Path, later: None) -> None:
    path = str(tmp_path / "memo")
    large = (key_of(1, 99_999, 1 << 30, 5, 5), sha256(b"large").digest())
    memo = Memo(path)
    _fill(memo, [_record(number) for number in range(3000)] + [large])
    memo.save()
    memo = Memo(path)
    assert _fill(memo, [_record(number, 7) for number in range(5000, 5100)] + [large]) == 100


def test_changed_new_and_missing_files_cost_only_themselves(tmp_path: Path, later: None) -> None:
    path = str(tmp_path / "memo")
    records = [_record(number) for number in range(2000)]
    memo = Memo(path)
    _fill(memo, records)
    memo.save()
    changed = [_record(n, 1) if n % 400 == 0 else record for n, record in enumerate(records) if n % 17]
    changed.insert(1000, _record(5000))
    memo = Memo(path)
    expected = 1 + sum(1 for n in range(2000) if n % 400 == 0 and n % 17)
    assert _fill(memo, changed) == expected
    assert _fill(memo, changed) == 0
    memo.save()
    memo = Memo(path)
    assert _fill(memo, changed) == 0, "and the next build knows them"
    assert _fill(memo, records[::50]) == 0, "what was not asked for meanwhile is still known"


def test_what_nobody_asks_for_does_not_pile_up(tmp_path: Path, later: None) -> None:
    path = str(tmp_path / "memo")
    for version in range(30):
        memo = Memo(path)
        assert _fill(memo, [_record(number, version) for number in range(2000)]) == 2000
        memo.save()
    assert os.path.getsize(path) < 72 * (4 * 2000 + 10_000) + 100


def test_two_passes_of_one_build(tmp_path: Path, later: None) -> None:
    memo = Memo(str(tmp_path / "memo"))
    records = [_record(number) for number in range(500)]
    assert _fill(memo, records[3:5]) == 2
    assert _fill(memo, records) == 498
    assert _fill(memo, records[3:5]) == 0
    memo.save()
    assert _fill(Memo(str(tmp_path / "memo")), records) == 0


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path, later: None) -> None:
    (tmp_path / "memo").write_text("a file")
    memo = Memo(str(tmp_path / "memo/x"))
    _fill(memo, [_record(1)])
    memo.save()
    assert (tmp_path / "memo").read_text() == "a file"


def test_many_files_are_hashed_in_order(tmp_path: Path) -> None:
    names = [str(tmp_path / f"f{number}") for number in range(2_500)]
    for number, name in enumerate(names):
        Path(name).write_text(str(number))
    got = Memo().hashes(names)
    assert got == [sha256(str(number).encode()).digest() for number in range(2_500)]


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 5])
def test_files_of_all_sizes(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "f").write_bytes(data)
    assert Memo().hashes([str(tmp_path / "f")]) == [sha256(data).digest()]
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert hash_file("f", folder) == sha256(data).digest()
    finally:
        os.close(folder)


def test_each_context_has_its_memo(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "l").symlink_to("a")
    assert memo_name(str(tmp_path / "a")) == memo_name(str(tmp_path / "l")) != memo_name(str(tmp_path))


def test_after_a_checkout_hashes_are_remembered_once_the_kernel_has_written_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(tmp_path / f"f{number}") for number in range(memo_module._MOST_EXPOSED + 50)]
    for name in names:
        Path(name).write_text(name)
        os.utime(name, (1, 1))
    written = time.time_ns()
    path = str(tmp_path / "memo")
    for seconds, kept in ((1, 0), (5, memo_module._MOST_EXPOSED), (90, len(names))):
        monkeypatch.setattr("jettison.sources.memo.time.time_ns", lambda now=written + seconds * 10**9: now)
        monkeypatch.setattr(memo_module, "unsent_ns", lambda: 44 * 10**9)
        memo = Memo(path)
        memo.hashes(names)
        assert memo.unsure == (seconds == 5)
        memo.save()
        later = Memo(path)
        assert sum(later.get(_key(Path(name))) is not None for name in names) == kept
        Path(path).unlink(missing_ok=True)


def test_how_long_the_kernel_waits_is_known() -> None:
    assert 10**9 < memo_module.unsent_ns() < 3600 * 10**9
