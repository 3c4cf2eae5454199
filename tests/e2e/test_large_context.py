"""COPY of a whole folder: read once, and whatever is used again, equal to what a clean store makes of it."""

from __future__ import annotations

import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Jettison

FILES = 2500


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Some 12 MB, half of which compress: enough for a table of pieces."""
    folder = tmp_path / "context"
    chosen = random.Random(3)
    for number in range(FILES):
        place = folder / f"d{number % 40}" / f"e{number % 7}"
        place.mkdir(parents=True, exist_ok=True)
        size = chosen.randrange(100, 9000)
        (place / f"f{number}").write_bytes(chosen.randbytes(size // 2) + b"text " * (size // 10))
    (folder / "large").write_bytes(chosen.randbytes(3 << 20))
    (folder / "d0/link").symlink_to("e0")
    os.link(folder / "large", folder / "d1/large too")
    (folder / "Dockerfile").write_text("FROM scratch\nWORKDIR /app\nCOPY . .\n")
    return folder


def layers(jettison: Jettison, context: Path, *words: str) -> list[str]:
    """The digests of the image's layers."""
    out = context.parent / "image.tar"
    jettison.ok("build", "-q", *words, "-o", f"type=oci,dest={out}", context)
    with tarfile.open(out) as tar:
        names = [name for name in tar.getnames() if name.startswith("blobs/sha256/")]
        for name in names:
            file = tar.extractfile(name)
            if file is None or (data := file.read(1)) != b"{":
                continue
            document = json.loads(data + file.read())
            if "layers" in document:
                return [layer["digest"] for layer in document["layers"]]
    raise AssertionError("no manifest")


def test_every_change_gives_what_a_clean_store_gives(
    empty_jettison: Jettison, context: Path, tmp_path: Path
) -> None:
    changes = [
        lambda: (context / "d3/e3/f3").write_text("changed"),
        lambda: (context / "d3/e3/new").write_text("new"),
        lambda: (context / "d20/e6/f20").unlink(),
        lambda: (context / "large").write_bytes(b"smaller"),
        lambda: (context / "d4").chmod(0o700),
        lambda: (context / "d5").rename(context / "c5"),
    ]
    before = layers(empty_jettison, context)
    assert list(empty_jettison.root.glob("layers/*/pieces"))
    for number, change in enumerate(changes):
        change()
        after = layers(empty_jettison, context)
        assert after != before
        assert after == layers(empty_jettison, context, "--root", str(tmp_path / f"clean{number}"))
        assert after == layers(empty_jettison, context), "and again, from the cache"
        before = after


def test_what_was_there_before_comes_from_the_cache(empty_jettison: Jettison, context: Path) -> None:
    first = layers(empty_jettison, context)
    text = (context / "d3/e3/f3").read_bytes()
    (context / "d3/e3/f3").write_text("changed")
    assert layers(empty_jettison, context) != first
    (context / "d3/e3/f3").write_bytes(text)
    done = empty_jettison.ok("build", "--progress", "jsonl", context)
    assert [step["cached"] for step in done.events("StepFinished")] == [True, True]
    assert layers(empty_jettison, context) == first
    left = [path for folder in (empty_jettison.root / "tmp").iterdir() for path in folder.rglob("*")]
    assert left == []


def test_the_same_files_below_a_stage_with_run_and_one_without(jettison: Jettison, context: Path) -> None:
    """As files to mount, or straight into a blob: one layer."""
    straight = layers(jettison, context)
    (context.parent / "Dockerfile").write_text(
        "FROM busybox AS build\nWORKDIR /app\nCOPY . .\nRUN find /app -type f | wc -l >/count\n"
        "FROM scratch\nCOPY --from=build /app /app\nCOPY --from=build /count /\n"
    )
    words = ("-f", str(context.parent / "Dockerfile"))
    layers(jettison, context, *words)
    built = jettison.ok("build", "-q", *words, "--target", "build", "-t", "b", context)
    assert built.out.startswith("sha256:")
    count = jettison.ok("run", "b", "cat", "/count").out.strip()
    assert int(count) == FILES + 3
    names = {path.relative_to(context).as_posix() for path in context.rglob("*")}
    out = context.parent / "out"
    jettison.ok("build", "-q", *words, "-o", out, context)
    assert {path.relative_to(out / "app").as_posix() for path in (out / "app").rglob("*")} == names
    assert layers(jettison, context) == straight
