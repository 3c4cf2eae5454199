"""Whose the files of an image are, where the user who builds it has one id, or no namespace at all."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.situations import NOTHING, ROOT, STRANGER, TOOLS, USER, Machine, Situation
from tests.layouts import MadeImage, busybox_layer, layout_of, member, tar_of

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="making a machine for another user needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed"),
]

OWNED: dict[str, bytes | tarfile.TarInfo] = {
    "o": member(tarfile.DIRTYPE, 0o555, uid=11, gid=12),
    "o/shut": member(tarfile.REGTYPE, 0o000, uid=13, gid=14),
    "o/own": member(tarfile.REGTYPE, 0o4755, uid=1000, gid=1000),
    "o/link": member(tarfile.SYMTYPE, 0o777, "shut", uid=15, gid=16),
    "o/more": member(tarfile.LNKTYPE, 0o000, "o/shut", uid=13, gid=14),
    "o/pipe": member(tarfile.FIFOTYPE, 0o600, uid=17, gid=18),
    "o/null": member(tarfile.CHRTYPE, 0o666, uid=0, gid=5, devmajor=1, devminor=3),
    "o/disk": member(tarfile.BLKTYPE, 0o660, uid=0, gid=6, devmajor=8, devminor=1),
    "o/cap": member(tarfile.REGTYPE, 0o755, pax_headers={
        "SCHILY.xattr.security.capability": bytes.fromhex("0100000200040000000000000000000000000000").decode()
    }),
}  # fmt: skip

COPIES = """
FROM base AS first
COPY --chown=33:44 file /a/
ADD owned.tar /added
USER 1000:1001
WORKDIR /w/deep
FROM base
COPY --from=first / /all
COPY --from=base /o /again
COPY --from=first --chown=7 /added/o /mine
ADD --chown=8:9 owned.tar /given
USER nobody
WORKDIR /home/of/nobody
"""

STEPS = """
FROM base
COPY --chown=33:44 file /a/moved
RUN mv /a/moved /a/here; echo more >> /o/shut; chmod 700 /o; ln -sfn other /o/link; \
    mkdir -p /n/e/w; echo x > /n/f; mkfifo /n/p; ln -s f /n/l; ln /n/f /n/g; rm /o/pipe
USER nobody
WORKDIR /home/x
RUN echo y > /home/x/new; ln -s new link; mkfifo pipe; mkdir dir
RUN --mount=type=cache,id=c,uid=1000,gid=1000,target=/c --mount=type=secret,id=s,uid=65534 \
    cat /run/secrets/s > /home/x/secret; test -d /c
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-owners-") as place:
        yield Machine(Path(place))


@pytest.fixture(scope="module")
def project(machine: Machine) -> Path:
    """A build context, with the base image beside it."""
    folder = machine.place / "project"
    folder.mkdir()
    (folder / "file").write_text("text")
    (folder / "secret").write_text("hush")
    (folder / "owned.tar").write_bytes(tar_of(OWNED))
    users = tar_of({"etc/passwd": b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"})
    layout_of(machine.place / "base", MadeImage([busybox_layer(), users, tar_of(OWNED)]))
    return folder


def built(machine: Machine, situation: Situation, project: Path, text: str) -> list[tarfile.TarFile]:
    """The layers of the image that a Dockerfile makes."""
    (project / "Dockerfile").write_text(text)
    dest = machine.home(situation) / "image"
    shutil.rmtree(dest, ignore_errors=True)
    done = machine.jettison(
        situation, "build", project, "--build-context", f"base=oci-layout://{machine.place}/base",
        "--secret", f"id=s,src={project}/secret", "--output", f"type=oci,tar=false,dest={dest}",
    )  # fmt: skip
    assert done.code == 0, done.text

    def blob(digest: str) -> Path:
        return dest / "blobs" / digest.replace(":", "/", 1)

    index = json.loads((dest / "index.json").read_text())
    manifest: dict[str, Any] = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    return [tarfile.open(blob(layer["digest"])) for layer in manifest["layers"]]


def entries(layer: tarfile.TarFile, times: bool) -> list[tuple[object, ...]]:
    """All that is in a layer; the times are those of the build where a step made it."""
    with layer:
        return [
            (
                at.name, at.type, at.mode, at.uid, at.gid, at.linkname, at.devmajor, at.devminor,
                at.pax_headers,
                content.read() if at.isreg() and (content := layer.extractfile(at)) else b"",
                at.mtime if times else 0,
            )
            for at in layer
        ]  # fmt: skip


@pytest.fixture(scope="module")
def of_root(machine: Machine, project: Path) -> dict[str, list[list[tuple[object, ...]]]]:
    """What is in the layers that root builds."""
    return {
        text: [entries(layer, text == COPIES) for layer in built(machine, ROOT, project, text)]
        for text in (COPIES, STEPS)
    }


@pytest.mark.parametrize("situation", [USER, NOTHING], ids=str)
def test_copies_are_those_of_root(
    machine: Machine, project: Path, situation: Situation, of_root: dict[str, list[list[tuple[object, ...]]]]
) -> None:
    layers = [entries(layer, True) for layer in built(machine, situation, project, COPIES)]
    assert layers == of_root[COPIES]
    assert len(layers) == 8
    assert {entry[3] for layer in layers for entry in layer} == {0, 7, 8, 11, 13, 15, 17, 33, 1000, 65534}


def test_steps_are_those_of_root(
    machine: Machine, project: Path, of_root: dict[str, list[list[tuple[object, ...]]]]
) -> None:
    assert [entries(layer, False) for layer in built(machine, USER, project, STEPS)] == of_root[STEPS]


def test_files_of_others_in_the_store_stay(machine: Machine, project: Path) -> None:
    """A store that was used with many ids and is used with one then."""
    store = machine.place / "shared"
    layers = store / "layers"
    (project / "Dockerfile").write_text(
        "FROM base\nRUN --mount=type=cache,target=/c mkdir -p /d/e /c/e; touch /d/e/f /c/e/f\n"
        "FROM base\nCOPY --from=0 /d /d\n"
    )
    build = ["build", project, "--root", store, "--build-context", f"base=oci-layout://{machine.place}/base"]
    assert machine.jettison(ROOT, *build).code == 0
    (store / "tmp/dead/step/upper/d").mkdir(parents=True)
    (store / "tmp/dead").chmod(0o700)
    (store / "tmp/dead/step/upper/d/f").touch()
    ours = [store, *store.glob("*"), *store.glob("*/*"), *store.glob("blobs/*/*"), *layers.glob("*/*")]
    for path in ours:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    foreign = sorted(layers.glob("*/tree"))
    assert len(foreign) > 1

    def said(*words: object) -> str:
        done = machine.jettison(USER, *words)
        assert done.code == 0, done.text
        return done.text

    def ran(progress: str) -> int:
        return sum(json.loads(line)["type"] == "step-finished" for line in progress.splitlines())

    assert "7 run" not in said(*build)
    assert "0 run" in said(*build)
    left_out = f"{len(foreign)} unpacked layers were left out"
    assert left_out in said("check-store", "--root", store)
    said("prune", "--root", store, "--all")
    said("prune", "--root", store, "--all")
    assert sorted(layers.glob("*/*")) == foreign
    assert (store / "tmp/dead/step/upper/d/f").exists()
    said(*build)
    # Who may touch them clears them away.
    for path in ours:
        if path.exists():
            os.chown(path, 0, 0)
    assert machine.jettison(ROOT, "prune", "--root", store, "--all").code == 0
    assert sorted(layers.glob("*/*")) == []
    assert os.listdir(store / "tmp") == []


def test_a_folder_that_can_have_no_owners_says_so(machine: Machine, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM base\n")
    out = machine.home(USER) / "files"
    done = machine.jettison(
        USER, "build", project, "--build-context", f"base=oci-layout://{machine.place}/base",
        "--output", f"type=local,dest={out},owners=true",
    )  # fmt: skip
    assert done.code == 0, done.text
    assert "this user can give none away" in done.text
    assert "lacks what this user cannot make: /o/disk, /o/null" in done.text
    found = (out / "o/own").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (STRANGER, 0o755)
