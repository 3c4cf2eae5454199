"""What the machine's own package clients (apt, npm, pip) give, and programs run inside a root."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

from tests.bases.process import run, say

SBIN_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Packages:
    """What the package clients download, once per run."""

    def __init__(self, work):
        self.work, self.lock, self.have = work, threading.RLock(), {}
        self.apt_lists = work / "apt-lists"

    def host_apt(self, *names):
        """Install Debian packages on the host, or with no names make sure that it knows what there is."""
        with self.lock:
            if names or not run("apt-cache", "madison", "busybox-static"):
                run("apt-get", "-q", "update")
            if names:
                say("installing " + " ".join(names))
                run(
                    "apt-get",
                    "-qy",
                    "install",
                    "--no-install-recommends",
                    *names,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )

    def need(self, program):
        """Have a program on the host, from the Debian package of the same name if need be."""
        with self.lock:
            if not shutil.which(program):
                self.host_apt(program)

    def once(self, key, make):
        with self.lock:
            if key not in self.have:
                folder = self.work / re.sub(r"[^a-z0-9.]+", "-", "-".join(key))
                folder.mkdir()
                make(folder)
                self.have[key] = folder
            return self.have[key]

    def debs(self, *names):
        """Download Debian packages on the host; return the folder they lie in."""

        def make(folder):
            self.host_apt()
            shutil.chown(folder, "_apt")
            run("apt-get", "-q", "download", *names, cwd=folder)

        return self.once(("deb", *names), make)

    def known(self, *alternatives):
        """The first of several packages that the host's release has."""
        self.host_apt()
        for name in alternatives:
            if run("apt-cache", "madison", name):
                return name
        raise SystemExit(f"bases: this release has none of {', '.join(alternatives)}")

    def extract_debs(self, root, *names):
        """Put the files of Debian packages into root, without their maintainer scripts."""
        for deb in sorted(self.debs(*names).glob("*.deb")):
            run("dpkg-deb", "-x", deb, root)

    def npm(self, spec):
        """Download and unpack a package from the npm registry; return its folder."""

        def make(folder):
            self.need("npm")
            run("npm", "pack", "--silent", spec, cwd=folder)
            run("tar", "-xzf", next(folder.glob("*.tgz")), "--no-same-owner", cwd=folder)

        return self.once(("npm", spec), make) / "package"

    def pip(self, *specs):
        """Download wheels from PyPI; return the folder they lie in."""

        def make(folder):
            pips = [[python, "-m", "pip"] for python in ("/usr/bin/python3", sys.executable)]
            pip = next(
                (p for p in pips if not subprocess.run([*p, "--version"], capture_output=True).returncode),
                None,
            )
            if not pip:
                self.host_apt("python3-pip")
            run(
                *(pip or pips[-1]), "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, *specs
            )

        return self.once(("pip", *specs), make)


def host_suite():
    """The suite of the host's own Debian or Ubuntu: bookworm, noble ..."""
    text = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=\W?(\w+)", text, re.M)
    if not found or not shutil.which("apt-get"):
        raise SystemExit("bases: stand-in images can be made on Debian and Ubuntu only")
    return found.group(1)


def host_sources(suite, work):
    """The host's own apt sources for a suite, as files to hand to mmdebstrap."""
    found = []
    for path in sorted(pathlib.Path("/etc/apt").glob("sources.list")) + sorted(
        pathlib.Path("/etc/apt/sources.list.d").iterdir()
    ):
        text = path.read_text()
        if path.suffix == ".sources":
            kept = [
                s
                for s in re.split(r"\n\s*\n", text)
                if re.search(rf"^Suites:.*\b{suite}\b", s, re.M)
                and re.search(r"^Components:.*\bmain\b", s, re.M)
            ]
            text = "\n\n".join(kept)
        else:
            text = "".join(
                line
                for line in text.splitlines(True)
                if re.match(
                    rf"deb\s+(\[.*\]\s+)?\S+\s+{suite}(-updates|-security)?\s+(main|universe)\b", line
                )
            )
        if text.strip():
            copy = work / path.name
            copy.write_text(text.rstrip() + "\n")
            found.append(copy)
    if not found:
        raise SystemExit(f"bases: the host's apt sources name no {suite} main")
    return found


def in_root(root, packages, script):
    """Run a shell script inside root with /proc, /dev, name service and the shared apt lists."""
    outer = """
        mount --make-rprivate /
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        mount --bind "$2" "$1/var/lib/apt/lists"
        cp /etc/resolv.conf "$1/etc/resolv.conf"
        trap 'rm -f "$1/etc/resolv.conf"' EXIT
        chroot "$1" /bin/sh -ec "$3"
    """
    packages.apt_lists.mkdir(exist_ok=True)
    return run(
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "sh",
        "-ec",
        outer,
        "sh",
        root,
        packages.apt_lists,
        script,
        env={"PATH": SBIN_PATH[5:], "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )


def apt_install(root, packages, *names):
    with packages.lock:
        if not packages.apt_lists.exists():
            in_root(root, packages, "apt-get -q update")
    in_root(root, packages, "apt-get -qy install --no-install-recommends " + " ".join(names))
    tidy_debian(root)


def tidy_debian(root):
    """Remove what a package run leaves behind and an image has no use for."""
    for pattern in (
        "etc/hostname",
        "etc/resolv.conf",
        "var/cache/apt/*.bin",
        "var/cache/apt/archives/*.deb",
        "var/cache/apt/archives/lock",
        "var/cache/ldconfig/*",
        "var/cache/debconf/*-old",
        "var/lib/apt/lists/*",
        "var/lib/dpkg/*-old",
        "var/log/*.log",
        "var/log/apt/*",
    ):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
