"""What a recipe is, and the files that recipes of several families put into a root."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from tests.bases.process import run

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
LIB = "x86_64-linux-gnu"


@dataclass(frozen=True)
class Recipe:
    """One image. `make(root, packages)` fills root and returns the changes to the parent's config."""

    names: tuple[str, ...]
    """The first is the image, the others are further tags or names of the same content."""
    parent: str | None
    """The image it builds on; None is from scratch."""
    says: str
    """What is inside, for the label."""
    make: Callable


RECIPES: list[Recipe] = []


def recipe(*names, parent=None, says):
    return lambda make: RECIPES.append(Recipe(names, parent, says, make)) or make


def load_recipes():
    """Fill RECIPES: each family's module adds its own when it is imported."""
    from tests.bases import alpine, debian, distroless, languages  # noqa: F401


def host_ca_bundle(root):
    bundle = root / CA_BUNDLE[1:]
    bundle.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CA_BUNDLE, bundle)
    bundle.chmod(0o644)


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    path.chmod(mode)


def symlink(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def plain_tree(root, dirs):
    for name in dirs.split():
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)


ACCOUNTS = {
    "root": (0, "/root"),
    "daemon": (1, "/usr/sbin"),
    "bin": (2, "/bin"),
    "sys": (3, "/dev"),
    "mail": (8, "/var/mail"),
    "www-data": (33, "/var/www"),
    "nobody": (65534, "/nonexistent"),
}


def accounts(root, shell, more=()):
    everyone = {**ACCOUNTS, **dict(more)}
    write(
        root / "etc/passwd",
        "".join(
            f"{n}:x:{i}:{i}:{n}:{home}:{shell if n == 'root' else '/bin/false'}\n"
            for n, (i, home) in everyone.items()
        ),
    )
    write(root / "etc/group", "".join(f"{n}:x:{i}:\n" for n, (i, _) in everyone.items()))
    write(root / "etc/shadow", "".join(f"{n}:*:10000:0:99999:7:::\n" for n in everyone), 0o640)
    write(root / "etc/nsswitch.conf", "hosts: files dns\n")


def busybox_tree(root, packages, link):
    """busybox-static at /bin/busybox, with link(applet path) for each of its applets."""
    with tempfile.TemporaryDirectory(dir=packages.work) as unpacked:
        packages.extract_debs(unpacked, "busybox-static")
        (root / "bin").mkdir(exist_ok=True)
        shutil.copy2(
            next(p for p in (f"{unpacked}/bin/busybox", f"{unpacked}/usr/bin/busybox") if os.path.exists(p)),
            root / "bin/busybox",
        )
    for applet in run(root / "bin/busybox", "--list-full").split():
        if applet != "bin/busybox":
            link(root / applet)


def zone_files(root, packages):
    with tempfile.TemporaryDirectory(dir=packages.work) as unpacked:
        packages.extract_debs(unpacked, "tzdata")
        zones = pathlib.Path(unpacked, "usr/share/zoneinfo")
        for extra in ("right", "posix"):
            shutil.rmtree(zones / extra, ignore_errors=True)
        shutil.copytree(zones, root / "usr/share/zoneinfo", symlinks=True)


def drop_docs(root):
    for name in ("doc", "man", "lintian", "bug", "locale", "doc-base", "gdb"):
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
