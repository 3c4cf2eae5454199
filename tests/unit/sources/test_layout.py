from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison import platforms
from jettison.errors import NotFound, SourceError
from jettison.oci.registry.access import RegistryAccess
from jettison.sources.fetch import fetch_blob
from jettison.sources.layout import image_from_layout, split_layout
from jettison.store.store import Store
from tests import layouts
from tests.layouts import MadeImage

IMAGE = MadeImage([layouts.tar_of({"a": b"1"}), layouts.tar_of({"b": b"2"})], {"Cmd": ["a"]})
AMD64 = platforms.parse("linux/amd64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def test_layers_stay_where_they_are_until_needed(store: Store, tmp_path: Path) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, ref="latest")
    base = image_from_layout(store, str(folder), "", AMD64, "base")
    assert base.digest == IMAGE.digest and base.config.config == {"Cmd": ["a"]}
    assert [layer.diff_id for layer in base.layers] == IMAGE.diff_ids
    assert base.fetch_from == f"layout:{folder}"
    assert store.blobs.has(IMAGE.digest) and store.blobs.has(layouts.sha256(IMAGE.config_bytes))
    assert not any(store.blobs.has(layer.blob.digest) for layer in base.layers)

    store.fetch = lambda blob, origin: fetch_blob(store, blob, origin, RegistryAccess())
    layer = store.layers.by_diff_id(IMAGE.diff_ids[1])
    assert layer is not None
    tree = Path(store.layers.ensure_tree(layer.id))
    assert (tree / "b").read_bytes() == b"2"
    copied = Path(store.blobs.path(base.layers[1].blob.digest))
    assert copied.stat().st_ino != (folder / "blobs" / "sha256" / copied.name).stat().st_ino


def test_archive_is_copied_at_once(store: Store, tmp_path: Path) -> None:
    archive = layouts.pack(layouts.layout_of(tmp_path / "l", IMAGE), tmp_path / "l.tar")
    base = image_from_layout(store, str(archive), "", AMD64, "base")
    assert base.fetch_from == "" and all(store.blobs.has(layer.blob.digest) for layer in base.layers)


def test_selectors(store: Store, tmp_path: Path) -> None:
    other = MadeImage([layouts.tar_of({"c": b""})])
    third = MadeImage([layouts.tar_of({"d": b""})])
    inner = layouts.index_of([third.entry()])
    nested = layouts.descriptor(f"{layouts.OCI}.index.v1+json", inner)
    nested["annotations"] = {"io.containerd.image.name": "docker.io/library/x:v3"}
    entries = [IMAGE.entry(ref="v1"), other.entry(ref="latest"), nested]
    blobs = [inner, *IMAGE.all_blobs(), *other.all_blobs(), *third.all_blobs()]
    folder = str(layouts.write_layout(tmp_path / "l", entries, blobs))

    def digest(selector: str) -> str:
        return image_from_layout(store, folder, selector, AMD64, "base").digest

    assert digest(":v1") == IMAGE.digest
    assert digest("") == digest(":latest") == other.digest
    assert digest(":v3") == digest("@" + third.digest) == third.digest
    assert digest("@" + IMAGE.digest) == IMAGE.digest
    with pytest.raises(NotFound) as caught:
        digest(":v9")
    assert caught.value.hint == "it holds docker.io/library/x:v3, latest, v1"
    with pytest.raises(NotFound):
        digest("@sha256:" + "0" * 64)


def test_one_image_of_several_names_needs_no_selector(store: Store, tmp_path: Path) -> None:
    entries = [IMAGE.entry(ref="v1"), IMAGE.entry(ref="v2")]
    folder = layouts.write_layout(tmp_path / "l", entries, IMAGE.all_blobs())
    assert image_from_layout(store, str(folder), "", AMD64, "base").digest == IMAGE.digest


def test_platforms_of_entries_side_by_side(store: Store, tmp_path: Path) -> None:
    arm = MadeImage(IMAGE.layers, architecture="arm64")
    entries = [IMAGE.entry(platform=False, ref="v"), arm.entry(platform=False, ref="v")]
    folder = str(layouts.write_layout(tmp_path / "l", entries, IMAGE.all_blobs() + arm.all_blobs()))
    found = image_from_layout(store, folder, "", platforms.parse("linux/arm64"), "base")
    assert found.digest == arm.digest


def test_artifacts_are_passed_over(store: Store, tmp_path: Path) -> None:
    artifact = MadeImage([layouts.tar_of({"sig": b""})])
    artifact.manifest["config"]["mediaType"] = "application/vnd.other+json"
    data = json.dumps(artifact.manifest).encode()
    entry = {**layouts.descriptor(f"{layouts.OCI}.manifest.v1+json", data)}
    attested = IMAGE.entry()
    attested["platform"] = {"os": "unknown", "architecture": "unknown"}
    inner = layouts.index_of([entry, attested, IMAGE.entry()])
    top = layouts.descriptor(f"{layouts.OCI}.index.v1+json", inner)
    blobs = [inner, data, *artifact.all_blobs(), *IMAGE.all_blobs()]
    folder = str(layouts.write_layout(tmp_path / "l", [top], blobs))
    assert image_from_layout(store, folder, "", AMD64, "base").digest == IMAGE.digest
    with pytest.raises(SourceError, match="artifact"):
        image_from_layout(store, folder, "@" + layouts.sha256(data), AMD64, "base")


def test_what_is_no_layout(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        image_from_layout(store, str(tmp_path / "x"), "", AMD64, "base")
    with pytest.raises(SourceError, match="no OCI image layout"):
        image_from_layout(store, str(tmp_path), "", AMD64, "base")
    folder = layouts.layout_of(tmp_path / "l", IMAGE)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(SourceError, match="unknown version"):
        image_from_layout(store, str(folder), "", AMD64, "base")


def test_split_layout(tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    assert split_layout("oci-layout:///a/b") == ("/a/b", "")
    assert split_layout("oci-layout://b:v1") == ("b", ":v1")
    assert split_layout(f"/a/b@{digest}") == ("/a/b", f"@{digest}")
    assert split_layout("/a:1/b") == ("/a:1/b", "")
    (tmp_path / "c:1").mkdir()
    assert split_layout(f"{tmp_path}/c:1") == (f"{tmp_path}/c:1", "")
    assert split_layout(f"{tmp_path}/c:1:v2") == (f"{tmp_path}/c:1", ":v2")
