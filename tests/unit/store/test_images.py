"""Names of images."""

from __future__ import annotations

from jettison.store.store import Store

ONE, TWO = "sha256:" + "ab" * 32, "sha256:" + "ac" * 32


def test_names_point_to_manifests(store: Store) -> None:
    images = store.images
    images.put("docker.io/library/app:1", ONE, config_digest=TWO, platform="linux/amd64", blobs=[ONE, TWO])
    found = images.get("docker.io/library/app:1")
    assert found and (found.manifest, found.config, found.platform, found.blobs) == (
        ONE,
        TWO,
        "linux/amd64",
        (ONE, TWO),
    )
    images.put("docker.io/library/app:1", TWO)
    again = images.get("docker.io/library/app:1")
    assert again and (again.manifest, again.config, again.blobs) == (TWO, "", ())
    assert images.get("docker.io/library/app:2") is None


def test_tag_and_remove(store: Store) -> None:
    store.images.put("a", ONE, config_digest=TWO)
    assert store.images.tag("a", "b") and not store.images.tag("no", "c")
    assert [image.name for image in store.images.list()] == ["a", "b"]
    assert store.images.remove("a") and not store.images.remove("a")
    found = store.images.get("b")
    assert found and found.config == TWO


def test_ids_may_be_cut_short(store: Store) -> None:
    store.images.put("a", ONE, config_digest=TWO)
    store.images.put("b", TWO)
    assert [image.name for image in store.images.find("abab")] == ["a"]
    assert [image.name for image in store.images.find("sha256:acac")] == ["a", "b"]
    assert store.images.find("%") == store.images.find("") == store.images.find("nothex") == []
