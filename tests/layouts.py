"""Small images for tests, written without the code that is under test."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """An uncompressed layer: files by name; a TarInfo for what is not a plain file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(content), 0o755, 1_600_000_000
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(kind: bytes, mode: int = 0o755, link: str = "", **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.type, info.mode, info.linkname, info.mtime = kind, mode, link, 1_600_000_000
    for name, value in fields.items():
        setattr(info, name, value)
    return info


@dataclass
class MadeImage:
    """The documents and blobs of one image."""

    layers: list[bytes]
    config: dict[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"
    compress: bool = True

    def __post_init__(self) -> None:
        self.diff_ids = [sha256(layer) for layer in self.layers]
        self.blobs = [gzip.compress(layer, mtime=0) if self.compress else layer for layer in self.layers]
        document = {
            "os": "linux",
            "architecture": self.architecture,
            "config": self.config,
            "created": "2026-01-02T03:04:05Z",
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": [{"created_by": f"layer {at}"} for at in range(len(self.layers))],
        }
        self.config_bytes = json.dumps(document).encode()
        kind = f"{OCI}.layer.v1.tar" + ("+gzip" if self.compress else "")
        self.manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": descriptor(f"{OCI}.config.v1+json", self.config_bytes),
            "layers": [descriptor(kind, blob) for blob in self.blobs],
        }
        self.manifest_bytes = json.dumps(self.manifest).encode()
        self.digest = sha256(self.manifest_bytes)

    def entry(self, platform: bool = True, **annotations: str) -> dict[str, Any]:
        out = descriptor(f"{OCI}.manifest.v1+json", self.manifest_bytes)
        if platform:
            out["platform"] = {"os": "linux", "architecture": self.architecture}
        if annotations:
            names = {"ref": "org.opencontainers.image.ref.name", "image": "io.containerd.image.name"}
            out["annotations"] = {names[key]: value for key, value in annotations.items()}
        return out

    def all_blobs(self) -> list[bytes]:
        return [self.manifest_bytes, self.config_bytes, *self.blobs]


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def index_of(entries: list[dict[str, Any]]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": entries}
    return json.dumps(document).encode()


def write_layout(folder: Path, entries: list[dict[str, Any]], blobs: list[bytes]) -> Path:
    """An OCI layout in a folder."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_bytes(index_of(entries))
    for data in blobs:
        (folder / "blobs" / "sha256" / sha256(data)[7:]).write_bytes(data)
    return folder


def layout_of(folder: Path, image: MadeImage, /, **annotations: str) -> Path:
    """An OCI layout that holds one image."""
    return write_layout(folder, [image.entry(**annotations)], image.all_blobs())


def pack(folder: Path, archive: Path) -> Path:
    """A tar archive of what is in a folder, as `tar -C folder -c .` makes it."""
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname=".")
    return archive


def docker_archive(path: Path, image: MadeImage, names: list[str]) -> Path:
    """An archive as old versions of `docker save` wrote it: plain layers in folders of their own."""
    files: dict[str, bytes | tarfile.TarInfo] = {}
    config = sha256(image.config_bytes)[7:] + ".json"
    layers = []
    for at, layer in enumerate(image.layers):
        name = f"{at:064x}/layer.tar"
        same = next((old for old, other in zip(layers, image.layers, strict=False) if other == layer), None)
        files[name] = member(tarfile.SYMTYPE, link=f"../{same}") if same else layer
        layers.append(name)
    files[config] = image.config_bytes
    files["manifest.json"] = json.dumps([{"Config": config, "RepoTags": names, "Layers": layers}]).encode()
    path.write_bytes(tar_of(files))
    return path


def busybox_layer() -> bytes:
    """A root filesystem in which programs run: Debian's busybox-static."""
    program = shutil.which("busybox")
    assert program, "busybox-static is not installed"
    return tar_of(
        {"bin/busybox": Path(program).read_bytes(), "bin/sh": member(tarfile.SYMTYPE, link="busybox")}
    )
