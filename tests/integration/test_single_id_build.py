"""A build with a single id: package managers work, and files belong in the image to whom they were given."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.integration.situations import TOOLS, USER, Machine

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming an ordinary user needs root"),
    pytest.mark.skipif(
        not all(map(shutil.which, (*TOOLS, "dpkg-deb"))), reason=f"needs dpkg-deb, {', '.join(TOOLS)}"
    ),
]

BASE = "node:18-slim"
"""A stand-in that the examples build on too, with Debian's own apt and dpkg."""

CONTROL = """Package: jettison-tester
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@localhost>
Description: gives files away when it is installed
"""

POSTINST = """#!/bin/sh
set -e
chown daemon:daemon /srv/tester/owned
chgrp tty /srv/tester/owned
chown -R 7:8 /srv/tester/all
rm -f /srv/tester/device
mknod -m 640 /srv/tester/device c 1 3
"""

DOCKERFILE = """FROM base
COPY repository /repository
RUN echo 'deb [trusted=yes] file:/repository ./' > /etc/apt/sources.list && rm -rf /etc/apt/sources.list.d \\
    && apt-get update && apt-get install -y jettison-tester
RUN dpkg -r jettison-tester && dpkg -i /repository/tester.deb
RUN sed -i s/o/O/ /srv/tester/owned && useradd -m -u 1234 tester \\
    && chgrp shadow /etc/gshadow- && useradd other && su tester -c 'id -un' > /srv/who
COPY --chown=tester:9 repository/Packages /srv/copied
USER tester
RUN echo "$(id -u) $(id -g) $HOME" > ~/me
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-single-build-") as place:
        yield Machine(Path(place))


def make_repository(folder: Path) -> None:
    """A folder that apt takes packages from, with one package."""
    package = folder.parent / "package"
    for name in ("DEBIAN", "srv/tester/all"):
        (package / name).mkdir(parents=True)
    (package / "DEBIAN/control").write_text(CONTROL)
    (package / "DEBIAN/postinst").write_text(POSTINST)
    (package / "DEBIAN/postinst").chmod(0o755)
    for name in ("owned", "all/f"):
        (package / "srv/tester" / name).write_text(name)
    folder.mkdir()
    command = ["dpkg-deb", "--root-owner-group", "--build", package, folder / "tester.deb"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    data = (folder / "tester.deb").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    (folder / "Packages").write_text(
        f"{CONTROL}Filename: ./tester.deb\nSize: {len(data)}\nSHA256: {digest}\n"
    )


def test_packages_and_owners(machine: Machine) -> None:
    layout, tag = bases.layout_of(BASE, bases.ensure(BASE))
    shutil.copytree(layout, machine.place / "base")
    context = machine.home(USER) / "context"
    context.mkdir()
    make_repository(context / "repository")
    (context / "Dockerfile").write_text(DOCKERFILE)
    subprocess.run(["chmod", "-R", "a+rX", machine.place / "base", context], check=True)
    out = machine.home(USER) / "out.tar"
    base = f"base=oci-layout://{machine.place}/base:{tag}"
    done = machine.jettison(
        USER, "build", "--build-context", base, "--output", f"type=tar,dest={out}", context, timeout=200
    )
    assert done.code == 0, done.text
    with tarfile.open(out) as tar:
        members = {member.name: member for member in tar}
        owners = {name: (member.uid, member.gid) for name, member in members.items()}
        assert owners["srv/tester/owned"] == (1, 5)
        assert owners["srv/tester/all"] == owners["srv/tester/all/f"] == (7, 8)
        assert owners["srv/copied"] == (1234, 9)
        assert owners["home/tester"] == owners["home/tester/me"] == (1234, 1234)
        assert owners["usr/bin/apt"] == (0, 0)
        # useradd writes these anew, for the group that they had: one by another name, one where it is.
        assert owners["etc/gshadow"] == owners["etc/gshadow-"] == (0, 42)
        device = members["srv/tester/device"]
        assert (device.ischr(), device.devmajor, device.devminor, device.mode) == (True, 1, 3, 0o640)
        me = tar.extractfile("home/tester/me")
        assert me is not None and me.read() == b"1234 1234 /home/tester\n"
        # apt's settings were those of the step, and are gone with it.
        assert "dev/apt.conf" not in members
