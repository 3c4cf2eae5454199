from __future__ import annotations

import os
from pathlib import Path

import pytest

from jettison.errors import SourceError
from jettison.store.upper import drop_needless
from tests.unit.executor.layers import folder


def test_names_that_layers_give_a_meaning_to_are_refused(tmp_path: Path) -> None:
    upper = folder(tmp_path / "upper", {"d/.wh.a": ""}).folder
    with pytest.raises(SourceError, match=r"cannot keep /d/\.wh\.a in an image"):
        drop_needless(upper, folder(tmp_path / "below", {}))


@pytest.mark.skipif(os.geteuid() != 0, reason="making devices takes root")
def test_whiteouts_that_hide_nothing_are_dropped(tmp_path: Path) -> None:
    below = folder(tmp_path / "below", {"gone": ""})
    upper = folder(tmp_path / "upper", {"kept": ""}).folder
    for name in ("gone", "never", ".wh.never"):
        os.mknod(f"{upper}/{name}", 0o20000, os.makedev(0, 0))
    drop_needless(upper, below)
    assert sorted(os.listdir(upper)) == ["gone", "kept"]
