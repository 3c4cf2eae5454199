"""Images as the bench sees them: base images to begin with, and what is in a builder's result.

The reading is the bench's own, so that no builder judges itself.
"""

from __future__ import annotations

import io
import json
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

MANIFESTS = ",".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.index.v1+json",
    )
)


@dataclass(frozen=True)
class Base:
    """A base image: the name that FROM uses, and its place in an OCI layout."""

    name: str
    layout: Path
    tag: str = "latest"

    @cache  # noqa: B019  (they are few, and a timed build must not wait for it)
    def digest(self) -> str:
        """The digest of its manifest."""
        index = json.loads((self.layout / "index.json").read_text())
        return str(next(m["digest"] for m in index["manifests"] if self.tag in m["annotations"].values()))


@dataclass(frozen=True)
class Facts:
    """What an image holds: layers, regular files below a prefix and their bytes, bytes of the layers as sent.

    Expected facts may leave out what is not known, as None; `compressed` is None where layers are plain.
    """

    layers: int | None = None
    files: int | None = None
    content: int | None = None
    compressed: int | None = None


def differences(got: Facts, want: Facts) -> Iterator[str]:
    """What is not as expected, one line each; compressed sizes are reported, not judged."""
    for name in ("layers", "files", "content"):
        expected, found = getattr(want, name), getattr(got, name)
        if expected is not None and expected != found:
            yield f"{found} instead of {expected} {'bytes of content' if name == 'content' else name}"


def read_archive(path: Path, prefix: str) -> Facts:
    """The facts of an OCI archive, or of what `docker save` wrote; only files below `prefix` count."""
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
        if "index.json" not in names:
            (image,) = read_json(archive, "manifest.json")
            layers = [(archive.getmember(name), "tar") for name in image["Layers"]]
        else:
            manifest = read_json(archive, "index.json")
            while "manifests" in manifest:
                manifest = read_json(archive, blob(manifest["manifests"][0]))
            layers = [(archive.getmember(blob(d)), d["mediaType"]) for d in manifest["layers"]]
        files = content = 0
        for member, kind in layers:
            stream = archive.extractfile(member)
            assert stream is not None
            for size in sizes(stream, kind, prefix):
                files, content = files + 1, content + size
        packed = all("gzip" in kind or "zstd" in kind for _, kind in layers)
        return Facts(len(layers), files, content, sum(m.size for m, _ in layers) if packed else None)


def read_registry(address: str, repository: str, tag: str) -> Facts:
    """The facts of an image in a registry: layers and their bytes. Raises OSError when it is not there."""
    question = urllib.request.Request(
        f"http://{address}/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFESTS}
    )
    with urllib.request.urlopen(question, timeout=10) as answer:
        manifest = json.load(answer)
    if "manifests" in manifest:
        return read_registry(address, repository, manifest["manifests"][0]["digest"])
    for layer in manifest["layers"]:
        head = urllib.request.Request(
            f"http://{address}/v2/{repository}/blobs/{layer['digest']}", method="HEAD"
        )
        urllib.request.urlopen(head, timeout=10).close()
    return Facts(len(manifest["layers"]), compressed=sum(layer["size"] for layer in manifest["layers"]))


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    """A document of an archive."""
    stream = archive.extractfile(name)
    assert stream is not None
    return json.load(stream)


def blob(descriptor: dict[str, Any]) -> str:
    """The path of a blob in an OCI layout."""
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def sizes(stream: IO[bytes], kind: str, prefix: str) -> Iterator[int]:
    """The sizes of the regular files below a prefix in one layer."""
    with decompressed(stream, kind) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            if member.isreg() and member.name.removeprefix("./").startswith(prefix):
                yield member.size
            tar.members.clear()  # type: ignore[attr-defined]  # a list of all members is not needed


@contextmanager
def decompressed(stream: IO[bytes], kind: str) -> Iterator[IO[bytes]]:
    """A layer as its tar, by its media type."""
    if "gzip" in kind:
        from isal import igzip

        with igzip.open(stream) as plain:
            yield plain
    elif "zstd" in kind:
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as reader:
            yield io.BufferedReader(reader)
    else:
        yield stream
