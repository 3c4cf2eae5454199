"""Make the base image of the corpus: an OCI layout of a busybox root, with no builder.

    python -m tests.conformance.make_base LAYOUT_DIR [--busybox PROGRAM]

PROGRAM is a static busybox (Debian's busybox-static package; default: the one
in PATH). Its applets become hard links in /bin, as in the official image.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile

ARCH = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}
DIRS = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
]
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    "nobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n",
}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("layout")
    ap.add_argument("--busybox", default=shutil.which("busybox"))
    a = ap.parse_args()
    make(a.layout, a.busybox)


def make(folder, busybox=None):
    """Write the layout; `busybox` is the program, by default the one in PATH."""
    busybox = busybox or shutil.which("busybox")
    if not busybox:
        raise SystemExit("no busybox in PATH: install busybox-static or name one with --busybox")
    applets = subprocess.run(
        [busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.split()
    with open(busybox, "rb") as f:
        program = f.read()

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def put(name, kind, mode, data=b"", link=""):
            m = tarfile.TarInfo(name)
            m.type, m.mode, m.size, m.linkname, m.mtime = kind, mode, len(data), link, 1
            tar.addfile(m, io.BytesIO(data))

        for name, mode in DIRS:
            put(name, tarfile.DIRTYPE, mode)
        put("bin/busybox", tarfile.REGTYPE, 0o755, program)
        for name in sorted(set(applets) - {"busybox"}):
            put("bin/" + name, tarfile.LNKTYPE, 0o755, link="bin/busybox")
        put("usr/bin/env", tarfile.LNKTYPE, 0o755, link="bin/busybox")
        for name, text in FILES.items():
            put(name, tarfile.REGTYPE, 0o644, text.encode())
    layer = gzip.compress(raw.getvalue(), 6, mtime=0)

    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as f:
            f.write(data)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}

    def doc(value, kind):
        return blob(json.dumps(value, sort_keys=True).encode(), kind)

    arch = ARCH.get(platform.machine(), platform.machine())
    v1 = "application/vnd.oci.image."
    config = doc(
        {
            "architecture": arch,
            "os": "linux",
            "created": "1970-01-01T00:00:01Z",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["sh"],
            },
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()],
            },
            "history": [{"created": "1970-01-01T00:00:01Z", "created_by": "busybox root"}],
        },
        v1 + "config.v1+json",
    )
    manifest = doc(
        {
            "schemaVersion": 2,
            "mediaType": v1 + "manifest.v1+json",
            "config": config,
            "layers": [blob(layer, v1 + "layer.v1.tar+gzip")],
        },
        v1 + "manifest.v1+json",
    )
    manifest["platform"] = {"os": "linux", "architecture": arch}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    for name, value in (
        ("index.json", {"schemaVersion": 2, "mediaType": v1 + "index.v1+json", "manifests": [manifest]}),
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
    ):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f)


if __name__ == "__main__":
    main()
