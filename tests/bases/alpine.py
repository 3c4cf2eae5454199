"""busybox and the stand-in for Alpine: Debian's static busybox, and shell scripts as apk and adduser."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

from tests.bases.layout import EPOCH
from tests.bases.packages import SBIN_PATH
from tests.bases.process import run
from tests.bases.recipe import (
    CA_BUNDLE,
    accounts,
    busybox_tree,
    host_ca_bundle,
    plain_tree,
    recipe,
    symlink,
    write,
    zone_files,
)

FILES = pathlib.Path(__file__).parent / "alpine_files"


@recipe("busybox:latest", says="Debian's busybox-static")
def busybox(root, packages):
    plain_tree(root, "bin dev etc home lib proc root run sys usr/bin usr/sbin var/spool/mail var/www")
    busybox_tree(
        root,
        packages,
        lambda path: (
            (root / "bin" / path.name).hardlink_to(root / "bin/busybox")
            if not (root / "bin" / path.name).exists()
            else None
        ),
    )
    accounts(root, "/bin/sh")
    host_ca_bundle(root)
    return {"Env": [SBIN_PATH], "Cmd": ["sh"]}


@recipe("alpine:latest", "alpine:3.15", says="Debian's busybox-static and musl, and a shell script as apk")
def alpine(root, packages):
    plain_tree(
        root,
        "dev etc/apk home lib media mnt opt proc root run srv sys usr/bin usr/sbin usr/local/bin var/log",
    )
    busybox_tree(root, packages, lambda path: symlink(path, "/bin/busybox"))
    with tempfile.TemporaryDirectory(dir=packages.work) as musl:
        packages.extract_debs(musl, "musl")
        shutil.copy2(
            os.path.realpath(next(pathlib.Path(musl).rglob("libc.so"))), root / "lib/ld-musl-x86_64.so.1"
        )
    (root / "lib/ld-musl-x86_64.so.1").chmod(0o755)
    symlink(root / "lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
    accounts(root, "/bin/ash")
    write(
        root / "etc/os-release",
        """
        NAME="Alpine stand-in"
        ID=alpine
        VERSION_ID=3.15.0
        PRETTY_NAME="Stand-in for Alpine: Debian's busybox and musl"
    """,
    )
    write(root / "etc/alpine-release", "3.15.0\n")
    write(root / "etc/profile", f"export {SBIN_PATH}\n")
    host_ca_bundle(root)
    symlink(root / "etc/ssl/cert.pem", "certs/ca-certificates.crt")
    write(root / "sbin/apk", (FILES / "apk").read_text(), 0o755)
    for name in ("adduser", "addgroup"):
        write(root / "usr/sbin" / name, (FILES / "adduser").read_text(), 0o755)
    store = root / "usr/share/apk-stand-in"
    write(store / "provided", "alpine-baselayout\nbusybox\nca-certificates-bundle\nmusl\n")
    with tempfile.TemporaryDirectory(dir=packages.work) as folder:
        tree = pathlib.Path(folder, "ca-certificates")
        update_ca = (FILES / "update-ca-certificates").read_text()
        write(tree / "usr/sbin/update-ca-certificates", update_ca, 0o755)
        (tree / "usr/share/ca-certificates").mkdir(parents=True)
        shutil.copyfile(CA_BUNDLE, tree / "usr/share/ca-certificates/host-bundle.crt")
        (tree / "usr/local/share/ca-certificates").mkdir(parents=True)
        store_package(tree, store)
        tree = pathlib.Path(folder, "tzdata")
        zone_files(tree, packages)
        store_package(tree, store)
    return {"Env": [SBIN_PATH], "Cmd": ["/bin/sh"]}


def store_package(tree, store):
    run(
        "tar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        f"--mtime=@{EPOCH}",
        "-C",
        tree,
        "-cf",
        store / f"{tree.name}.tar",
        *sorted(p.name for p in tree.iterdir()),
    )
    run("gzip", "-n", store / f"{tree.name}.tar")
