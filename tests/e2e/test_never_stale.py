"""Whatever changes in what a build reads is seen, and what did not change in the image is not built again."""

from __future__ import annotations

import io
import mmap
import os
import shutil
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import imagetree
from tests.conftest import Done, Jettison

Tree = dict[str, dict[str, Any]]
OLD = 1_600_000_000
SETTLED = 2.1
"""Seconds after which the content of a file is remembered."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

EVERY_WAY = """\
FROM busybox AS s
COPY d /s
FROM busybox
COPY d /copied
COPY --from=other d /named
COPY --from=s /s /staged
COPY --link d /linked
ADD d.tar /unpacked/
RUN --mount=source=d,target=/m tar -cC /m . | tar -xC /tmp && mkdir /bound && cp -a /tmp/. /bound && \\
    tar -cC /m -f /bound.tar .
RUN --mount=from=s,source=/s,target=/m tar -cC /m -f /bound-stage.tar .
"""
PLACES = ("copied", "named", "staged", "linked", "unpacked")


def add_all(folder: Path, archive: Path) -> None:
    """Everything of a folder in an archive that tells nothing but kinds, modes, links and content."""
    with tarfile.open(archive, "w") as tar:
        names: dict[int, str] = {}
        for path in sorted(folder.rglob("*")):
            member = tar.gettarinfo(path, str(path.relative_to(folder)))
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.isreg() or member.islnk():
                first = names.setdefault(path.stat().st_ino, member.name)
                linked = first != member.name
                member.type, member.linkname = (tarfile.LNKTYPE, first) if linked else (tarfile.REGTYPE, "")
                member.size = 0 if linked else path.stat().st_size
                tar.addfile(member, None if linked else io.BytesIO(path.read_bytes()))
            else:
                tar.addfile(member)
    os.utime(archive, (OLD, OLD))


def facts(folder: Path) -> Tree:
    """What an image should hold of a folder, as `imagetree.facts` tells it, with paths below the folder."""
    out: Tree = {}
    first: dict[int, str] = {}
    for path in sorted(folder.rglob("*")):
        name, at = f"/{path.relative_to(folder)}", path.lstat()
        entry: dict[str, Any] = {"mode": f"{stat.S_IMODE(at.st_mode):o}", "uid": 0, "gid": 0}
        if path.is_symlink():
            entry = {"type": "symlink", "uid": 0, "gid": 0, "link": os.readlink(path)}
        elif path.is_dir():
            entry["type"] = "dir"
        else:
            entry |= {"type": "file", **imagetree.content(path.read_bytes())}
            one = first.setdefault(at.st_ino, name)
            if one != name:
                entry["same_as"] = one
        out[name] = entry
    return out


def below(tree: Tree, place: str) -> Tree:
    """The part of an image below a folder, with paths as in `facts`."""
    prefix = f"/{place}"
    found = {path.removeprefix(prefix): dict(e) for path, e in tree.items() if path.startswith(f"{prefix}/")}
    for entry in found.values():
        if "same_as" in entry:
            entry["same_as"] = entry["same_as"].removeprefix(prefix)
    return found


def listed(tree_of_archive: Path, name: str) -> Tree:
    """The archive that a step made of a mount, which is a file of the image."""
    layout = imagetree.Layout(str(tree_of_archive))
    manifest, _ = imagetree.pick_manifest(layout)
    for layer in reversed(manifest["layers"]):
        with tarfile.open(fileobj=io.BytesIO(imagetree.decompress(layout.blob(layer)))) as tar:
            if name in tar.getnames() and (file := tar.extractfile(name)):
                tree: Tree = imagetree.apply_layer({}, file.read())
                tree.pop("/", None)
                return tree
    raise AssertionError(f"no {name}")


def age(folder: Path) -> None:
    """Set all times back, as deep as they go: what changed has the time it had before."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


def settle() -> None:
    """Let the files be old enough to be remembered: nobody can set the time of their change."""
    time.sleep(SETTLED)


class Project:
    """A context with the folder d, which is also a named context and an archive."""

    def __init__(self, jettison: Jettison, folder: Path, dockerfile: str = EVERY_WAY) -> None:
        self.jettison = jettison
        self.context = folder / "context"
        self.d = self.context / "d"
        self.other = folder / "other"
        self.out = folder / "out.tar"
        (self.d / "sub/deep").mkdir(parents=True)
        for name, text in {"a": "aaa", "b": "bbb", "sub/c": "ccc", "sub/deep/e": "eee"}.items():
            (self.d / name).write_text(text)
        (self.d / "link").symlink_to("a")
        (self.context / "Dockerfile").write_text(dockerfile)

    def build(self, *words: object) -> Done:
        """A build of what is there now, all with the same old time."""
        age(self.d)
        shutil.rmtree(self.other, ignore_errors=True)
        # In place of what was there: the same names, and as good as always the same inodes.
        self.other.mkdir()
        subprocess.run(["cp", "-a", self.d, self.other], check=True)
        add_all(self.d, self.context / "d.tar")
        return self.jettison.ok(
            *("build", "--progress", "jsonl", "--build-context", f"other={self.other}"),
            *("-o", f"type=oci,dest={self.out}", *words, self.context),
        )

    def tree(self) -> Tree:
        found = imagetree.facts(str(self.out))["tree"]
        assert isinstance(found, dict)
        return found

    def assert_seen(self, what: str) -> None:
        """The image has what the folder has, in every way that it came there."""
        self.build()
        want, tree = facts(self.d), self.tree()
        for place in PLACES:
            assert below(tree, place) == want, f"{what}, {place}"
        unlinked = {path: {k: v for k, v in e.items() if k != "same_as"} for path, e in want.items()}
        for name in ("bound.tar", "bound-stage.tar"):
            bound = listed(self.out, name)
            assert {path: bound[path] for path in unlinked} == unlinked, f"{what}, {name}"


def swap(one: Path, two: Path) -> None:
    one.rename(one.with_name("between"))
    two.rename(one)
    one.with_name("between").rename(two)


def become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("sub")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "in").write_text("in")


def become_file(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    path.write_text("aaa")


def hard_link(path: Path, to: Path) -> None:
    path.unlink()
    os.link(to, path)


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("nothing", lambda d: None),
    ("content", lambda d: (d / "sub/c").write_text("CCC")),
    ("content back", lambda d: (d / "sub/c").write_text("ccc")),
    ("content again", lambda d: (d / "sub/c").write_text("CCC")),
    ("two files swapped", lambda d: swap(d / "a", d / "b")),
    ("mode of a file", lambda d: (d / "a").chmod(0o600)),
    ("setuid", lambda d: (d / "a").chmod(0o4755)),
    ("mode of a folder", lambda d: (d / "sub/deep").chmod(0o700)),
    ("sticky folder", lambda d: (d / "sub/deep").chmod(0o1777)),
    ("target of a symlink", lambda d: relink(d / "link", "b")),
    ("file to symlink", lambda d: become_link(d / "a")),
    ("symlink to folder", lambda d: become_folder(d / "a")),
    ("folder to file", lambda d: become_file(d / "a")),
    ("equal files", lambda d: (d / "b").write_text("aaa")),
    ("the same file twice", lambda d: hard_link(d / "b", d / "a")),
    ("equal files again", lambda d: ((d / "b").unlink(), (d / "b").write_text("aaa"))),
    ("an empty folder", lambda d: (d / "empty").mkdir()),
    ("renamed", lambda d: (d / "empty").rename(d / "blank")),
]


def test_every_change_is_seen_in_every_way(jettison: Jettison, tmp_path: Path) -> None:
    """With the size and the time that were there before, and by a build that remembers what was there."""
    project = Project(jettison, tmp_path)
    age(project.d)
    settle()
    for what, change in CHANGES:
        change(project.d)
        project.assert_seen(what)


def test_owners_and_attributes_of_a_context_say_nothing(jettison: Jettison, tmp_path: Path) -> None:
    """Its files belong to root, and have no extended attributes, as BuildKit's have not."""
    project = Project(jettison, tmp_path)
    project.build()
    before = project.out.read_bytes()
    os.chown(project.d / "a", 5, 6)
    os.chown(project.d / "sub", 7, 8)
    try:
        os.setxattr(project.d / "b", "user.note", b"x")
        os.setxattr(project.d / "sub", "trusted.note", b"x")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    done = project.build()
    assert all(step["cached"] for step in done.events("StepFinished"))
    assert project.out.read_bytes() == before


@pytest.mark.parametrize("word", ["COPY", "ADD", "COPY --link", "COPY --from=other", "COPY --parents"])
def test_a_mode_that_chmod_covers_is_no_change(jettison: Jettison, tmp_path: Path, word: str) -> None:
    """Another umask where the files were checked out. What --chmod=+x leaves of a mode is seen."""
    project = Project(jettison, tmp_path, f"FROM busybox\n{word} --chmod=755 d /d\n")
    image = ""
    for mode in (0o644, 0o664, 0o600):
        (project.d / "a").chmod(mode)
        (project.d / "sub").chmod(mode | 0o700)
        done = project.build()
        ran = [step["name"] for step in done.events("StepFinished") if not step["cached"]]
        assert (ran == []) == bool(image), ran
        image = image or done.events("Exported")[0]["digest"]
        assert done.events("Exported")[0]["digest"] == image
    (project.context / "Dockerfile").write_text(f"FROM busybox\n{word} --chmod=+x d /d\n")
    seen = set()
    for mode in (0o644, 0o600):
        (project.d / "a").chmod(mode)
        project.build()
        seen.add(next(e["mode"] for path, e in project.tree().items() if path.endswith("/a")))
    assert seen == {"755", "711"}


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_file_that_is_written_by_mapping_it(jettison: Jettison, tmp_path: Path, place: str) -> None:
    """The kernel sets a new time with the first write to a page, until that is on the disk; or never."""
    project = Project(jettison, tmp_path, "FROM scratch\nCOPY d/map /\n")
    if place == "memory":
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", project.d], check=True)
    try:
        file = project.d / "map"
        file.write_text("one")
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 3) as memory:
            memory[:] = b"two"
            settle()
            for text in (b"two", b"six", b"ten"):
                memory[:] = text
                jettison.ok("build", "-q", "-o", f"type=oci,dest={project.out}", project.context)
                assert project.tree()["/map"]["text"] == text.decode()
    finally:
        if place == "memory":
            subprocess.run(["umount", "--lazy", project.d], check=True)


def test_times_in_the_future(jettison: Jettison, tmp_path: Path) -> None:
    project = Project(jettison, tmp_path, "FROM scratch\nCOPY d /d\n")
    future = time.time_ns() + 10**18
    for text in ("one", "two", "one"):
        (project.d / "a").write_text(text)
        os.utime(project.d / "a", ns=(future, future))
        if text == "two":
            settle()
        jettison.ok("build", "-q", "-o", f"type=oci,dest={project.out}", project.context)
        assert project.tree()["/d/a"]["text"] == text


def test_a_file_that_is_replaced_while_the_build_runs(jettison: Jettison, tmp_path: Path) -> None:
    """Between the time it was looked at and its step: nothing is kept under the name of what it was."""
    text = (
        "FROM busybox\nRUN --mount=type=cache,id=gate,target=/g touch /g/begun;"
        " while [ ! -e /g/open ]; do :; done\nCOPY d/a d/b /\nRUN cat /a /b >/all\n"
    )
    project = Project(jettison, tmp_path, text)
    age(project.d)
    words = ("build", "-q", "-o", f"type=oci,dest={project.out}", project.context)
    process = jettison.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (begun := list(jettison.root.glob("cache-mounts/*/begun"))):
        assert time.monotonic() < deadline
    (project.d / "a").write_text("AAA")
    (project.d / "new").write_text("BBB")
    os.utime(project.d / "new", (OLD, OLD))
    (project.d / "new").rename(project.d / "b")
    age(project.d)
    begun[0].with_name("open").touch()
    assert process.wait(30) == 0
    for a, b in (("aaa", "bbb"), ("AAA", "BBB"), ("aaa", "BBB"), ("aaa", "bbb")):
        (project.d / "a").write_text(a)
        (project.d / "b").write_text(b)
        age(project.d)
        jettison.ok(*words)
        assert project.tree()["/all"]["text"] == a + b
