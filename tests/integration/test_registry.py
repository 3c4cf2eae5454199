"""The registry client against a real registry, checked with skopeo."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from jettison.config import RegistryConfig
from jettison.errors import RegistryError
from jettison.oci import media
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest
from jettison.oci.reference import Reference, parse
from jettison.oci.registry.access import RegistryAccess
from jettison.oci.registry.push import Upload, push
from jettison.oci.registry.transfer import download, fetch_manifest, fetch_small
from tests.registry import cutting_proxy, free_port, needs_registry, running_registry

pytestmark = needs_registry

USER = "builder"
PASSWORD = "correct horse"
# bcrypt of the password, cost 4
HTPASSWD = "builder:$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"


def quick(**more: object) -> RegistryAccess:
    return RegistryAccess(first_pause=0, **more)  # type: ignore[arg-type]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def stored(data: bytes) -> BinaryIO:
    """A real file: the kernel sends its bytes to a registry."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return file


def upload(data: bytes, *mount_from: str) -> Upload:
    return Upload(digest(data), len(data), lambda: stored(data), mount_from)


def push_image(access: RegistryAccess, name: str, *layers: bytes, mount_from: tuple[str, ...] = ()) -> str:
    """Push an image whose layers are any bytes; gives the digest of its manifest."""
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Labels": {"made": "by a test"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
    ).encode()
    manifest = Manifest(
        Descriptor(media.OCI_CONFIG, digest(config), len(config)),
        tuple(Descriptor(media.OCI_LAYER, digest(layer), len(layer)) for layer in layers),
    ).to_bytes()
    uploads = [upload(config), *(upload(layer, *mount_from) for layer in layers)]
    return push(access, parse(name), uploads, manifest, media.OCI_MANIFEST)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_what_is_pushed_is_what_skopeo_sees(registry: str) -> None:
    pushed = push_image(quick(), f"{registry}/team/app:1", b"layer one", b"layer two")
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry}/team/app:1"],
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert seen["Digest"] == pushed
    assert seen["Layers"] == [digest(b"layer one"), digest(b"layer two")]
    assert seen["Labels"] == {"made": "by a test"}


def test_a_large_blob_is_pushed_and_comes_back_whole(registry: str) -> None:
    layer = os.urandom(3_000_000)
    access = quick()
    seen: list[tuple[int, int]] = []
    reference = parse(f"{registry}/large:1")
    manifest = Manifest(Descriptor(media.OCI_CONFIG, digest(b"{}"), 2), ()).to_bytes()
    push(
        access,
        reference,
        [upload(layer), upload(b"{}")],
        manifest,
        media.OCI_MANIFEST,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (3_000_002, 3_000_002)
    back = bytearray()
    told: list[tuple[int, int]] = []
    download(access, reference, digest(layer), len(layer), back.extend, lambda *now: told.append(now))
    assert bytes(back) == layer
    assert told[-1] == (3_000_000, 3_000_000)


def test_a_blob_that_is_there_is_not_sent_again(registry: str) -> None:
    push_image(quick(), f"{registry}/again:1", b"the same")

    def never() -> io.BytesIO:
        raise AssertionError("the blob was opened")

    reference = parse(f"{registry}/again:1")
    got = fetch_manifest(quick(), reference)
    uploads = [Upload(digest(b"the same"), 8, never)]
    assert push(quick(), reference, uploads, got.data, media.OCI_MANIFEST) == got.digest


def test_a_blob_of_another_repository_is_mounted(registry: str) -> None:
    push_image(quick(), f"{registry}/mount/source:1", b"shared layer")

    def never() -> io.BytesIO:
        raise AssertionError("the blob was opened")

    shared = digest(b"shared layer")
    manifest = Manifest(Descriptor(media.OCI_CONFIG, shared, 12), ()).to_bytes()
    target = parse(f"{registry}/mount/target:1")
    push(quick(), target, [Upload(shared, 12, never, ("mount/source",))], manifest, media.OCI_MANIFEST)
    assert fetch_small(quick(), target, shared, 12, 100) == b"shared layer"


def test_a_mount_that_does_not_work_ends_in_an_upload(registry: str) -> None:
    push_image(quick(), f"{registry}/mount/alone:1", b"not elsewhere", mount_from=("mount/nothing",))
    target = parse(f"{registry}/mount/alone:1")
    assert fetch_small(quick(), target, digest(b"not elsewhere"), 13, 100) == b"not elsewhere"


def test_a_manifest_is_there_by_tag_and_by_digest(registry: str) -> None:
    pushed = push_image(quick(), f"{registry}/both:1", b"x")
    by_tag = fetch_manifest(quick(), parse(f"{registry}/both:1"))
    by_digest = fetch_manifest(quick(), parse(f"{registry}/both@{pushed}"))
    assert by_tag == by_digest
    assert by_tag.digest == pushed
    assert by_tag.media_type == media.OCI_MANIFEST


def test_a_missing_image_is_status_404(registry: str) -> None:
    with pytest.raises(RegistryError) as caught:
        fetch_manifest(quick(), parse(f"{registry}/nothing:1"))
    assert caught.value.status == 404
    assert not caught.value.temporary
    assert caught.value.message.startswith(f"registry {registry}: 404")


@pytest.mark.parametrize("prefix", ["", "/hub"])
def test_a_mirror_stands_in_for_its_registry(registry: str, prefix: str) -> None:
    push_image(quick(), f"{registry}{prefix}/library/tool:1", b"mirrored")
    access = quick(registries={"docker.io": RegistryConfig((f"http://{registry}{prefix}",))})
    got = fetch_manifest(access, parse("tool:1"))
    assert got.source == f"registry docker.io (via http://{registry}{prefix})"
    assert fetch_small(access, parse("tool:1"), digest(b"mirrored"), 8, 100) == b"mirrored"


def test_mirrors_that_are_down_or_lack_the_image_are_passed_over(registry: str, tmp_path: Path) -> None:
    push_image(quick(), f"{registry}/fall/through:1", b"found at last")
    with running_registry(tmp_path) as empty:
        mirrors = (f"http://127.0.0.1:{free_port()}", f"http://{empty}")
        access = quick(registries={registry: RegistryConfig(mirrors)})
        reference = parse(f"{registry}/fall/through:1")
        assert fetch_manifest(access, reference).source == f"registry {registry}"
        with pytest.raises(RegistryError) as caught:
            fetch_manifest(access, parse(f"{registry}/fall/nowhere:1"))
    refused, missing, own = caught.value.message.split("; ")
    assert f"(via {mirrors[0]}): connection refused" in refused
    assert f"(via {mirrors[1]}): 404" in missing
    assert own.startswith(f"registry {registry}: 404")
    assert caught.value.temporary


def test_a_port_where_nobody_listens_fails_at_once() -> None:
    from time import monotonic

    address = f"127.0.0.1:{free_port()}"
    start = monotonic()
    with pytest.raises(RegistryError, match=f"connection refused by {address}") as caught:
        fetch_manifest(RegistryAccess(), parse(f"{address}/x:1"))
    assert caught.value.temporary
    assert caught.value.status is None
    assert monotonic() - start < 2


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_broken_download_goes_on_where_it_broke(registry: str, cuts: int) -> None:
    layer = os.urandom(2_000_000)
    push_image(quick(), f"{registry}/broken:{cuts}", layer)
    with cutting_proxy(registry, after=600_000, cuts=cuts) as proxy:
        reference = parse(f"{proxy.address}/broken:{cuts}")
        back = bytearray()
        download(quick(), reference, digest(layer), len(layer), back.extend)
        assert bytes(back) == layer
        assert proxy.connections >= cuts + 1


def test_a_download_that_breaks_every_time_ends_with_an_error(registry: str) -> None:
    layer = os.urandom(300_000)
    push_image(quick(), f"{registry}/hopeless:1", layer)
    with cutting_proxy(registry, after=2_000, cuts=1000) as proxy:
        reference = parse(f"{proxy.address}/hopeless:1")
        with pytest.raises(RegistryError, match="broke") as caught:
            download(quick(attempts=2), reference, digest(layer), len(layer), lambda data: None)
    assert caught.value.temporary


def test_a_broken_upload_is_begun_again(registry: str) -> None:
    with cutting_proxy(registry, after=1_500, cuts=1) as proxy:
        for number in range(8):
            push_image(quick(), f"{proxy.address}/upload/broken:{number}", os.urandom(50_000))
        got = fetch_manifest(quick(), Reference(registry, "upload/broken", "7"))
    assert got.media_type == media.OCI_MANIFEST


def test_a_blob_longer_than_its_descriptor_is_refused(registry: str) -> None:
    push_image(quick(), f"{registry}/long:1", b"longer than told")
    with pytest.raises(RegistryError, match="longer than 5 bytes"):
        fetch_small(quick(), parse(f"{registry}/long:1"), digest(b"longer than told"), 5, 100)


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("closed"), HTPASSWD) as address:
        yield address


def with_login(tmp_path: Path, address: str, password: str = PASSWORD) -> RegistryAccess:
    from base64 import b64encode

    auth = b64encode(f"{USER}:{password}".encode()).decode()
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return quick(credential_files=(str(path),))


def test_a_login_opens_a_closed_registry(closed_registry: str, tmp_path: Path) -> None:
    access = with_login(tmp_path, closed_registry)
    pushed = push_image(access, f"{closed_registry}/private/app:1", b"secret layer")
    reference = parse(f"{closed_registry}/private/app:1")
    assert fetch_manifest(access, reference).digest == pushed
    assert fetch_small(access, reference, digest(b"secret layer"), 12, 100) == b"secret layer"


def test_without_a_login_the_error_says_what_to_do(closed_registry: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        fetch_manifest(quick(), parse(f"{closed_registry}/private/app:1"))
    assert caught.value.status == 401
    assert "log in" in (caught.value.hint or "")
    wrong = with_login(tmp_path, closed_registry, "guess")
    with pytest.raises(RegistryError) as caught:
        push_image(wrong, f"{closed_registry}/private/app:2", b"x")
    assert caught.value.status == 401
    assert "was not pushed" in caught.value.message
    assert "may write to private/app" in (caught.value.hint or "")
    assert "guess" not in str(caught.value) + str(caught.value.hint)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return folder / "cert.pem", folder / "key.pem"


def test_certificates_are_checked(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with running_registry(tmp_path, tls=certificate) as address:
        trusted = quick(ca_bundle=str(certificate[0]))
        pushed = push_image(trusted, f"{address}/tls:1", os.urandom(300_000))
        reference = parse(f"{address}/tls:1")
        with pytest.raises(RegistryError, match="no trusted connection") as caught:
            fetch_manifest(quick(), reference)
        assert "ca_bundle" in (caught.value.hint or "")
        assert not caught.value.temporary
        insecure = quick(registries={address: RegistryConfig(insecure=True)})
        assert fetch_manifest(insecure, reference).digest == pushed
        mirrored = quick(registries={"docker.io": RegistryConfig((f"https://{address}",))}, attempts=1)
        with pytest.raises(RegistryError, match=f"via https://{address}.*no trusted connection"):
            fetch_manifest(mirrored, parse("tls:1"))
