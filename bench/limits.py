"""What the machine itself needs for the bytes and processes of a row: the limit beside its figures.

Each does with plain means what no builder gets around, and nothing else. A builder that remembers
what it did before may stay below a limit that reads everything.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import isal_zlib

from bench.builder import run
from bench.image import Base

CHUNK = 1 << 20
"""Bytes read, hashed or deflated at a time."""


def start_python() -> None:
    """A Python interpreter that does nothing."""
    subprocess.run([sys.executable, "-c", ""], check=True)


def walk(folder: Path) -> None:
    """Ask the kernel about every file of a folder, in C."""
    run(["find", folder, "-size", "+1000000000c"])


def plain_pass(folder: Path) -> None:
    """Read, sha256 and deflate (ISA-L, level 1) the files of a folder, with a thread per core."""
    files = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(_read_hash_deflate, [files[core::cores] for core in range(cores)]))


def _read_hash_deflate(paths: Iterable[str]) -> None:
    digest, packed = hashlib.sha256(), isal_zlib.compressobj(1)
    waiting = bytearray()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            waiting += file.read()
        if len(waiting) >= CHUNK:
            digest.update(waiting)
            packed.compress(waiting)
            waiting.clear()
    digest.update(waiting)
    packed.compress(waiting)
    packed.flush()


def containers(root: Path, count: int) -> None:
    """Run `true` in new namespaces and another root, one after the other, without runtime or builder."""
    for _ in range(count):
        run(["unshare", "--fork", "--pid", "--mount", "--ipc", "--uts", "chroot", root, "true"])


def make_root(root: Path, base: Base) -> Path:
    """The files of a small base image."""
    root.mkdir(parents=True)
    manifest = json.loads((base.layout / "blobs" / base.digest().replace(":", "/")).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(base.layout / "blobs" / layer["digest"].replace(":", "/")) as tar:
            tar.extractall(root, filter="fully_trusted")
    return root


def sleeps(count: int, seconds: int) -> None:
    """Processes that sleep, side by side."""
    started = [subprocess.Popen(["sleep", str(seconds)]) for _ in range(count)]
    for process in started:
        process.wait()


def copy(files: Sequence[Path]) -> None:
    """Copy files by the kernel, one after the other, each over the copy of the one before."""
    for file in files:
        target = file.with_suffix(".copy")
        shutil.copyfile(file, target)
        target.unlink()


def download(address: str, repository: str, digests: Sequence[str]) -> None:
    """Fetch blobs and hash them, with a thread per core."""

    def fetch(digest: str) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", f"/v2/{repository}/blobs/{digest}")
        answer, hashed = connection.getresponse(), hashlib.sha256()
        while data := answer.read(CHUNK):
            hashed.update(data)
        connection.close()
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise RuntimeError(f"the registry sent something else for {digest}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fetch, digests))


def upload(address: str, repository: str, files: Sequence[Path]) -> None:
    """Hash files and send them to a registry, with a thread per core."""

    def send(file: Path) -> None:
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
            data.seek(0)
            connection = http.client.HTTPConnection(address, timeout=60, blocksize=CHUNK)
            connection.request("POST", f"/v2/{repository}/blobs/uploads/")
            answer = connection.getresponse()
            answer.read()
            place = answer.headers["Location"]
            mark = "&" if "?" in place else "?"
            size = str(file.stat().st_size)
            connection.request("PUT", f"{place}{mark}digest=sha256:{digest}", data, {"Content-Length": size})
            answer = connection.getresponse()
            answer.read()
            connection.close()
        if answer.status != 201:
            raise RuntimeError(f"the registry answered {answer.status}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(send, files))
