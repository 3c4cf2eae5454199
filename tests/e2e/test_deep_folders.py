"""Folders in folders: as deeply as a path is long all works, and what is deeper is refused with one line."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.store.temporary import remove_tree
from tests.conftest import Jettison

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

DEEP = "/".join(["a"] * 1050)
"""More levels than Python has calls in each other, and a path that is not too long for the store's own."""

DOCKERFILE = """\
FROM busybox AS one
COPY . /x
RUN chmod 700 /x && mkdir -p /y/{deep} && echo hi > /y/{deep}/f
FROM scratch AS two
COPY --from=one --exclude=*.none /y /y
COPY --parents ./**/f /z/
COPY --from=one --parents /y/**/f /w/
ADD deep.tar /t/
"""


def test_everything_walks_deep_folders(
    jettison: Jettison, project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project({"f": "1"}, DOCKERFILE.format(deep=DEEP))
    with tarfile.open(folder / "deep.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder / "f", f"{DEEP}/g")
    subprocess.run(["mkdir", "-p", f"{folder}/{DEEP}"], check=True)
    with open(f"{folder}/{DEEP}/f", "w") as file:
        file.write("2")
    jettison.ok("build", "--target", "two", "-t", "deep", "-o", f"type=tar,dest={tmp_path}/two.tar", folder)
    with tarfile.open(tmp_path / "two.tar") as tar:
        files = [member.name for member in tar if member.isfile()]
    assert sorted(files) == sorted([f"t/{DEEP}/g", f"w/y/{DEEP}/f", f"y/{DEEP}/f", "z/f", f"z/{DEEP}/f"])
    jettison.ok("build", "--target", "one", "-t", "one", folder)
    for words in (("check-store",), ("size", "one"), ("prune", "-af")):
        jettison.ok(*words)
    remove_tree(str(folder))


def test_what_is_deeper_than_a_path_is_refused(jettison: Jettison, project: Callable[..., Path]) -> None:
    loop = "mkdir /d; cd /d; i=0; while [ $i -lt 2100 ]; do mkdir a; cd a; i=$((i+1)); done"
    folder = project({"f": "1"}, f"FROM busybox AS one\nRUN {loop}\nFROM scratch AS two\nCOPY . /x\n")
    child = os.fork()
    if not child:
        try:
            os.chdir(folder)
            for _ in range(2100):
                os.mkdir("a")
                os.chdir("a")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (folder / "three").write_text("FROM scratch\nCOPY --exclude=x . /x\n")
    for words in (("--target", "one"), ("--target", "two"), ("-f", str(folder / "three"))):
        done = jettison("build", "--progress", "plain", *words, folder)
        assert done.code == 1 and "File name too long" in done.err and "nternal" not in done.err, done.err[
            -999:
        ]
        assert "hint: folders nested deeper than a path may be long" in done.err
        assert max(map(len, done.err.splitlines())) < 1000
    remove_tree(str(folder))
