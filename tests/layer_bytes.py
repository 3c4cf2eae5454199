"""What the layers of an OCI archive hold, as Python's own tar module reads them, to compare with."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from tests.conformance import imagetree


def of_archive(path: Path) -> list[dict[str, int]]:
    """Of each layer: the bytes of its blob, and the number and bytes of the files in it."""
    layout = imagetree.Layout(str(path))
    manifest, _ = imagetree.pick_manifest(layout)
    return [
        {"compressed": descriptor["size"], **_files(imagetree.decompress(layout.blob(descriptor)))}
        for descriptor in manifest["layers"]
    ]


def _files(data: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        sizes = [
            member.size
            for member in tar
            if member.isfile() and not os.path.basename(member.name).startswith(".wh.")
        ]
    return {"files": len(sizes), "size": sum(sizes)}
