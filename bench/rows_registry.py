"""Rows about registries: a real one on loopback, with the same blobs for every builder."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import random
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests import registry
from tests.conformance import make_base

from bench import data, limits
from bench.builder import Builder, Job, Unavailable, run
from bench.image import Facts, read_registry
from bench.row import Row, Shop, folder, seconds

LAYERS = 5
"""Layers of the base image that is pulled."""
OCI = "application/vnd.oci.image."


def pull(shop: Shop) -> Row:
    """A build of one RUN on a base image that only the registry has."""
    scale = shop.scale
    need_registry()
    layout = shop.work / "pull-layout"
    layers = make_image(layout, scale.base_files, scale.base_total)
    address = shop.stack.enter_context(registry.running_registry(shop.work / "pull-registry"))
    target = f"docker://{address}/base:1"
    run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:latest", target])
    dockerfile = f'FROM {address}/base:1\nRUN ["/bin/busybox", "touch", "/done"]\n'
    job = Job(folder(shop.work / "pull", dockerfile))
    about = scale.base_total // 1_000_000
    digests = [layer["digest"] for layer in layers]
    return Row(
        "pull", f"load a base image of {about} MB from a registry, unpack it for RUN", 0.5,
        scale.rounds, seconds(lambda b: b.build(job)), before=lambda b: b.forget(),
        facts=lambda b: b.facts(job, "done"), expect=Facts(LAYERS + 1, 1, 0),
        limit=partial(limits.download, address, "base", digests),
        limit_says="plain downloads of the compressed layers, with sha256, one per core",
    )  # fmt: skip


def push(shop: Shop) -> Row:
    """An image that was built and exported goes to an empty registry."""
    size = shop.scale.pushed
    need_registry()
    context = folder(shop.work / "push", "FROM scratch\nCOPY a /a\nCOPY b /b\nCOPY c /c\n")
    files = [context / name for name in "abc"]
    for number, file in enumerate(files):
        file.write_bytes(random.Random(number).randbytes(size))
    fresh = Fresh(shop)
    job = Job(context)

    def prepare(builder: Builder) -> None:
        builder.build(Job(context, out=shop.work / f"{builder.name}-push.tar"))
        builder.build(job)

    return Row(
        "push", f"push of an image with 3 new layers of {size // 1_000_000} MB", 0.5, shop.scale.rounds,
        seconds(lambda b: b.push(job, f"{fresh.address}/bench/pushed:1")), prepare,
        before=lambda b: fresh.start(),
        facts=lambda b: read_registry(fresh.address, "bench/pushed", "1"), expect=Facts(layers=3),
        limit=lambda: limits.upload(fresh.start(), "limit", files),
        limit_says="sha256 and plain uploads of three files, one per core",
    )  # fmt: skip


class Fresh:
    """An empty registry: each start ends the one before and removes what it kept."""

    def __init__(self, shop: Shop) -> None:
        self.work, self.address = shop.work, ""
        self.running = shop.stack.enter_context(ExitStack())

    def start(self) -> str:
        """Give the address of a new registry."""
        self.running.close()
        place = self.work / "push-registry"
        self.running.callback(shutil.rmtree, place, ignore_errors=True)
        self.address = self.running.enter_context(registry.running_registry(place))
        return self.address


def need_registry() -> None:
    """Raises Unavailable when no registry can be started."""
    for program in (registry.BINARY, "skopeo"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")


def make_image(layout: Path, files: int, total: int) -> list[dict[str, Any]]:
    """A layout with an image of some layers, gzip level 6 as other tools make them; gives the layers."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": OCI + kind, "digest": f"sha256:{digest}", "size": len(content)}

    def layer(number: int) -> tuple[str, dict[str, Any]]:
        plain = make_layer(layout.parent / f"pull-layer{number}", number, files // LAYERS, total // LAYERS)
        packed = gzip.compress(plain, 6, mtime=0)
        return f"sha256:{sha256(plain).hexdigest()}", blob(packed, "layer.v1.tar+gzip")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(layer, range(LAYERS)))
    system = {"architecture": make_base.ARCH.get(platform.machine(), platform.machine()), "os": "linux"}
    config = blob(
        json.dumps(
            {
                **system,
                "config": {"Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in made]},
                "history": [{"created_by": f"layer {number}"} for number in range(LAYERS)],
            }
        ).encode(),
        "config.v1+json",
    )
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config}
    document["layers"] = [layer for _, layer in made]
    manifest = blob(json.dumps(document).encode(), "manifest.v1+json")
    manifest |= {"platform": system, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return [layer for _, layer in made]


def make_layer(place: Path, number: int, files: int, total: int) -> bytes:
    """A tar of some files; the first one has a busybox as well."""
    data.fill(place / "usr" / f"layer{number}", files, total, seed=100 + number)
    if not number:
        (place / "bin").mkdir()
        program = shutil.which("busybox")
        if not program:
            raise Unavailable("busybox-static is not installed")
        shutil.copy(program, place / "bin" / "busybox")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.add(place, ".", filter=as_root)
    shutil.rmtree(place)
    return plain.getvalue()


def as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same entry with a fixed owner and time."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 1
    return entry
