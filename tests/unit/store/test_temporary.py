"""Folders for what is not finished."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jettison.store.store import Store
from jettison.store.temporary import Session, others


def test_a_sweep_of_another_process_between_two_calls_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process sees the new folder before it is locked, takes it for a dead one's and removes it."""
    real = os.mkdir
    swept = []

    def mkdir(path: str, mode: int = 0o777) -> None:
        real(path, mode)
        if not swept:
            swept.append(path)
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    session = Session(str(tmp_path))
    folder = session.new_folder("step")
    assert swept and os.path.isdir(folder) and not folder.startswith(swept[0])
    session.close()
    assert os.listdir(tmp_path) == []


def test_what_others_may_be_using_is_known(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as own, Store.open(root) as build, Store.open(root) as container:
        assert others(f"{root}/tmp", own.session) == (None, set())
        for store in (own, build, container):
            store.session.opened -= 1000
            store.session.new_folder("x")
        assert others(f"{root}/tmp", own.session) == (float(int(build.session.opened)), set())
        container.session.need_only(["a", "b"])
        assert others(f"{root}/tmp", own.session) == (float(int(build.session.opened)), {"a", "b"})
        build.session.close()
        assert others(f"{root}/tmp", own.session) == (None, {"a", "b"})
    assert os.listdir(f"{root}/tmp") == []


def test_who_has_the_store_open_keeps_others_from_being_alone(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as own:
        with Store.open(root), own.presence.alone() as alone:
            assert not alone
        came = threading.Event()

        def come() -> None:
            with Store.open(root):
                came.set()

        with own.presence.alone() as alone:
            assert alone
            thread = threading.Thread(target=come)
            thread.start()
            assert not came.wait(0.2)
        thread.join()
        assert came.is_set()
