"""--compression and its level: what the archive holds, and that the default never depends on them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Jettison

Layers = list[dict[str, object]]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY words /words\nWORKDIR /w\nCOPY . .\n")
    (folder / "words").write_text("".join(f"{number * 7919 % 100_003} words\n" for number in range(60_000)))
    return folder


def layers(archive: Path) -> Layers:
    with tarfile.open(archive) as tar:

        def read(name: str) -> dict[str, object]:
            file = tar.extractfile(name)
            assert file is not None
            found: dict[str, object] = json.load(file)
            return found

        def blob(digest: object) -> dict[str, object]:
            return read(f"blobs/{str(digest).replace(':', '/')}")

        index = read("index.json")
        manifest = blob(index["manifests"][0]["digest"])  # type: ignore[index]
        found: Layers = manifest["layers"]  # type: ignore[assignment]
        return found


def built(jettison: Jettison, context: Path, name: str, *more: str, extra: str = "") -> Layers:
    out = context.parent / f"{name}.tar"
    jettison.ok("build", *more, "-o", f"type=oci,dest={out}{extra}", str(context))
    return layers(out)


def size(found: list[dict[str, object]]) -> int:
    return sum(int(str(layer["size"])) for layer in found)


def test_each_compression(empty_jettison: Jettison, context: Path) -> None:
    jettison = empty_jettison
    zstd = built(jettison, context, "z", "--compression", "zstd")
    assert {layer["mediaType"] for layer in zstd} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    none = built(jettison, context, "n", extra=",compression=uncompressed")
    assert {layer["mediaType"] for layer in none} == {"application/vnd.oci.image.layer.v1.tar"}
    gzip = built(jettison, context, "g")
    assert {layer["mediaType"] for layer in gzip} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    fast = built(jettison, context, "1", "--compression-level", "1")
    best = built(jettison, context, "12", "--compression", "gzip", "--compression-level", "12")
    assert size(best) < size(gzip) < size(fast) < size(none)
    assert built(jettison, context, "again") == gzip
    assert built(jettison, context, "z2", extra=",compression=zstd,compression-level=3") != best


def test_the_default_is_the_same_on_a_store_that_has_seen_others(
    empty_jettison: Jettison, context: Path, tmp_path: Path
) -> None:
    jettison = empty_jettison
    clean = built(jettison, context, "clean", "--root", str(tmp_path / "other"))
    built(jettison, context, "12", "--compression-level", "12")
    built(jettison, context, "z", "--compression", "zstd")
    assert built(jettison, context, "g") == clean


@pytest.mark.parametrize(
    "words",
    [
        ("--compression", "lz4"),
        ("--compression-level", "13"),
        ("--compression-level", "0"),
        ("--compression", "zstd", "--compression-level", "20"),
        ("--compression", "none", "--compression-level", "1"),
        ("--compression", "zstd", "-o", "type=oci,dest=x.tar,compression=gzip"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_built(
    empty_jettison: Jettison, context: Path, words: tuple[str, ...]
) -> None:
    done = empty_jettison("build", *words, str(context))
    assert done.code == 2 and "compress" in done.err and "Traceback" not in done.err
