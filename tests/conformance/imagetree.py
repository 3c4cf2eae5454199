"""Flatten an OCI image into comparable facts: its file tree and its config.

    python -m tests.conformance.imagetree IMAGE.tar|LAYOUT_DIR            print the facts as JSON
    python -m tests.conformance.imagetree --diff A B [--ignore GLOB ...]
                                                 print how B differs from A; exit 1 if it does

IMAGE is an OCI image layout (a directory, or a tar of one) with one image, or
one image per platform (--platform os/arch picks; default: the first). Facts
hold no times, so two builders can be compared: for every path its type, mode,
uid, gid, content (a short text itself, else size and sha256), link target,
device numbers and xattrs, and for a file with several names the first of them
("same_as"). An image that is
not well formed (a wrong digest, size, diff_id or history) raises BadImage.
"""

from __future__ import annotations

import argparse
import fnmatch
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


TEXT = 256  # longest file content to be kept as text


class BadImage(Exception):
    pass


class Layout:
    def __init__(self, path):
        self.tar = None if os.path.isdir(path) else tarfile.open(path)  # noqa: SIM115
        self.path = path

    def read(self, name):
        if self.tar is None:
            with open(os.path.join(self.path, name), "rb") as f:
                return f.read()
        for candidate in (name, "./" + name):
            try:
                return self.tar.extractfile(candidate).read()
            except KeyError:
                continue
        raise KeyError(name)

    def blob(self, desc):
        digest = desc["digest"]
        try:
            data = self.read("blobs/" + digest.replace(":", "/"))
        except (KeyError, FileNotFoundError):
            raise BadImage(f"blob {digest} is missing")
        algo, want = digest.split(":")
        got = hashlib.new(algo, data).hexdigest()
        if got != want:
            raise BadImage(f"blob {digest} has content {got}")
        if desc.get("size") != len(data):
            raise BadImage(f"blob {digest} has {len(data)} bytes, its descriptor says {desc.get('size')}")
        return data

    def json(self, desc):
        return json.loads(self.blob(desc))


def pick_manifest(layout, platform=None):
    index = json.loads(layout.read("index.json"))
    queue = list(index["manifests"])
    while queue:
        d = queue.pop(0)
        doc = layout.json(d)
        if "manifests" in doc:
            queue = doc["manifests"] + queue
            continue
        plat = d.get("platform") or {}
        if plat.get("os") == "unknown" or d.get("annotations", {}).get("vnd.docker.reference.type"):
            continue
        if platform and f"{plat.get('os')}/{plat.get('architecture')}" != platform:
            continue
        return doc, d
    raise BadImage("no image manifest found")


def decompress(data):
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def norm(name):
    return "/" + os.path.normpath("/" + name).lstrip("/")


def content(body):
    """A short text as it is, anything else by size and digest."""
    if len(body) <= TEXT:
        try:
            text = body.decode()
            if all(c.isprintable() or c in "\n\t" for c in text):
                return {"text": text}
        except UnicodeDecodeError:
            pass
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def xattr(value):
    raw = value.encode("utf-8", "surrogateescape")
    return value if all(32 <= b < 127 for b in raw) else "0x" + raw.hex()


def remove_below(tree, p, keep=()):
    prefix = p.rstrip("/") + "/"
    for q in [q for q in tree if q.startswith(prefix) and q not in keep]:
        del tree[q]


def make_parents(tree, p, added):
    """A path whose directories no layer names gets them as 0755 root, as unpacking does."""
    parent = os.path.dirname(p)
    if parent == "/":
        return
    if parent not in tree:
        make_parents(tree, parent, added)
        tree[parent] = {"type": "dir", "mode": "755", "uid": 0, "gid": 0}
        added.add(parent)


def apply_layer(tree, data):
    """Apply one layer. Names of one file share one entry object until facts() takes them apart."""
    tf = tarfile.open(fileobj=io.BytesIO(data))  # noqa: SIM115
    added = set()
    for m in tf:
        p = norm(m.name)
        base = os.path.basename(p)
        parent = os.path.dirname(p)
        if base == ".wh..wh..opq":
            remove_below(tree, parent, added)
            continue
        if base.startswith(".wh."):
            victim = os.path.join(parent, base[4:])
            remove_below(tree, victim, added)
            if victim not in added:
                tree.pop(victim, None)
            continue
        kind = KINDS.get(m.type, "?" + repr(m.type))
        if kind == "hardlink":
            e = tree.get(norm(m.linkname))
            if e is None:
                raise BadImage(f"{p} is a hard link to {norm(m.linkname)}, which is not there")
        else:
            e = {"type": kind, "mode": format(m.mode & 0o7777, "o"), "uid": m.uid, "gid": m.gid}
            if kind == "file":
                e.update(content(tf.extractfile(m).read()))
            elif kind == "symlink":
                e["link"] = m.linkname
                e.pop("mode")
            elif kind in ("char", "block"):
                e["dev"] = f"{m.devmajor},{m.devminor}"
            x = {
                k[len("SCHILY.xattr.") :]: xattr(v)
                for k, v in sorted(m.pax_headers.items())
                if k.startswith("SCHILY.xattr.")
            }
            if x:
                e["xattrs"] = x
        make_parents(tree, p, added)
        if kind != "dir":
            remove_below(tree, p)
        tree[p] = e
        added.add(p)
    return tree


def facts(path, platform=None):
    layout = Layout(path)
    manifest, _ = pick_manifest(layout, platform)
    config = layout.json(manifest["config"])
    tree = {}
    diff_ids = []
    for d in manifest.get("layers") or []:
        data = decompress(layout.blob(d))
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        apply_layer(tree, data)
    if diff_ids != (config["rootfs"].get("diff_ids") or []):
        raise BadImage("config rootfs.diff_ids do not match the layers")
    history = config.get("history") or []
    full = [h for h in history if not h.get("empty_layer")]
    if history and len(full) != len(diff_ids):
        raise BadImage(f"history names {len(full)} layers, the image has {len(diff_ids)}")
    tree.pop("/", None)
    first, out = {}, {}
    for p in sorted(tree):
        out[p] = dict(tree[p])
        one = first.setdefault(id(tree[p]), p)
        if one != p:
            out[p]["same_as"] = one
    c = {k: v for k, v in (config.get("config") or {}).items() if v not in (None, "", [], {}, False)}
    c.pop("ArgsEscaped", None)  # deprecated, and says nothing on Linux
    if c.get("WorkingDir") == "/":
        del c["WorkingDir"]  # the default
    if "Env" in c:
        c["Env"] = sorted(c["Env"])  # its order has no meaning
    return {
        "os": config.get("os"),
        "architecture": config.get("architecture"),
        "variant": config.get("variant", ""),
        "author": config.get("author", ""),
        "config": c,
        "layers": len(diff_ids),
        "diff_ids": diff_ids,
        "history": len(history),
        "tree": out,
    }


def diff(a, b, ignore=()):
    out = []
    for k in ("os", "architecture", "variant", "author", "layers", "history"):
        if a.get(k) != b.get(k):
            out.append(f"{k}: {a.get(k)!r} != {b.get(k)!r}")
    for k in sorted(set(a["config"]) | set(b["config"])):
        if a["config"].get(k) != b["config"].get(k):
            out.append(f"config.{k}: {a['config'].get(k)!r} != {b['config'].get(k)!r}")
    for p in sorted(set(a["tree"]) | set(b["tree"])):
        if any(fnmatch.fnmatch(p, g) for g in ignore):
            continue
        x, y = a["tree"].get(p), b["tree"].get(p)
        if x is None:
            out.append(f"+ {p} {y}")
        elif y is None:
            out.append(f"- {p} {x}")
        elif x != y:
            keys = [k for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k)]
            out.append(f"~ {p} " + ", ".join(f"{k}: {x.get(k)!r} != {y.get(k)!r}" for k in keys))
    return out


def recorded(path):
    with open(path) as f:
        return json.load(f)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--diff", action="store_true")
    ap.add_argument("--platform")
    ap.add_argument("--ignore", action="append", default=[])
    ap.add_argument("paths", nargs="+")
    a = ap.parse_args()
    if a.diff:
        docs = []
        for p in a.paths:
            docs.append(recorded(p) if p.endswith(".json") else facts(p, a.platform))
        lines = diff(docs[0], docs[1], a.ignore)
        print("\n".join(lines) or "same")
        sys.exit(1 if lines else 0)
    json.dump(facts(a.paths[0], a.platform), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    try:
        main()
    except BadImage as e:
        sys.exit(f"bad image: {e}")
