from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from jettison import platforms
from jettison.errors import NotFound, SourceError, UsageError
from jettison.exporters.image import read_image
from jettison.sources.load import load
from jettison.store.store import Store
from tests import layouts
from tests.layouts import MadeImage

IMAGE = MadeImage([layouts.tar_of({"a": b"1"}), layouts.tar_of({"b": b"2"})], {"Cmd": ["a"]})
NAME = "docker.io/library/app:v1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def check(store: Store, name: str, image: MadeImage = IMAGE) -> None:
    record = store.images.get(name)
    assert record is not None
    loaded = read_image(store, record.manifest)
    assert loaded.config_digest == record.config == layouts.sha256(image.config_bytes)
    assert [layer.diff_id for layer in loaded.layers] == image.diff_ids
    for layer in loaded.layers:
        assert layer.blob is not None and store.blobs.size(layer.blob.digest) == layer.blob.size
        assert layer.id
    top = store.view([layer.id for layer in loaded.layers])
    assert sorted(top.listdir("")) == ["a", "b"]


def test_layout_folder_with_full_name(store: Store, tmp_path: Path) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, image=NAME, ref="v1")
    assert load(store, str(folder), None) == [NAME]
    check(store, NAME)
    record = store.images.get(NAME)
    assert record and record.manifest == IMAGE.digest and record.platform == "linux/amd64"


def test_name_of_the_caller(store: Store, tmp_path: Path) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, ref="latest")
    with pytest.raises(UsageError, match="what its image is called"):
        load(store, str(folder), None)
    assert store.images.list() == []
    assert load(store, str(folder), "app:v1") == [NAME]
    check(store, NAME)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress, lzma.compress])
def test_archives(store: Store, tmp_path: Path, compress: object) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, ref="app:v1")
    archive = layouts.pack(folder, tmp_path / "l.tar")
    archive.write_bytes(compress(archive.read_bytes()))  # type: ignore[operator]
    assert load(store, str(archive), None) == [NAME]
    check(store, NAME)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_docker_archives(store: Store, tmp_path: Path, compress: object) -> None:
    image = MadeImage([*IMAGE.layers, IMAGE.layers[0]])
    archive = layouts.docker_archive(tmp_path / "d.tar", image, ["app:v1", "host.io/app"])
    archive.write_bytes(compress(archive.read_bytes()))  # type: ignore[operator]
    assert load(store, str(archive), None) == [NAME, "host.io/app:latest"]
    check(store, NAME, image)
    check(store, "host.io/app:latest", image)


def test_docker_archive_of_several_images(store: Store, tmp_path: Path) -> None:
    archive = layouts.docker_archive(tmp_path / "d.tar", IMAGE, ["app:v1"])
    files = layouts_of_tar(archive)
    listed = json.loads(files["manifest.json"])
    listed.append({**listed[0], "RepoTags": ["other:v2"]})
    files["manifest.json"] = json.dumps(listed).encode()
    archive.write_bytes(layouts.tar_of(dict(files)))
    with pytest.raises(UsageError, match="only one can be called"):
        load(store, str(archive), "new")
    assert load(store, str(archive), "other:v2") == ["docker.io/library/other:v2"]
    assert load(store, str(archive), None) == [NAME, "docker.io/library/other:v2"]


def layouts_of_tar(archive: Path) -> dict[str, bytes]:
    import tarfile

    with tarfile.open(archive) as tar:
        out = {}
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            out[member.name] = content.read()
        return out


def test_names_of_a_docker_archive_serve_its_layout(store: Store, tmp_path: Path) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE)
    config = "blobs/sha256/" + layouts.sha256(IMAGE.config_bytes)[7:]
    listed = [{"Config": config, "RepoTags": ["app:v1"], "Layers": []}]
    (folder / "manifest.json").write_text(json.dumps(listed))
    assert load(store, str(folder), None) == [NAME]
    record = store.images.get(NAME)
    assert record and record.manifest == IMAGE.digest


def test_several_platforms(store: Store, tmp_path: Path) -> None:
    arm = MadeImage(IMAGE.layers, architecture="arm64")
    inner = layouts.index_of([IMAGE.entry(), arm.entry()])
    entry = layouts.descriptor(f"{layouts.OCI}.index.v1+json", inner)
    entry["annotations"] = {"io.containerd.image.name": NAME}
    folder = layouts.write_layout(tmp_path / "l", [entry], [inner, *IMAGE.all_blobs(), *arm.all_blobs()])
    load(store, str(folder), None, platforms.parse("linux/arm64"))
    check(store, NAME, arm)
    load(store, str(folder), None, platforms.parse("linux/amd64"))
    check(store, NAME, IMAGE)
    with pytest.raises(NotFound, match="linux/s390x") as caught:
        load(store, str(folder), None, platforms.parse("linux/s390x"))
    assert "linux/amd64, linux/arm64" in (caught.value.hint or "")


def test_single_foreign_platform_is_loaded(store: Store, tmp_path: Path) -> None:
    other = MadeImage(IMAGE.layers, architecture="s390x")
    inner = layouts.index_of([other.entry()])
    entry = layouts.descriptor(f"{layouts.OCI}.index.v1+json", inner)
    folder = layouts.write_layout(tmp_path / "l", [entry], [inner, *other.all_blobs()])
    load(store, str(folder), NAME)
    check(store, NAME, other)


def test_tag_chooses_among_several(store: Store, tmp_path: Path) -> None:
    other = MadeImage([layouts.tar_of({"c": b""})])
    entries = [IMAGE.entry(ref="v1"), other.entry(ref="v2")]
    folder = layouts.write_layout(tmp_path / "l", entries, IMAGE.all_blobs() + other.all_blobs())
    load(store, str(folder), "x:v2")
    record = store.images.get("docker.io/library/x:v2")
    assert record and record.manifest == other.digest
    with pytest.raises(NotFound, match="several images") as caught:
        load(store, str(folder), "x:v3")
    assert caught.value.hint == "it holds v1, v2"


def test_name_without_a_tag_takes_all_tags(store: Store, tmp_path: Path) -> None:
    other = MadeImage([layouts.tar_of({"c": b""})])
    entries = [IMAGE.entry(ref="v1"), other.entry(ref="v2")]
    folder = layouts.write_layout(tmp_path / "l", entries, IMAGE.all_blobs() + other.all_blobs())
    assert load(store, str(folder), "host.io/x") == ["host.io/x:v1", "host.io/x:v2"]
    first, second = store.images.get("host.io/x:v1"), store.images.get("host.io/x:v2")
    assert first and second and (first.manifest, second.manifest) == (IMAGE.digest, other.digest)


@pytest.mark.parametrize("name", ["x", "x:v1"])
def test_different_images_with_one_tag(store: Store, tmp_path: Path, name: str) -> None:
    other = MadeImage([layouts.tar_of({"c": b""})])
    entries = [IMAGE.entry(image="docker.io/library/a:v1"), other.entry(image="docker.io/library/b:v1")]
    folder = layouts.write_layout(tmp_path / "l", entries, IMAGE.all_blobs() + other.all_blobs())
    with pytest.raises(UsageError, match="several images with the tag v1"):
        load(store, str(folder), name)
    assert len(load(store, str(folder), None)) == 2


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: bytes(len(data)), lambda data: data + b"x"]
)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_damaged_blobs(store: Store, tmp_path: Path, change: object, which: int) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, image=NAME)
    blob = folder / "blobs" / "sha256" / layouts.sha256(IMAGE.all_blobs()[which])[7:]
    blob.write_bytes(change(blob.read_bytes()))  # type: ignore[operator]
    with pytest.raises(SourceError, match="damaged"):
        load(store, str(folder), None)
    assert store.images.list() == []
    assert not store.blobs.has(layouts.sha256(IMAGE.all_blobs()[which]))


def test_damaged_docker_layer(store: Store, tmp_path: Path) -> None:
    archive = layouts.docker_archive(tmp_path / "d.tar", IMAGE, ["app"])
    files = layouts_of_tar(archive)
    name = next(name for name in files if name.endswith("layer.tar"))
    archive.write_bytes(layouts.tar_of({**files, name: layouts.tar_of({"evil": b"x"})}))
    with pytest.raises(SourceError, match="is damaged"):
        load(store, str(archive), None)
    assert store.images.list() == []


def test_missing_blob(store: Store, tmp_path: Path) -> None:
    folder = layouts.layout_of(tmp_path / "l", IMAGE, image=NAME)
    (folder / "blobs" / "sha256" / layouts.sha256(IMAGE.blobs[1])[7:]).unlink()
    with pytest.raises(NotFound, match="lacks the blob"):
        load(store, str(folder), None)


@pytest.mark.parametrize(
    "data",
    [b"", b"no tar " * 100, gzip.compress(b"no tar", mtime=0), gzip.compress(bytes(9999), mtime=0)[:20]],
)
def test_what_is_no_archive(store: Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(SourceError):
        load(store, str(path), "x")


def test_what_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        load(store, str(tmp_path / "nothing"), "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no image"):
        load(store, str(tmp_path / "empty"), "x")


def test_paths_of_docker_archives_stay_inside(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(IMAGE.config_bytes)
    listed = [{"Config": str(secret), "RepoTags": ["a"], "Layers": []}]
    archive = tmp_path / "d.tar"
    archive.write_bytes(layouts.tar_of({"manifest.json": json.dumps(listed).encode()}))
    with pytest.raises(SourceError, match="lacks"):
        load(store, str(archive), None)
