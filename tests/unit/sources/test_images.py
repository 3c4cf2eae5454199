"""What the local store alone decides; the registry that is named is one that nobody listens to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.digests import digest_of_bytes
from jettison.errors import RegistryError, UsageError
from jettison.oci import media
from jettison.oci.config import ImageConfig, config_bytes
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest
from jettison.oci.reference import parse
from jettison.oci.registry.access import RegistryAccess
from jettison.platforms import Platform
from jettison.sources.base import BaseImage
from jettison.sources.images import resolve_image
from jettison.store.store import Store
from tests.registry import free_port

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def repository() -> str:
    return f"127.0.0.1:{free_port()}/team/app"


def add(store: Store, name: str, platform: Platform, *, layer_is_there: bool = True) -> str:
    """Put an image with one layer into the store, and give the digest of its manifest."""
    layer = f"layer of {name} {platform}".encode()
    diff_id = digest_of_bytes(layer)
    if layer_is_there:
        store.blobs.put(layer)
    config = config_bytes(
        ImageConfig(platform.os, platform.architecture, platform.variant, diff_ids=(diff_id,))
    )
    manifest = Manifest(
        Descriptor(media.OCI_CONFIG, store.blobs.put(config), len(config)),
        (Descriptor(media.OCI_LAYER, diff_id, len(layer)),),
    )
    digest = store.blobs.put(manifest.to_bytes())
    store.images.put(str(parse(name)), digest, config_digest=manifest.config.digest, platform=str(platform))
    return digest


def resolve(store: Store, name: str, platform: Platform = AMD64, *, pull: bool = False) -> BaseImage:
    return resolve_image(store, name, platform, pull=pull, access=RegistryAccess())


def test_a_local_image_needs_no_registry(store: Store, repository: str) -> None:
    digest = add(store, f"{repository}:1", AMD64)
    image = resolve(store, f"{repository}:1")
    assert (image.digest, image.origin, image.fetch_from) == (digest, "local store", "")
    registered = store.layers.by_diff_id(image.layers[0].diff_id)
    assert registered is not None and registered.blob == image.layers[0].blob
    assert resolve(store, f"{repository}@{digest}").digest == digest


def test_names_are_completed(store: Store) -> None:
    digest = add(store, "tool", AMD64)
    for name in ("tool", "tool:latest", "docker.io/library/tool", "library/tool:latest"):
        assert resolve(store, name).digest == digest
    with pytest.raises(UsageError):
        resolve(store, "Tool")


def test_a_layer_that_is_not_there_comes_from_the_registry(store: Store, repository: str) -> None:
    digest = add(store, f"{repository}:1", AMD64, layer_is_there=False)
    assert resolve(store, f"{repository}:1").fetch_from == f"registry:{repository}@{digest}"


def test_an_image_for_another_platform_does_not_do(store: Store, repository: str) -> None:
    add(store, f"{repository}:1", Platform("linux", "arm64"))
    with pytest.raises(RegistryError, match="in the local store only for linux/arm64; registry"):
        resolve(store, f"{repository}:1")


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        (Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7"), True),
        (Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6"), False),
        (Platform("linux", "arm64", "v8"), Platform("linux", "arm64"), True),
        (Platform("linux", "386"), AMD64, False),
        (Platform("", ""), AMD64, True),
    ],
)
def test_which_platforms_fit(
    store: Store, repository: str, there: Platform, wanted: Platform, fits: bool
) -> None:
    digest = add(store, f"{repository}:1", there)
    if fits:
        assert resolve(store, f"{repository}:1", wanted).digest == digest
    else:
        with pytest.raises(RegistryError):
            resolve(store, f"{repository}:1", wanted)


def test_pull_asks_the_registry_even_so(store: Store, repository: str) -> None:
    add(store, f"{repository}:1", AMD64)
    with pytest.raises(RegistryError, match="connection refused") as caught:
        resolve(store, f"{repository}:1", pull=True)
    assert "local store" not in caught.value.message
    assert caught.value.temporary


def test_names_that_look_alike_are_offered(store: Store, repository: str) -> None:
    add(store, f"{repository}:1.25", AMD64)
    add(store, "something-else:1", AMD64)
    with pytest.raises(RegistryError) as caught:
        resolve(store, f"{repository}:1.26")
    assert f"did you mean {repository}:1.25?" in (caught.value.hint or "")
    assert "something-else" not in (caught.value.hint or "")


def test_documents_that_were_removed_make_an_image_absent(store: Store, repository: str) -> None:
    digest = add(store, f"{repository}:1", AMD64)
    store.blobs.remove(digest)
    with pytest.raises(RegistryError, match="not in the local store"):
        resolve(store, f"{repository}:1")
