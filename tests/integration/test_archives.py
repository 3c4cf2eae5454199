"""What other tools make of our layouts and archives, and we of theirs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.errors import ExportError
from jettison.exporters.daemon import load_into_daemon
from jettison.exporters.docker import write_docker_archive
from jettison.exporters.image import ImageDocument, read_image
from jettison.exporters.layout import write_oci_archive, write_oci_folder
from jettison.exporters.registry import push_image
from jettison.oci.registry.access import RegistryAccess
from jettison.sources.load import load
from jettison.store.store import Store
from tests import layouts
from tests.registry import running_registry

NAME = "docker.io/library/shell:v1"
needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
needs_umoci = pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is not installed")


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def image(store: Store, tmp_path: Path) -> ImageDocument:
    """Busybox in two layers; the upper one removes a file of the lower one."""
    lower = layouts.busybox_layer()
    upper = layouts.tar_of(
        {"etc": layouts.member(tarfile.DIRTYPE), "etc/motd": b"hello\n", "bin/.wh.sh": b""}
    )
    made = layouts.MadeImage([lower, upper], {"Cmd": ["/bin/busybox", "cat", "/etc/motd"]})
    load(store, str(layouts.layout_of(tmp_path / "made", made)), NAME)
    record = store.images.get(NAME)
    assert record is not None
    return read_image(store, record.manifest)


@needs_skopeo
def test_skopeo_reads_what_we_write(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    write_oci_folder(store, [(image, [NAME])], str(tmp_path / "folder"))
    write_oci_archive(store, [(image, [NAME])], str(tmp_path / "oci.tar"))
    write_docker_archive(store, [(image, [NAME])], str(tmp_path / "docker.tar"))
    for where in (f"oci:{tmp_path}/folder:v1", f"oci-archive:{tmp_path}/oci.tar:v1"):
        seen = json.loads(run("skopeo", "inspect", where))
        assert seen["Digest"] == image.manifest_digest
        assert seen["Layers"] == [layer.digest for layer in image.manifest.layers]
    run("skopeo", "copy", "--preserve-digests", f"oci-archive:{tmp_path}/oci.tar", f"dir:{tmp_path}/dir")
    config = run("skopeo", "inspect", "--config", f"docker-archive:{tmp_path}/docker.tar:shell:v1")
    assert json.loads(config)["config"]["Cmd"] == image.config.config["Cmd"]
    run("skopeo", "copy", f"docker-archive:{tmp_path}/docker.tar", f"oci:{tmp_path}/again:x")
    again = json.loads((tmp_path / "again" / "index.json").read_text())["manifests"][0]["digest"]
    manifest = json.loads((tmp_path / "again" / "blobs" / "sha256" / again[7:]).read_text())
    config = (tmp_path / "again" / "blobs" / "sha256" / manifest["config"]["digest"][7:]).read_text()
    assert json.loads(config)["rootfs"]["diff_ids"] == list(image.config.diff_ids)


@needs_skopeo
@pytest.mark.parametrize("form", ["oci:{}:v1", "oci-archive:{}:shell:v1", "docker-archive:{}:shell:v1"])
def test_we_read_what_skopeo_writes(store: Store, image: ImageDocument, tmp_path: Path, form: str) -> None:
    write_oci_folder(store, [(image, [NAME])], str(tmp_path / "folder"))
    target = tmp_path / "theirs"
    run("skopeo", "copy", f"oci:{tmp_path}/folder:v1", form.format(target))
    with Store.open(str(tmp_path / "second")) as second:
        name = load(second, str(target), NAME if form.startswith("oci:") else None)[0]
        assert name == NAME
        record = second.images.get(name)
        assert record is not None and record.config == image.config_digest
        layers = read_image(second, record.manifest).layers
        assert second.view([layer.id for layer in layers]).open("etc/motd").read() == b"hello\n"


@needs_umoci
@pytest.mark.skipif(os.geteuid() != 0, reason="unpacking with owners takes root")
def test_umoci_unpacks_what_we_write(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    write_oci_folder(store, [(image, [NAME])], str(tmp_path / "folder"))
    run("umoci", "unpack", "--image", f"{tmp_path}/folder:v1", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert (root / "etc" / "motd").read_text() == "hello\n"
    assert sorted(os.listdir(root / "bin")) == ["busybox"]
    args = json.loads((tmp_path / "bundle" / "config.json").read_text())["process"]["args"]
    assert args == image.config.config["Cmd"]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[str]:
    """A folder with a `podman` whose images are its own, and no `docker`."""
    found = shutil.which("podman")
    if not found or os.geteuid() != 0:
        pytest.skip("podman is not installed, or this is not root")
    folder = tmp_path / "programs"
    folder.mkdir()
    with tempfile.TemporaryDirectory() as short:  # podman takes 50 characters at most
        state = f"--root {tmp_path}/podman --runroot {short} --storage-driver vfs"
        (folder / "podman").write_text(f'#!/bin/sh\nexec {found} {state} "$@"\n')
        (folder / "podman").chmod(0o755)
        yield str(folder)


def test_podman_takes_the_image(store: Store, image: ImageDocument, podman: str) -> None:
    assert load_into_daemon(store, [(image, [NAME])], podman) == "podman"
    seen = json.loads(run(f"{podman}/podman", "image", "inspect", "shell:v1"))[0]
    assert "sha256:" + seen["Id"] == image.config_digest
    assert seen["RepoTags"] == [NAME]
    assert len(seen["RootFS"]["Layers"]) == 2


def test_daemon_that_does_not_answer(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"docker is not installed; podman is not installed"):
        load_into_daemon(store, [(image, [NAME])], str(tmp_path))
    for program, script in (("docker", "echo no daemon >&2; exit 1"), ("podman", '[ "$1" = version ]')):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    with pytest.raises(ExportError, match=r"podman load refused the image: exit status 1"):
        load_into_daemon(store, [(image, [NAME])], str(tmp_path))
    (tmp_path / "podman").unlink()
    with pytest.raises(ExportError, match=r"docker: no daemon; podman is not installed"):
        load_into_daemon(store, [(image, [NAME])], str(tmp_path))


def test_push(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    with running_registry(tmp_path) as address:
        assert push_image(store, image, f"{address}/a/shell:v1", RegistryAccess()) == image.manifest_digest
        if shutil.which("skopeo"):
            seen = run("skopeo", "inspect", "--tls-verify=false", f"docker://{address}/a/shell:v1")
            assert json.loads(seen)["Digest"] == image.manifest_digest
