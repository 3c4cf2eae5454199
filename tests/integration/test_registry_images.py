"""Base images from a real registry into a real store."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.config import RegistryConfig
from jettison.errors import NotFound, RegistryError
from jettison.oci import media
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Index, Manifest
from jettison.oci.reference import parse
from jettison.oci.registry.access import RegistryAccess
from jettison.oci.registry.push import Upload, push
from jettison.platforms import Platform
from jettison.sources.fetch import fetch_blob, fetch_blobs
from jettison.sources.images import pull_image, resolve_image
from jettison.store.store import Store
from tests.registry import cutting_proxy, free_port, needs_registry, running_registry

pytestmark = needs_registry

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def access(**more: object) -> RegistryAccess:
    return RegistryAccess(first_pause=0, **more)  # type: ignore[arg-type]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def upload(data: bytes) -> Upload:
    return Upload(digest(data), len(data), lambda: io.BytesIO(data))


def layer_of(text: str, size: int = 0) -> bytes:
    """A tar with one file; `size` adds bytes that do not compress."""
    content = text.encode() + os.urandom(size)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("hello.txt")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def push_image(name: str, platform: Platform, *tars: bytes, docker: bool = False) -> str:
    """Push an image by hand, and give the digest of its manifest."""
    blobs = [gzip.compress(tar, mtime=0) for tar in tars]
    config = json.dumps(
        {
            "os": platform.os,
            "architecture": platform.architecture,
            "config": {"Env": ["A=b"], "Cmd": ["/x"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        }
    ).encode()
    kinds = (
        (media.DOCKER_CONFIG, media.DOCKER_LAYER_GZIP, media.DOCKER_MANIFEST)
        if docker
        else (media.OCI_CONFIG, media.OCI_LAYER_GZIP, media.OCI_MANIFEST)
    )
    manifest = Manifest(
        Descriptor(kinds[0], digest(config), len(config)),
        tuple(Descriptor(kinds[1], digest(blob), len(blob)) for blob in blobs),
        media_type=kinds[2],
    ).to_bytes()
    return push(access(), parse(name), [upload(data) for data in (config, *blobs)], manifest, kinds[2])


def push_index(name: str, *platforms: Platform, docker: bool = False) -> dict[Platform, str]:
    """Push an image for several platforms, and an attestation; gives the manifests' digests."""
    repository = name.rpartition(":")[0]
    digests = {p: push_image(f"{repository}:{p.architecture}", p, layer_of(str(p))) for p in platforms}
    entries = [Descriptor(media.OCI_MANIFEST, made, 500, platform) for platform, made in digests.items()]
    note = push_image(f"{repository}:note", Platform("unknown", "unknown"), layer_of("attestation"))
    entries.append(Descriptor(media.OCI_MANIFEST, note, 500, Platform("unknown", "unknown")))
    kind = media.DOCKER_LIST if docker else media.OCI_INDEX
    push(access(), parse(name), [], Index(tuple(entries), media_type=kind).to_bytes(), kind)
    return digests


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.mark.parametrize("docker", [False, True])
def test_an_image_is_pinned_without_its_layers(registry: str, store: Store, docker: bool) -> None:
    tar = layer_of("pinned")
    name = f"{registry}/pin:{docker}"
    pushed = push_image(name, AMD64, tar, docker=docker)
    image = resolve_image(store, name, AMD64, pull=False, access=access())
    assert (image.name, image.digest, image.origin) == (name, pushed, f"registry {registry}")
    assert image.config.config == {"Env": ["A=b"], "Cmd": ["/x"]}
    (layer,) = image.layers
    assert layer.diff_id == digest(tar)
    assert not store.blobs.has(layer.blob.digest)
    fetch_blob(store, layer.blob, image.fetch_from, access())
    assert gzip.decompress(store.blobs.read(layer.blob.digest)) == tar
    registered = store.layers.by_diff_id(layer.diff_id)
    assert registered is not None and registered.blob == layer.blob


def test_the_second_time_needs_no_registry(tmp_path: Path, store: Store) -> None:
    with running_registry(tmp_path) as address:
        name = f"{address}/once:1"
        pushed = push_image(name, AMD64, layer_of("once"))
        first = resolve_image(store, name, AMD64, pull=False, access=access())
    again = resolve_image(store, name, AMD64, pull=False, access=access())
    assert (again.digest, again.origin, again.layers) == (pushed, "local store", first.layers)
    by_digest = f"{address}/once@{pushed}"
    assert resolve_image(store, by_digest, AMD64, pull=False, access=access()).digest == pushed
    with pytest.raises(RegistryError, match="connection refused") as caught:
        resolve_image(store, name, AMD64, pull=True, access=access())
    assert caught.value.temporary


@pytest.mark.parametrize("docker", [False, True])
def test_the_image_for_the_platform_is_chosen(registry: str, store: Store, docker: bool) -> None:
    name = f"{registry}/many{int(docker)}:1"
    digests = push_index(name, AMD64, ARM64, docker=docker)
    assert resolve_image(store, name, ARM64, pull=False, access=access()).digest == digests[ARM64]
    assert resolve_image(store, name, AMD64, pull=False, access=access()).digest == digests[AMD64]
    nowhere = access(registries={registry: RegistryConfig()}, attempts=1)
    for platform in (ARM64, AMD64):
        again = resolve_image(store, name, platform, pull=False, access=nowhere)
        assert (again.digest, again.origin) == (digests[platform], "local store")


def test_a_platform_that_is_not_there_is_an_error_with_those_that_are(registry: str, store: Store) -> None:
    name = f"{registry}/few:1"
    push_index(name, AMD64, ARM64)
    with pytest.raises(NotFound, match="is not there for linux/s390x") as caught:
        resolve_image(store, name, Platform("linux", "s390x"), pull=False, access=access())
    assert caught.value.hint == "it is there for linux/amd64, linux/arm64"
    push_image(f"{registry}/few:single", ARM64, layer_of("single"))
    with pytest.raises(NotFound) as caught:
        resolve_image(store, f"{registry}/few:single", AMD64, pull=False, access=access())
    assert caught.value.hint == "it is there for linux/arm64"


def test_a_local_image_for_another_platform_keeps_its_name(registry: str, store: Store) -> None:
    name = f"{registry}/own:1"
    local = push_image(name, AMD64, layer_of("mine"))
    resolve_image(store, name, AMD64, pull=False, access=access())
    remote = push_image(name, ARM64, layer_of("theirs"))
    assert resolve_image(store, name, ARM64, pull=False, access=access()).digest == remote
    kept = store.images.get(name)
    assert kept is not None and kept.manifest == local


def test_pull_takes_what_is_new_and_downloads_nothing_that_is_known(registry: str, store: Store) -> None:
    name = f"{registry}/moving:1"
    first = push_image(name, AMD64, layer_of("one"))
    pull_image(store, name, AMD64, access())
    before = store.blobs.all()
    assert resolve_image(store, name, AMD64, pull=True, access=access()).digest == first
    assert store.blobs.all() == before
    second = push_image(name, AMD64, layer_of("two"))
    assert resolve_image(store, name, AMD64, pull=False, access=access()).digest == first
    assert resolve_image(store, name, AMD64, pull=True, access=access()).digest == second
    assert resolve_image(store, name, AMD64, pull=False, access=access()).digest == second


def test_pull_brings_all_layers_and_says_how_far_it_is(registry: str, store: Store) -> None:
    name = f"{registry}/whole:1"
    tars = [layer_of(f"layer {number}", 400_000) for number in range(5)]
    push_image(name, AMD64, *tars, layer_of("the same"), layer_of("the same"))
    told: list[tuple[int, int]] = []
    image = pull_image(store, name, AMD64, access(), lambda *now: told.append(now))
    assert [digest(gzip.decompress(store.blobs.read(item.blob.digest))) for item in image.layers] == [
        item.diff_id for item in image.layers
    ]
    total = sum({item.blob.digest: item.blob.size for item in image.layers}.values())
    assert told[-1] == (total, total)
    assert all(before[0] <= after[0] for before, after in itertools.pairwise(told))


def test_layers_come_whole_over_a_connection_that_breaks(registry: str, store: Store) -> None:
    tars = [layer_of(f"broken {number}", 900_000) for number in range(3)]
    push_image(f"{registry}/breaking:1", AMD64, *tars)
    with cutting_proxy(registry, after=300_000, cuts=5) as proxy:
        pull_image(store, f"{proxy.address}/breaking:1", AMD64, access())
        assert proxy.connections > 5


def test_what_skopeo_copies_is_read(registry: str, store: Store, tmp_path: Path) -> None:
    pushed = push_image(f"{registry}/made/here:1", AMD64, layer_of("copied"))
    target = f"{registry}/copied/there:1"
    subprocess.run(
        [
            *("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *(f"docker://{registry}/made/here:1", f"docker://{target}"),
        ],
        check=True,
    )
    assert pull_image(store, target, AMD64, access()).digest == pushed


def test_an_image_that_is_nowhere_says_all_that_was_tried(registry: str, store: Store) -> None:
    push_image(f"{registry}/python-tool:3.12", AMD64, layer_of("near"))
    resolve_image(store, f"{registry}/python-tool:3.12", AMD64, pull=False, access=access())
    with pytest.raises(NotFound) as caught:
        resolve_image(store, f"{registry}/python-tool:3.13", AMD64, pull=False, access=access())
    error = caught.value
    assert error.message.startswith(
        f"base image {registry}/python-tool:3.13 was not found: not in the local store;"
        f" registry {registry}: 404"
    )
    hint = error.hint or ""
    assert f"did you mean {registry}/python-tool:3.12?" in hint
    assert "jettison load" in hint and "mirror" in hint and "--build-context" in hint


def test_a_mirror_gives_the_layers_too(registry: str, store: Store) -> None:
    tar = layer_of("through the mirror")
    push_image(f"{registry}/hub/library/tool:1", AMD64, tar)
    mirrored = access(registries={"docker.io": RegistryConfig((f"http://{registry}/hub",))})
    image = resolve_image(store, "tool:1", AMD64, pull=False, access=mirrored)
    assert image.origin == f"registry docker.io (via http://{registry}/hub)"
    fetch_blobs(store, [(item.blob, image.fetch_from) for item in image.layers], mirrored)
    assert gzip.decompress(store.blobs.read(image.layers[0].blob.digest)) == tar


def test_a_registry_that_is_down_is_named_with_its_address(store: Store) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(RegistryError) as caught:
        resolve_image(store, f"{address}/app:1", AMD64, pull=False, access=access())
    assert caught.value.temporary
    assert caught.value.message == (
        f"base image {address}/app:1 could not be resolved: not in the local store;"
        f" registry {address}: connection refused by {address}"
    )
    assert "jettison load" in (caught.value.hint or "")


def test_a_blob_damaged_in_the_registry_never_enters_the_store(tmp_path: Path, store: Store) -> None:
    with running_registry(tmp_path) as address:
        push_image(f"{address}/damaged:1", AMD64, layer_of("to be damaged"))
        image = resolve_image(store, f"{address}/damaged:1", AMD64, pull=False, access=access())
        blob = image.layers[0].blob
        (data,) = tmp_path.glob(f"registry-*/data/**/{blob.digest.removeprefix('sha256:')}/data")
        data.write_bytes(b"x" * blob.size)
        with pytest.raises(Exception, match="does not match its digest"):
            fetch_blob(store, blob, image.fetch_from, access())
    assert not store.blobs.has(blob.digest)
