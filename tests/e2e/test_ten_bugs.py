"""The bugs that builders had and users suffered from, end to end: caching, layers, links and attributes.

The rest of the list is in test_ten_bugs_paths.py.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import imagetree
from tests.conftest import Jettison

Project = Callable[..., Path]
Tree = dict[str, dict[str, Any]]
OLD = 1_600_000_000


class Builder:
    """Builds a context with a store that stays, and gives what is in the image."""

    def __init__(self, jettison: Jettison, project: Project, folder: Path) -> None:
        self.jettison = jettison
        self.project = project
        self.archive = folder / "image.tar"

    def __call__(self, dockerfile: str = "", *words: object, **files: str | bytes) -> Tree:
        """The file tree of the image; `files` are written into the context first, __ standing for /."""
        named = {name.replace("__", "/"): text for name, text in files.items()}
        folder = self.project(named, dockerfile or None)
        self.jettison.ok("build", "-o", f"type=oci,dest={self.archive}", *words, folder)
        tree = imagetree.facts(str(self.archive))["tree"]
        assert isinstance(tree, dict)
        return tree

    @property
    def context(self) -> Path:
        return self.project()

    def layers(self) -> list[tarfile.TarFile]:
        """The layers of the last image, lowest first."""
        layout = imagetree.Layout(str(self.archive))
        manifest, _ = imagetree.pick_manifest(layout)
        return [
            tarfile.open(fileobj=io.BytesIO(imagetree.decompress(layout.blob(layer))))
            for layer in manifest["layers"]
        ]


@pytest.fixture
def build(jettison: Jettison, project: Project, tmp_path: Path) -> Builder:
    if os.geteuid():
        pytest.skip("sets owners and makes devices, which takes root")
    return Builder(jettison, project, tmp_path)


def seen(tree: Tree, *names: str) -> list[str]:
    """The texts of files."""
    return [tree[name]["text"].strip() for name in names]


# 1. Stale sources


def test_content_of_equal_size_and_time_is_seen_and_the_old_one_again(build: Builder) -> None:
    """By COPY, by a bind mount, and by COPY --from a stage that copied it."""
    text = (
        "FROM busybox AS s\nCOPY d /s\nFROM busybox\nCOPY d /d\nCOPY --from=s /s/sub /from\n"
        "RUN --mount=target=/m cat /m/d/sub/f >/bound\n"
    )
    build.project({"d/sub/f": ""}, text)
    file = build.context / "d/sub/f"
    for content in ("one", "two", "one", "six"):
        file.write_text(content)
        os.utime(file, (OLD, OLD))
        assert seen(build(), "/d/sub/f", "/from/f", "/bound") == [content] * 3


def test_a_file_replaced_by_rename_is_seen(build: Builder) -> None:
    build.project({"f": "one"}, "FROM scratch\nCOPY f /f\n")
    os.utime(build.context / "f", (OLD, OLD))
    assert seen(build(), "/f") == ["one"]
    (build.context / "new").write_text("two")
    os.utime(build.context / "new", (OLD, OLD))
    os.rename(build.context / "new", build.context / "f")
    assert seen(build(), "/f") == ["two"]


def test_a_change_of_modes_and_links_alone_is_seen(build: Builder) -> None:
    build.project({"d/sub/f": "f"}, "FROM scratch\nCOPY d /d\n")
    sub, link = build.context / "d/sub", build.context / "d/link"
    for mode, target in ((0o755, "aa"), (0o700, "aa"), (0o700, "bb"), (0o755, "aa")):
        sub.chmod(mode)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.utime(link, (OLD, OLD), follow_symlinks=False)
        os.utime(sub, (OLD, OLD))
        tree = build()
        assert (tree["/d/sub"]["mode"], tree["/d/link"]["link"]) == (f"{mode:o}", target)


# 2. Cache keys that say too little


@pytest.mark.parametrize("source", ["/s", "/s/*", "/s/d*/", "/s/deep/er", "/s/*/er/f*"])
def test_what_a_stage_holds_deep_down_is_in_the_key(build: Builder, source: str) -> None:
    text = f"FROM scratch AS s\nCOPY tree /s\nFROM busybox\nCOPY --from=s {source} /out/\n"
    text += "RUN find /out -type f -exec cat {} \\; >/all\n"
    for content in ("one", "two", "one"):
        assert seen(build(text, tree__deep__er__file=content), "/all") == [content]


def test_a_renamed_file_is_another(build: Builder) -> None:
    build.project({"d/a": "same"}, "FROM scratch\nCOPY d /d\n")
    assert set(build()) == {"/d", "/d/a"}
    os.rename(build.context / "d/a", build.context / "d/b")
    assert set(build()) == {"/d", "/d/b"}


def test_names_and_contents_are_not_run_together(build: Builder) -> None:
    text = "FROM scratch\nCOPY d /d\n"
    assert build(text, d__ab="c", d__x="y")["/d/ab"]["text"] == "c"
    (build.context / "d/ab").unlink()
    tree = build(d__a="bc")
    assert set(tree) == {"/d", "/d/a", "/d/x"} and tree["/d/a"]["text"] == "bc"


@pytest.mark.parametrize("word", ["COPY", "ADD", "COPY --link", "COPY --from=s"])
def test_owner_and_mode_are_in_the_key(build: Builder, word: str) -> None:
    text = (
        f"FROM scratch AS s\nCOPY f /f\nFROM scratch\nARG O=1 M=600\n{word} --chown=$O:$O --chmod=$M f /d/f\n"
    )
    build.project({"f": "f"}, text)
    for owner, mode in ((1, "600"), (2, "600"), (2, "4711"), (1, "600")):
        file = build("", "--build-arg", f"O={owner}", "--build-arg", f"M={mode}")["/d/f"]
        assert (file["uid"], file["gid"], file["mode"]) == (owner, owner, mode)


def test_variables_in_copy_and_workdir_are_in_the_key(build: Builder) -> None:
    text = "FROM busybox\nARG A\nWORKDIR /w/$A\nCOPY $A.txt .\nRUN cat *.txt >/out && pwd >>/out\n"
    build.project({"one.txt": "1\n", "two.txt": "2\n"}, text)
    for name, number in (("one", "1"), ("two", "2"), ("one", "1")):
        tree = build("", "--build-arg", f"A={name}")
        assert seen(tree, "/out") == [f"{number}\n/w/{name}"]
        assert [path for path in tree if path.startswith("/w/")] == [f"/w/{name}", f"/w/{name}/{name}.txt"]


def test_the_platform_is_in_the_key(build: Builder) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n"
    for name in ("amd64", "arm64", "amd64"):
        assert seen(build(text, "--platform", f"linux/{name}"), "/arch") == [name]
        assert imagetree.facts(str(build.archive))["architecture"] == name


def test_stages_of_equal_text_share_no_state(build: Builder) -> None:
    same = "RUN echo 1 >/f\n"
    text = (
        f"FROM busybox AS a\n{same}FROM busybox AS b\n{same}FROM a AS c\nRUN echo 2 >>/f\n"
        "FROM b\nCOPY --from=c /f /c\nCOPY --from=a /f /a\n"
    )
    assert seen(build(text), "/f", "/c", "/a") == ["1", "1\n2", "1"]


# 3. Whiteouts and opaque directories


def assert_markers_hide_something(layers: list[tarfile.TarFile]) -> int:
    """Every marker of removal names what is there below; give how many there are."""
    names: set[str] = set()
    count = 0
    for layer in layers:
        members = [member.name.strip("/") for member in layer]
        for member in members:
            folder, _, name = member.rpartition("/")
            if name == ".wh..wh..opq":
                count += 1
                assert folder in names, member
            elif name.startswith(".wh."):
                count += 1
                assert f"{folder}/{name[4:]}".strip("/") in names, member
        names.update(members)
    return count


def test_what_is_deleted_and_made_again(build: Builder) -> None:
    text = (
        "FROM busybox\n"
        "RUN mkdir -p /w/a/sub /w/gone/deep /w/empty && echo 1 >/w/a/f && echo 1 >/w/a/sub/g"
        " && echo x >/w/file && ln -s a /w/link && touch /w/gone/deep/f /w/empty/f\n"
        "RUN rm -rf /w/a /w/gone /w/file /w/empty\n"
        "RUN mkdir -p /w/a/sub /w/file /w/empty && echo 2 >/w/a/f && echo in >/w/file/x"
        " && rm /w/link && mkdir /w/link && echo l >/w/link/y && touch /w/never && rm /w/never\n"
        "RUN find /w | sort >/seen\n"
    )
    want = ["/w", "/w/a", "/w/a/f", "/w/a/sub", "/w/empty", "/w/file", "/w/file/x", "/w/link", "/w/link/y"]
    tree = build(text)
    assert [path for path in tree if path.startswith("/w")] == want
    assert seen(tree, "/seen", "/w/a/f") == ["\n".join(want), "2"]
    assert assert_markers_hide_something(build.layers()) > 0
    copied = build(text.replace("FROM busybox", "FROM busybox AS s") + "FROM busybox\nCOPY --from=s /w /w\n")
    assert [path for path in copied if path.startswith("/w")] == want


def test_one_file_removed_in_a_directory_that_stays(build: Builder) -> None:
    text = (
        "FROM busybox\nRUN mkdir -p /d/sub && touch /d/sub/a /d/sub/b /d/c\nRUN rm /d/sub/a\n"
        "RUN mkdir /d/dir && touch /d/dir/f\nRUN rm -r /d/dir && touch /d/dir\n"
        "COPY f /d/sub/a\nRUN ls -A /d /d/sub >/seen\n"
    )
    tree = build(text, f="back")
    assert seen(tree, "/d/sub/a", "/seen") == ["back", "/d:\nc\ndir\nsub\n\n/d/sub:\na\nb"]
    assert tree["/d/dir"]["type"] == "file"
    assert assert_markers_hide_something(build.layers()) == 1


# 4. Hard links


def test_hard_links_are_kept_within_one_copy(build: Builder) -> None:
    """Also on the way into the next stage, so that the image does not grow."""
    text = (
        "FROM busybox AS s\nRUN mkdir /d && head -c 300000 /dev/urandom >/d/a"
        " && ln /d/a /d/b && ln /d/a /d/c\n"
        "FROM scratch\nCOPY --from=s /d /e\n"
    )
    tree = build(text)
    assert tree["/e/b"]["same_as"] == tree["/e/c"]["same_as"] == "/e/a"
    assert build.archive.stat().st_size < 500_000
    links = [m.linkname for layer in build.layers() for m in layer if m.islnk()]
    assert len(links) == 2 and not any(name.startswith("/") for name in links)


def test_a_step_that_writes_to_a_hard_link_changes_no_other_image(build: Builder) -> None:
    stage = "FROM busybox AS s\nRUN mkdir /d && echo old >/d/a && ln /d/a /d/b\n"
    changed = build(stage + "FROM busybox\nCOPY --from=s /d /d\nRUN echo new >/d/a\n")
    assert seen(changed, "/d/a") == ["new"]
    assert seen(build(stage + "FROM busybox\nCOPY --from=s /d /d\n"), "/d/a", "/d/b") == ["old", "old"]
    later = build(stage + "FROM s\nRUN ln /d/a /c && echo more >>/c\n")
    assert seen(later, "/c", "/d/a") == ["old\nmore"] * 2
    assert seen(build(stage + "FROM s\n"), "/d/a") == ["old"]


# 5. Extended attributes, capabilities, setuid and sticky bits

CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def attributed() -> bytes:
    """An archive with a file that has capabilities, and modes beyond 777."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode, attributes in (
            ("capable", 0o755, {"security.capability": CAPABILITY.decode("latin-1")}),
            ("setuid", 0o4755, {}),
            ("setgid", 0o2755, {}),
        ):
            member = tarfile.TarInfo(name)
            member.mode, member.uid, member.gid = mode, 5, 6
            member.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in attributes.items()}
            archive.addfile(member)
        sticky = tarfile.TarInfo("sticky")
        sticky.type, sticky.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(sticky)
    return out.getvalue()


def test_attributes_survive_copies_of_a_directory(build: Builder) -> None:
    """Once more through a step that touches the files, and with another owner, which clears them."""
    text = (
        "FROM busybox AS s\nADD a.tar /d/\nRUN stat -c %a /d/setuid\nFROM busybox AS t\nCOPY --from=s /d /d\n"
        "RUN touch /d/*\nFROM busybox\nCOPY --from=t /d /kept\nCOPY --from=t --chown=7:8 /d /owned\n"
        "RUN stat -c '%a %u:%g' /owned/setuid /owned/setgid /owned/sticky >/out\n"
    )
    build.project({"a.tar": attributed()}, text)
    tree = build()
    value = tree["/kept/capable"]["xattrs"]["security.capability"]
    assert value == tree["/owned/capable"]["xattrs"]["security.capability"]
    assert [tree[f"/kept/{name}"]["mode"] for name in ("setuid", "setgid", "sticky")] == [
        "4755",
        "2755",
        "1777",
    ]
    assert (tree["/kept/setuid"]["uid"], tree["/kept/setuid"]["gid"]) == (5, 6)
    assert seen(tree, "/out") == ["4755 7:8\n2755 7:8\n1777 7:8"]


# 8. Metadata of directories that nobody named


@pytest.mark.parametrize("line", ["COPY f /tmp/", "COPY --link f /tmp/", "COPY --chown=5:6 f /tmp/sub/f",
                                  "COPY --link --chown=5:6 --chmod=600 f /tmp/f", "ADD x.tar /tmp/",
                                  "COPY --from=s /tmp/f /tmp/f", "COPY <<EOF /tmp/x\nEOF", "WORKDIR /tmp/w",
                                  "RUN --mount=type=cache,target=/tmp/k touch /tmp/f"])  # fmt: skip
def test_tmp_keeps_its_mode(build: Builder, line: str) -> None:
    """Neither the archive's entry for its own root nor an owner for the files reaches it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        root = tarfile.TarInfo(".")
        root.type, root.mode, root.uid = tarfile.DIRTYPE, 0o700, 9
        archive.addfile(root)
        archive.addfile(tarfile.TarInfo("./member"))
    text = (
        "FROM busybox AS s\nRUN mkdir -p /tmp && touch /tmp/f\n"
        "FROM busybox\nRUN mkdir -p /tmp && chmod 1777 /tmp && chown 3:4 /tmp\n"
    )
    build.project({"f": "f", "x.tar": data.getvalue()}, text + line + "\n")
    tmp = build()["/tmp"]
    assert (tmp["mode"], tmp["uid"], tmp["gid"]) == ("1777", 3, 4)
    for layer in build.layers()[2:]:
        assert all(stat.S_IMODE(m.mode) == 0o1777 for m in layer if m.name.strip("./") == "tmp")
