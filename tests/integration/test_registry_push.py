"""A pulled image goes to other repositories and registries."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from jettison.digests import digest_of_bytes
from jettison.exporters.image import read_image
from jettison.exporters.registry import push_image
from jettison.oci import media
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest
from jettison.oci.reference import parse
from jettison.oci.registry.access import RegistryAccess
from jettison.oci.registry.push import Upload, mountable, push
from jettison.platforms import Platform
from jettison.sources.fetch import fetch_blob
from jettison.sources.images import resolve_image
from jettison.store.store import Store
from tests.conftest import Jettison
from tests.registry import needs_registry, running_registry

pytestmark = needs_registry

AMD64 = Platform("linux", "amd64")
ACCESS = RegistryAccess(first_pause=0)
LAYER = bytes(1024)
"""An empty tar."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        opened.fetch = lambda blob, origin: fetch_blob(opened, blob, origin, ACCESS)
        yield opened


def push_base(name: str) -> str:
    """Push an image with one layer."""
    diff_id = digest_of_bytes(LAYER)
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    ).encode()
    manifest = Manifest(
        Descriptor(media.OCI_CONFIG, digest_of_bytes(config), len(config)),
        (Descriptor(media.OCI_LAYER, diff_id, len(LAYER)),),
    ).to_bytes()
    uploads = [
        Upload(digest_of_bytes(data), len(data), partial(io.BytesIO, data)) for data in (config, LAYER)
    ]
    return push(ACCESS, parse(name), uploads, manifest, media.OCI_MANIFEST)


def inspect(name: str) -> dict[str, object]:
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"], stdout=subprocess.PIPE, check=True
    )
    seen = json.loads(done.stdout)
    assert isinstance(seen, dict)
    return seen


def test_a_base_layer_is_mounted_and_never_fetched(registry: str, store: Store) -> None:
    push_base(f"{registry}/base:1")
    base = resolve_image(store, f"{registry}/base:1", AMD64, pull=False, access=ACCESS)
    pushed = push_image(store, read_image(store, base.digest), f"{registry}/team/app:1", ACCESS)
    assert inspect(f"{registry}/team/app:1")["Digest"] == pushed == base.digest
    assert not store.blobs.has(base.layers[0].blob.digest)


def test_a_base_layer_is_carried_to_another_registry(registry: str, store: Store, tmp_path: Path) -> None:
    push_base(f"{registry}/base:2")
    base = resolve_image(store, f"{registry}/base:2", AMD64, pull=False, access=ACCESS)
    with running_registry(tmp_path) as other:
        push_image(store, read_image(store, base.digest), f"{other}/app:1", ACCESS)
        assert inspect(f"{other}/app:1")["Layers"] == [base.layers[0].blob.digest]


def test_what_can_be_mounted() -> None:
    target = parse("r.test/team/app:1")
    assert mountable(target, f"registry:r.test/base@sha256:{'0' * 64}") == ("base",)
    assert mountable(target, "registry:s.test/base:1") == ()
    assert mountable(target, "layout:/somewhere") == ()
    assert mountable(target, "") == ()


def test_a_build_tells_how_far_its_push_is(
    registry: str, jettison: Jettison, project: Callable[..., Path]
) -> None:
    folder = project({"a": b"a" * 100}, "FROM busybox\nCOPY a /\n")
    words = ("build", "--push", "-t", f"{registry}/far:1", folder)
    told = jettison.ok(*words, "--progress", "jsonl").events("StepProgress")
    pushing = [event for event in told if event["step"] == "push"]
    assert {event["label"] for event in pushing} == {f"pushing {registry}/far:1"}
    assert all(0 < event["done"] <= event["total"] for event in pushing)
    # Its time is the export's: it is no download.
    jettison.ok("builds", "trace", "-o", folder / "trace")
    trace = (folder / "trace").read_text()
    assert "pushing" not in trace and "exports" in trace
