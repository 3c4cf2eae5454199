from __future__ import annotations

import json
from typing import Any

import pytest

from jettison import platforms
from jettison.errors import NotFound, SourceError
from jettison.oci import media
from jettison.oci.descriptor import Descriptor, from_json
from jettison.oci.manifest import (
    LARGEST,
    Index,
    Manifest,
    candidates,
    json_bytes,
    parse,
    parse_index,
    parse_manifest,
    select_platform,
)
from jettison.platforms import Platform


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def entry(letter: str, platform: Platform | None, media_type: str = media.OCI_MANIFEST) -> Descriptor:
    return Descriptor(media_type, digest(letter), 7, platform=platform)


CONFIG = Descriptor(media.OCI_CONFIG, digest("c"), 12)
LAYER = Descriptor(media.OCI_LAYER_GZIP, digest("1"), 34)


def test_manifest_round_trip() -> None:
    manifest = Manifest(CONFIG, (LAYER,), {"b": "2", "a": "1"})
    data = manifest.to_bytes()
    assert parse_manifest(data) == manifest
    assert list(json.loads(data)) == ["schemaVersion", "mediaType", "config", "layers", "annotations"]
    assert list(json.loads(data)["annotations"]) == ["a", "b"]
    assert data == Manifest(CONFIG, (LAYER,), {"a": "1", "b": "2"}).to_bytes()


def test_index_round_trip() -> None:
    item = Descriptor(
        media.OCI_MANIFEST, digest("a"), 5, Platform("windows", "amd64"), {"x": "y"}, "10.0.1", ("win32k",)
    )
    index = Index((item, entry("b", Platform("linux", "arm", "v7"))))
    assert parse_index(index.to_bytes()) == index


def test_docker_documents_are_read() -> None:
    manifest = Manifest(
        Descriptor(media.DOCKER_CONFIG, digest("c"), 1),
        (Descriptor(media.DOCKER_LAYER_GZIP, digest("1"), 2),),
        media_type=media.DOCKER_MANIFEST,
    )
    assert parse(manifest.to_bytes(), media.DOCKER_MANIFEST) == manifest
    index = Index((entry("a", Platform("linux", "amd64")),), media_type=media.DOCKER_LIST)
    assert parse(index.to_bytes(), media.DOCKER_LIST) == index


def test_nulls_and_missing_media_types_are_tolerated() -> None:
    value = {"schemaVersion": 2, "config": CONFIG.to_json(), "layers": None, "annotations": None}
    assert parse(json.dumps(value).encode()) == Manifest(CONFIG, ())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "image format 1"),
        (b'{"schemaVersion": 3}', "unknown schemaVersion"),
        (b'{"schemaVersion": 2}', "neither"),
        (b'{"schemaVersion": 2, "manifests": [], "layers": []}', "both a manifest and an index"),
        (b'{"schemaVersion": 2, "manifests": {}}', "must be a list"),
        (b'{"schemaVersion": 2, "manifests": [3]}', "must be a JSON object"),
        (
            b'{"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:../../x", "size": 1}}',
            "no digest",
        ),
        (b" " * (LARGEST + 1), "at most"),
        (json_bytes({"manifests": [], "mediaType": media.OCI_MANIFEST}), "does not hold"),
    ],
)
def test_bad_documents(value: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        parse(value)


def test_media_type_of_the_sender_is_checked() -> None:
    with pytest.raises(SourceError, match="does not hold"):
        parse(b'{"manifests": []}', media.OCI_MANIFEST)
    with pytest.raises(SourceError, match="index where an image manifest"):
        parse_manifest(b'{"manifests": []}')


@pytest.mark.parametrize("size", [-1, True, "3", None, 1.5])
def test_sizes_are_checked(size: Any) -> None:
    with pytest.raises(SourceError, match="no size"):
        from_json({"digest": digest("a"), "size": size})


def test_select_platform() -> None:
    index = Index(
        (
            entry("0", Platform("unknown", "unknown")),
            entry("1", Platform("linux", "arm", "v6")),
            entry("2", Platform("linux", "arm", "v7")),
            entry("3", Platform("linux", "arm64", "v8")),
            entry("4", Platform("linux", "x86_64")),
            entry("5", Platform("linux", "386")),
        )
    )
    wanted = {
        "linux/amd64": "4",
        "linux/arm64": "3",
        "linux/arm/v7": "2",
        "linux/arm/v6": "1",
        "linux/386": "5",
    }
    for text, letter in wanted.items():
        assert select_platform(index, platforms.parse(text)).digest == digest(letter), text
    assert [item.digest[-1] for item in candidates(index, platforms.parse("linux/amd64"))] == ["4", "5"]
    assert [item.digest[-1] for item in candidates(index, platforms.parse("linux/arm64"))] == ["3", "2", "1"]
    assert [item.digest[-1] for item in candidates(index, platforms.parse("linux/arm/v5"))] == []


def test_select_platform_says_what_there_is() -> None:
    index = Index((entry("0", Platform("unknown", "unknown")), entry("1", Platform("linux", "arm64"))))
    with pytest.raises(NotFound, match="linux/s390x") as caught:
        select_platform(index, platforms.parse("linux/s390x"), "app:1")
    assert caught.value.hint == "it is there for linux/arm64"


def test_newer_variants_run_older_images_only() -> None:
    index = Index((entry("3", Platform("linux", "amd64", "v3")), entry("1", Platform("linux", "amd64"))))
    assert select_platform(index, platforms.parse("linux/amd64")).digest == digest("1")
    assert select_platform(index, platforms.parse("linux/amd64/v4")).digest == digest("3")
    assert select_platform(index, platforms.parse("linux/amd64/v2")).digest == digest("1")


def test_entries_without_platform_come_last() -> None:
    index = Index((entry("1", None), entry("2", Platform("linux", "amd64"))))
    assert [item.digest[-1] for item in candidates(index, platforms.parse("linux/amd64"))] == ["2", "1"]


def test_layer_media_types() -> None:
    assert media.compression_of(media.DOCKER_LAYER_GZIP) == "gzip"
    assert media.compression_of(media.OCI_CONFIG) is None
    assert media.as_oci_layer(media.DOCKER_LAYER_GZIP) == media.OCI_LAYER_GZIP
    assert media.as_oci_layer("application/other") == "application/other"
    assert media.docker_layer("zstd") == media.DOCKER_LAYER_ZSTD and media.oci_layer("") == media.OCI_LAYER
    assert media.is_layer(media.OCI_LAYER) and not media.is_layer(media.OCI_INDEX)
