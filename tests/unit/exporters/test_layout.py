from __future__ import annotations

import errno
import io
import json
import os
import threading
from pathlib import Path

import pytest

from jettison.errors import ExportError
from jettison.exporters.docker import write_docker_archive
from jettison.exporters.image import ImageDocument
from jettison.exporters.layout import write_oci_archive, write_oci_folder
from jettison.exporters.save import find_image, save
from jettison.exporters.store import tag_image
from jettison.sources.load import load
from jettison.store.store import Store
from tests.layouts import sha256
from tests.unit.exporters.conftest import document, file, layer, members

NAME = "docker.io/library/app:v1"


def test_archive_is_a_layout(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    write_oci_archive(store, [(image, [NAME])], str(tmp_path / "new" / "x.tar"))
    files = members(tmp_path / "new" / "x.tar")
    assert list(files)[:2] == ["oci-layout", "index.json"]
    assert list(files)[2:] == sorted(list(files)[2:])
    for name, data in list(files.items())[2:]:
        assert name == "blobs/sha256/" + sha256(data)[7:]
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["digest"] == image.manifest_digest
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    assert entry["annotations"] == {
        "io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "v1",
    }  # fmt: skip
    assert len(files) == 2 + 2 + len(image.layers)


def test_archives_are_deterministic(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    out = io.BytesIO()
    write_oci_archive(store, [(image, [NAME])], "-", out)
    write_oci_archive(store, [(image, [NAME])], str(tmp_path / "x.tar"))
    assert (tmp_path / "x.tar").read_bytes() == out.getvalue()


def test_to_a_pipe(store: Store, image: ImageDocument) -> None:
    expected = io.BytesIO()
    write_oci_archive(store, [(image, [])], "-", expected)
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with open(reading, "rb") as pipe:
            got.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    with open(writing, "wb") as pipe:
        write_oci_archive(store, [(image, [])], "-", pipe)
    thread.join()
    assert got == [expected.getvalue()]


def test_reader_that_goes_away(store: Store, image: ImageDocument) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(ExportError, match="went away"), open(writing, "wb", buffering=0) as pipe:
        write_oci_archive(store, [(image, [])], "-", pipe)


@pytest.mark.parametrize("write", [write_oci_archive, write_docker_archive])
def test_failed_export_leaves_the_earlier_file(
    store: Store, image: ImageDocument, tmp_path: Path, write: object
) -> None:
    target = tmp_path / "x.tar"
    target.write_bytes(b"earlier")
    assert image.layers[1].blob
    store.blobs.remove(image.layers[1].blob.digest)
    store.layers.remove(image.layers[1].id)
    with pytest.raises(Exception, match=r"not in the store|lacks"):
        write(store, [(image, [NAME])], str(target))  # type: ignore[operator]
    assert target.read_bytes() == b"earlier"
    assert sorted(os.listdir(tmp_path)) == ["store", "x.tar"]


def test_full_disk(store: Store, image: ImageDocument) -> None:
    with pytest.raises(ExportError) as caught:
        write_oci_archive(store, [(image, [])], "/dev/full")
    assert os.strerror(errno.ENOSPC) in caught.value.message and "space" in (caught.value.hint or "")


def test_folder_instead_of_a_file(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is a folder"):
        write_oci_archive(store, [(image, [])], str(tmp_path))


def test_link_to_a_file_stays_a_link(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    write_oci_archive(store, [(image, [])], str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").stat().st_size > 1000


def test_folder_keeps_other_images(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    other = document(store, [layer(store, [file("x", b"x")])])
    dest = tmp_path / "out" / "layout"
    write_oci_folder(store, [(image, ["app:v1"])], str(dest))
    write_oci_folder(store, [(other, ["app:v2"])], str(dest))
    index = json.loads((dest / "index.json").read_bytes())
    assert [item["digest"] for item in index["manifests"]] == [image.manifest_digest, other.manifest_digest]
    write_oci_folder(store, [(other, ["app:v1"])], str(dest))
    index = json.loads((dest / "index.json").read_bytes())
    assert [item["digest"] for item in index["manifests"]] == [other.manifest_digest] * 2
    for blob in (dest / "blobs" / "sha256").iterdir():
        assert sha256(blob.read_bytes())[7:] == blob.name
        assert blob.stat().st_nlink == 1
    assert not list(dest.rglob("*.tmp"))


def test_folder_with_something_else(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("mine")
    with pytest.raises(ExportError, match="no OCI layout"):
        write_oci_folder(store, [(image, [])], str(tmp_path))
    assert (tmp_path / "index.json").read_text() == "mine"


def test_docker_archive(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    write_docker_archive(store, [(image, [NAME, "host.io/b:c"])], str(tmp_path / "x.tar"))
    files = members(tmp_path / "x.tar")
    (listed,) = json.loads(files["manifest.json"])
    assert listed["RepoTags"] == ["app:v1", "host.io/b:c"]
    assert sha256(files[listed["Config"]]) == image.config_digest
    assert [sha256(files[path]) for path in listed["Layers"]] == [
        layer.digest for layer in image.manifest.layers
    ]
    index = json.loads(files["index.json"])
    manifest = json.loads(files["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    }


@pytest.mark.parametrize("kind", ["oci", "oci-dir", "docker"])
def test_save_and_load(store: Store, image: ImageDocument, tmp_path: Path, kind: str) -> None:
    other = document(store, [layer(store, [file("x", b"x")])])
    tag_image(store, image, ["app:v1", "app:v2"])
    tag_image(store, other, ["other"])
    save(store, ["app:v1", "app:v2", "other"], str(tmp_path / "out"), kind)  # type: ignore[arg-type]
    with Store.open(str(tmp_path / "second")) as second:
        names = load(second, str(tmp_path / "out"), None)
        assert sorted(names) == [NAME, "docker.io/library/app:v2", "docker.io/library/other:latest"]
        record = second.images.get(NAME)
        assert record and record.config == image.config_digest
        if kind != "docker":
            assert record.manifest == image.manifest_digest


def test_find_image(store: Store, image: ImageDocument) -> None:
    tag_image(store, image, ["app:v1"])
    assert find_image(store, "app:v1")[1] == NAME
    assert find_image(store, image.config_digest[7:19]) == (store.images.get(NAME), "")
    assert find_image(store, image.config_digest)[0] == store.images.get(NAME)
    with pytest.raises(Exception, match="no image") as caught:
        find_image(store, "app:v")
    assert caught.value.hint == "did you mean app:v1?"  # type: ignore[attr-defined]
