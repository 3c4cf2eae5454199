"""Ways out by files: layouts, archives, Dockerfiles and named folders that were made to do harm."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import layouts
from tests.conftest import Done, Jettison
from tests.e2e.test_bad_input import Project, assert_clear
from tests.layouts import MadeImage

SECRET = "canary-4711"
IMAGE = MadeImage([layouts.tar_of({"a": b"1"})], {"Cmd": ["a"]})


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """A file outside of all that is built; after the test it is what it was, and alone in its folder."""
    folder = tmp_path / "outside"
    folder.mkdir()
    file = folder / "secret"
    file.write_text(SECRET)
    yield file
    assert os.listdir(folder) == ["secret"] and file.read_text() == SECRET


def refused(done: Done, *words: str) -> None:
    assert_clear(done, *words)
    assert SECRET not in done.text


@pytest.mark.parametrize("harm", ["index", "marker", "blob pipe", "blob device", "index pipe", "digest"])
def test_layouts(empty_jettison: Jettison, project: Project, tmp_path: Path, secret: Path, harm: str) -> None:
    folder = layouts.layout_of(tmp_path / "layout", IMAGE, image="docker.io/library/app:v1")
    blob = folder / "blobs/sha256" / layouts.sha256(IMAGE.blobs[0])[7:]
    index = folder / "index.json"
    if harm in ("index", "marker"):
        path = index if harm == "index" else folder / "oci-layout"
        path.unlink()
        path.symlink_to(secret)
    elif harm.startswith("blob"):
        blob.unlink()
        os.mkfifo(blob) if harm == "blob pipe" else blob.symlink_to("/dev/zero")
    elif harm == "index pipe":
        index.unlink()
        os.mkfifo(index)
    else:
        index.write_text(index.read_text().replace(IMAGE.digest, f"sha256:../../../../..{secret}"))
    refused(empty_jettison("load", folder, timeout=20))
    text = "FROM app AS a\nFROM scratch\nCOPY --from=a / /\n"
    words = ("build", "--build-context", f"app=oci-layout://{folder}", project(dockerfile=text))
    refused(empty_jettison(*words, timeout=20))


@pytest.mark.parametrize("field", ["Config", "Layers"])
@pytest.mark.parametrize("way", ["absolute", "climbing", "link", "hard link", "pipe"])
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_docker_archives(
    empty_jettison: Jettison, tmp_path: Path, secret: Path, kind: str, way: str, field: str
) -> None:
    outside = secret.parent.parent / "layer.gz"
    outside.write_bytes(IMAGE.blobs[0] if field == "Layers" else IMAGE.config_bytes)
    name = {"absolute": str(outside), "climbing": f"../../../../../../../..{outside}"}.get(way, "inner")
    listed = {"Config": "config.json", "RepoTags": ["app:v1"], "Layers": ["layer.tar"]}
    listed[field] = name if field == "Config" else [name]
    files: dict[str, bytes | tarfile.TarInfo] = {
        "manifest.json": json.dumps([listed]).encode(),
        "config.json": IMAGE.config_bytes,
        "layer.tar": IMAGE.layers[0],
    }
    forms = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE}
    if way in forms:
        files["inner"] = layouts.member(forms[way], link=str(outside))
    path = tmp_path / "image"
    if kind == "archive":
        path.write_bytes(layouts.tar_of(files))
    else:
        path.mkdir()
        for file, data in files.items():
            if isinstance(data, bytes):
                (path / file).write_bytes(data)
        if way == "link":
            (path / "inner").symlink_to(outside)
        elif way == "pipe":
            os.mkfifo(path / "inner")
    refused(empty_jettison("load", path, timeout=20))
    assert "app" not in empty_jettison.ok("images").out


@pytest.mark.parametrize("flag", ["", "Dockerfile", "sub/Dockerfile"])
def test_a_dockerfile_that_leads_out_of_its_context(
    empty_jettison: Jettison, project: Project, secret: Path, flag: str
) -> None:
    """What it leads to would be shown in the message about its mistakes."""
    folder = project({"sub/f": ""})
    link = folder / (flag or "Dockerfile")
    link.symlink_to(secret)
    refused(empty_jettison("build", *(("-f", link) if flag else ()), folder), "leads out")
    link.unlink()
    (folder / "sub/real").write_text("FROM scratch\nCOPY sub/f /\n")
    link.symlink_to(folder / "sub/real")
    empty_jettison.ok("build", *(("-f", link) if flag else ()), folder)


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_pipes_are_not_waited_for(empty_jettison: Jettison, project: Project, name: str) -> None:
    folder = project({"f": ""}, None if name == "Dockerfile" else "FROM scratch\nCOPY f /\n")
    os.mkfifo(folder / name)
    refused(empty_jettison("build", folder, timeout=20), name, "no regular file")


def test_headers_that_ask_for_all_memory(empty_jettison: Jettison, project: Project, tmp_path: Path) -> None:
    """A megabyte of zeros, packed, behind a header that says: read two gigabytes of names."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2 << 30
    data = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    folder = project({"x.tar.gz": data}, "FROM scratch\nADD x.tar.gz /\n")
    refused(empty_jettison("build", folder), "extended header")
    (tmp_path / "context.tar.gz").write_bytes(data)
    refused(empty_jettison("build", tmp_path / "context.tar.gz"), "extended header")
    refused(empty_jettison("load", tmp_path / "context.tar.gz"), "extended header")


def test_sparse_files_that_fill_the_disk(empty_jettison: Jettison, project: Project, tmp_path: Path) -> None:
    """A kilobyte that says it is a petabyte of zeros."""
    member = tarfile.TarInfo("x")
    member.pax_headers = {
        "GNU.sparse.map": "0,0",
        "GNU.sparse.size": str(1 << 50),
        "GNU.sparse.numblocks": "1",
    }
    data = member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    refused(
        empty_jettison("build", project({"x.tar": data}, "FROM scratch\nADD x.tar /\n"), timeout=20), "sparse"
    )
    (tmp_path / "context.tar").write_bytes(data)
    refused(empty_jettison("build", tmp_path / "context.tar", timeout=20), "sparse")
    image = MadeImage([data])
    folder = layouts.layout_of(tmp_path / "layout", image, image="docker.io/library/app:v1")
    empty_jettison.ok("load", folder)
    project(dockerfile="FROM scratch\nCOPY --from=app /x /y\n")
    done = empty_jettison("build", tmp_path / "context", timeout=20)
    refused(done, "sparse")
