from __future__ import annotations

import json

import pytest

from jettison.errors import ExportError, NotFound
from jettison.exporters.image import ImageDocument, bring_blobs, complete_history, make_image, read_image
from jettison.exporters.store import tag_image
from jettison.oci.config import History, ImageConfig
from jettison.store.base import Blob, Layer
from jettison.store.store import Store
from tests.layouts import sha256


def test_documents(store: Store, image: ImageDocument) -> None:
    config = store.blobs.read(image.config_digest)
    assert json.loads(config)["rootfs"] == {
        "type": "layers",
        "diff_ids": [layer.diff_id for layer in image.layers],
    }
    manifest = json.loads(store.blobs.read(image.manifest_digest))
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": sha256(config),
        "size": len(config),
    }
    assert [layer["digest"] for layer in manifest["layers"]] == [
        layer.blob.digest for layer in image.layers if layer.blob
    ]
    assert image.size == sum(layer["size"] for layer in manifest["layers"])
    assert read_image(store, image.manifest_digest).manifest == image.manifest


def test_docker_layers_get_oci_media_types(store: Store) -> None:
    blob = Blob("sha256:" + "a" * 64, 5, "application/vnd.docker.image.rootfs.diff.tar.gzip")
    layer = store.layers.register("sha256:" + "b" * 64, blob, "")
    image = make_image(
        store, ImageConfig("linux", "amd64", extra={"docker_version": "1", "os.version": "2"}), [layer]
    )
    assert image.manifest.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert image.config.extra == {"os.version": "2"}
    with pytest.raises(Exception, match="not in the store"):
        bring_blobs(store, image)


def test_annotations_and_equal_digests(store: Store) -> None:
    config = ImageConfig("linux", "amd64")
    one = make_image(store, config, [], {"b": "2", "a": "1"})
    assert one.manifest_digest == make_image(store, config, [], {"a": "1", "b": "2"}).manifest_digest
    assert one.manifest_digest != make_image(store, config, [], {"a": "1"}).manifest_digest


def test_layers_without_blobs_are_refused(store: Store) -> None:
    with pytest.raises(ExportError, match="no blob"):
        make_image(store, ImageConfig("linux", "amd64"), [Layer("x")])


def test_complete_history() -> None:
    step, empty = History(created_by="x"), History(created_by="e", empty_layer=True)
    assert complete_history([empty, step], 1) == (empty, step)
    assert complete_history([step], 3) == (History(comment="unknown"), History(comment="unknown"), step)
    made = complete_history([step, empty, step], 1)
    assert [entry.empty_layer for entry in made] == [False, True, True]
    assert complete_history([], 0) == ()


def test_missing_documents(store: Store, image: ImageDocument) -> None:
    store.blobs.remove(image.config_digest)
    with pytest.raises(NotFound, match="configuration"):
        read_image(store, image.manifest_digest)
    store.blobs.remove(image.manifest_digest)
    with pytest.raises(NotFound, match="manifest"):
        read_image(store, image.manifest_digest)


def test_tags(store: Store, image: ImageDocument) -> None:
    assert tag_image(store, image, ["app", "host.io/app:v1"]) == [
        "docker.io/library/app:latest",
        "host.io/app:v1",
    ]
    record = store.images.get("host.io/app:v1")
    assert record and (record.manifest, record.config) == (image.manifest_digest, image.config_digest)
    assert record.platform == "linux/amd64"
