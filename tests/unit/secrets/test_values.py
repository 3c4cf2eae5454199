"""Secrets of a request: read once, bounded, and represented in keys by what tells nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jettison.errors import NotFound, StoreError, UsageError
from jettison.request import BuildRequest, Secret
from jettison.secrets.values import LARGEST, Secrets
from jettison.store.store import Store


def of(*secrets: Secret, **environment: str) -> Secrets:
    return Secrets(BuildRequest(secrets=secrets, environment=environment))


def test_a_value_comes_from_a_file_or_a_variable(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"from a file\0\n")
    secrets = of(Secret("a", str(tmp_path / "f")), Secret("b", env="B"), B="from b")
    assert secrets.value("a") == b"from a file\0\n"
    assert secrets.value("b") == b"from b"
    assert secrets.value("c") is None


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"through a pipe",))
    writer.start()
    secrets = of(Secret("a", str(pipe)))
    assert [secrets.value("a"), secrets.value("a")] == [b"through a pipe"] * 2
    assert secrets.masks().hide(b"through a pipe") == b"****"
    writer.join(10)


def test_what_is_missing_is_told_by_who_needs_it(tmp_path: Path) -> None:
    secrets = of(Secret("a", str(tmp_path / "none")), Secret("b", env="B"), Secret("c", env="C"), C="present")
    with pytest.raises(NotFound, match=r"id=a: cannot read .*none: No such file"):
        secrets.value("a")
    with pytest.raises(NotFound, match="id=b: the variable B is not set"):
        secrets.value("b")
    assert secrets.masks().hide(b"present") == b"****"


def test_a_value_has_a_largest_size(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(LARGEST))
    assert len(of(Secret("a", str(tmp_path / "f"))).value("a") or b"") == LARGEST
    with pytest.raises(UsageError, match="id=a: the value is larger than 500 KiB"):
        of(Secret("a", "/dev/zero")).value("a")


def test_only_a_secret_that_counts_has_a_stamp() -> None:
    def never() -> bytes:
        raise AssertionError("no salt is needed")

    assert of(Secret("a", env="A"), A="value").stamp("a", never) == ""
    assert of().stamp("a", never) == ""


def test_a_stamp_tells_values_salts_and_ids_apart() -> None:
    def stamp(name: str, value: str, salt: bytes) -> str:
        return of(Secret(name, env="A", key="content"), A=value).stamp(name, lambda: salt)

    first = stamp("a", "value", b"salt")
    assert first == stamp("a", "value", b"salt")
    others = {stamp("a", "value2", b"salt"), stamp("b", "value", b"salt"), stamp("a", "value", b"other")}
    assert len({first, *others}) == 4


def test_a_store_has_one_salt_that_only_its_owner_reads(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Store.open(str(tmp_path / "one")) as store:
            salts: set[bytes] = set()
            threads = [threading.Thread(target=lambda: salts.add(store.salt())) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(salts) == 1
            assert os.stat(tmp_path / "one/salt").st_mode & 0o777 == 0o600
    finally:
        os.umask(old)
    with Store.open(str(tmp_path / "one")) as store, Store.open(str(tmp_path / "two")) as other:
        assert store.salt() in salts
        assert other.salt() not in salts
        (tmp_path / "one/salt").write_bytes(b"short")
        with pytest.raises(StoreError, match="salt is damaged"):
            store.salt()
