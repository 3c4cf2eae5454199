"""OCI image layouts, and the layers in them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import stat
import tarfile
import threading
import time

from tests.bases.process import run

EPOCH = 1767225600  # the time of files made by a run, so that the same packages give the same layers
STARTED = time.time()
EMPTIED = ("dev", "proc", "run", "sys", "tmp")  # directories whose contents never enter a layer
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF = "org.opencontainers.image.ref.name"


class Hashed:
    """A file object that counts and hashes what is written through it."""

    def __init__(self, out):
        self.out, self.sha, self.size = out, hashlib.sha256(), 0

    def write(self, data):
        self.sha.update(data)
        self.size += len(data)
        return self.out.write(data)

    def flush(self):
        self.out.flush()

    @property
    def digest(self):
        return "sha256:" + self.sha.hexdigest()


class Layout:
    """An OCI image layout directory; its tags are the index's ref.name annotations."""

    lock = threading.Lock()

    def __init__(self, path):
        self.path = path
        self.blobs = path / "blobs" / "sha256"

    def index(self):
        try:
            return json.loads((self.path / "index.json").read_text())
        except FileNotFoundError:
            return {"schemaVersion": 2, "manifests": []}

    def find(self, tag):
        return next((m for m in self.index()["manifests"] if m["annotations"][REF] == tag), None)

    def blob(self, digest):
        return self.blobs / digest.partition(":")[2]

    def put(self, content):
        """Store a JSON document as a blob; return its digest and size."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        data = json.dumps(content, separators=(",", ":")).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blob(digest).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    def tag(self, tag, descriptor):
        with self.lock:
            index = self.index()
            index["manifests"] = [m for m in index["manifests"] if m["annotations"][REF] != tag] + [
                descriptor
            ]
            index["manifests"].sort(key=lambda m: m["annotations"][REF])
            (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
            new = self.path / "index.json.new"
            new.write_text(json.dumps(index, indent=1))
            new.replace(self.path / "index.json")

    def prune(self):
        """Drop the blobs that no tag of this layout reaches."""
        used = set()
        for descriptor in self.index()["manifests"]:
            manifest = json.loads(self.blob(descriptor["digest"]).read_text())
            used |= {
                b["digest"].partition(":")[2] for b in [descriptor, manifest["config"], *manifest["layers"]]
            }
        for blob in self.blobs.iterdir():
            if blob.name not in used:
                blob.unlink()


def entries(root):
    """Every path of a tree below root, parents first, with its lstat result."""
    for folder, dirs, files in os.walk(root):
        rel = os.path.relpath(folder, root)
        if rel in EMPTIED:
            dirs.clear()
            continue
        dirs.sort()
        for name in sorted(dirs + files):
            path = os.path.normpath(os.path.join(rel, name))
            yield path, os.lstat(os.path.join(root, path))


def snapshot(root):
    return {path: (st.st_ino, st.st_ctime_ns) for path, st in entries(root)}


def write_layer(root, before, layout, work):
    """Store what changed in root since the snapshot `before` as a layer; None when nothing did."""
    now, inodes, count = set(), {}, 0
    part = work / "layer"
    with open(part, "wb") as f:
        packed = Hashed(f)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as gz:
            plain = Hashed(gz)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for path, st in entries(root):
                    now.add(path)
                    if before.get(path) == (st.st_ino, st.st_ctime_ns) or stat.S_ISSOCK(st.st_mode):
                        continue
                    full = os.path.join(root, path)
                    info = tarfile.TarInfo(path)
                    info.mode, info.uid, info.gid = stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid
                    info.mtime = int(st.st_mtime) if st.st_mtime < STARTED - 1 else EPOCH
                    count += 1
                    if stat.S_ISDIR(st.st_mode):
                        info.type = tarfile.DIRTYPE
                    elif stat.S_ISLNK(st.st_mode):
                        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(full)
                    elif st.st_ino in inodes:
                        info.type, info.linkname = tarfile.LNKTYPE, inodes[st.st_ino]
                    elif stat.S_ISREG(st.st_mode):
                        if st.st_nlink > 1:
                            inodes[st.st_ino] = path
                        info.size = st.st_size
                        with open(full, "rb") as content:
                            tar.addfile(info, content)
                        continue
                    else:
                        raise SystemExit(f"bases: {full} is of a kind that no base image needs")
                    tar.addfile(info)
                for path in sorted(before.keys() - now):
                    if os.path.dirname(path) in now or "/" not in path:
                        info = tarfile.TarInfo(
                            os.path.join(os.path.dirname(path), ".wh." + os.path.basename(path))
                        )
                        info.mtime = EPOCH
                        tar.addfile(info)
                        count += 1
    if not count:
        part.unlink()
        return None
    layout.blobs.mkdir(parents=True, exist_ok=True)
    part.replace(layout.blob(packed.digest))
    return {
        "descriptor": {"mediaType": LAYER, "digest": packed.digest, "size": packed.size},
        "diff_id": plain.digest,
        "unpacked": plain.size,
    }


def unpack(layout, descriptor, root):
    """Lay an image's layers out as a directory."""
    for layer in json.loads(layout.blob(descriptor["digest"]).read_text())["layers"]:
        run("tar", "-xzp", "--numeric-owner", "-C", root, "-f", layout.blob(layer["digest"]))
        for path, _ in list(entries(root)):
            name = os.path.basename(path)
            if name.startswith(".wh."):
                (root / path).unlink()
                gone = root / os.path.dirname(path) / name[4:]
                shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink(
                    missing_ok=True
                )
