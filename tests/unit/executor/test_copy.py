from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from jettison.errors import NotFound, SourceError
from jettison.executor.copy import run_copy
from jettison.executor.select import content_digest
from jettison.sources.context import ContextTree
from jettison.sources.memo import Memo
from jettison.store.base import Node
from tests.unit.executor.layers import EPOCH, Recorder, copied, copy_op, folder


@pytest.fixture
def empty(tmp_path: Path) -> ContextTree:
    return folder(tmp_path / "base", {})


def test_a_file_becomes_the_destination_or_goes_into_it(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"a.txt": "a\n"})
    assert list(copied(copy_op("a.txt", to="/x/y/renamed"), source, empty).entries) == [
        "x",
        "x/y",
        "x/y/renamed",
    ]
    assert list(copied(copy_op("a.txt", to="/new/dir/"), source, empty).entries) == [
        "new",
        "new/dir",
        "new/dir/a.txt",
    ]
    base = folder(tmp_path / "b", {"d": None})
    assert list(copied(copy_op("a.txt", to="/d"), source, base).entries) == ["d", "d/a.txt"]
    got = copied(copy_op("a.txt", to="/"), source, empty)
    assert got.text("a.txt") == "a\n" and list(got.entries) == ["a.txt"]


def test_the_contents_of_a_directory_are_copied(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"d/f": "f", "d/s/g": "g", "d/e": None})
    for name in ("d", "d/", "d/."):
        got = copied(copy_op(name, to="/one"), source, empty)
        assert list(got.entries) == ["one", "one/e", "one/f", "one/s", "one/s/g"]


def test_new_parents_are_root_0755_with_the_given_time(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"a": "a"})
    made = copied(copy_op("a", to="/p/q/r"), source, empty).entries["p/q"]
    assert (made.mode, made.uid, made.gid, made.mtime_ns) == (0o755, 0, 0, EPOCH)


def test_existing_parents_keep_their_metadata(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"tmp/x/k": "k"})
    os.chmod(tmp_path / "b/tmp", 0o1777)
    os.chown(tmp_path / "b/tmp/x", 7, 8)
    base = ContextTree(base.folder)
    source = folder(tmp_path / "c", {"a": "a"})
    for link in (False, True):
        got = copied(copy_op("a", to="/tmp/x/", link=link, owner="5:6", mode="600"), source, base)
        assert got.modes() == {"tmp": "1777", "tmp/x": "755", "tmp/x/a": "600"}
        assert got.owners() == {"tmp": (0, 0), "tmp/x": (7, 8), "tmp/x/a": (5, 6)}
        assert got.entries["tmp"].mtime_ns == os.stat(tmp_path / "b/tmp").st_mtime_ns


def test_the_destination_keeps_its_mode_and_directories_in_it_do_not(tmp_path: Path) -> None:
    folder(tmp_path / "b", {"d/s/k": "k"})
    os.chmod(tmp_path / "b/d", 0o700)
    os.chown(tmp_path / "b/d", 4, 4)
    os.chown(tmp_path / "b/d/s", 4, 4)
    folder(tmp_path / "c", {"src/s/f": "f"})
    os.chmod(tmp_path / "c/src", 0o775)
    os.chmod(tmp_path / "c/src/s", 0o775)
    got = copied(copy_op("src", to="/d"), ContextTree(str(tmp_path / "c")), ContextTree(str(tmp_path / "b")))
    assert got.modes() == {"d": "700", "d/s": "775", "d/s/f": "644"}
    assert got.owners() == {"d": (4, 4), "d/s": (0, 0), "d/s/f": (0, 0)}


def test_a_new_destination_is_0755_whatever_the_source(tmp_path: Path, empty: ContextTree) -> None:
    folder(tmp_path / "c", {"d/f": "f"})
    os.chmod(tmp_path / "c/d", 0o750)
    source = ContextTree(str(tmp_path / "c"))
    assert copied(copy_op("d", to="/d"), source, empty).modes()["d"] == "755"
    got = copied(copy_op("d", to="/d", mode="600", owner="3:4"), source, empty)
    assert got.modes() == {"d": "600", "d/f": "600"} and got.owners() == {"d": (3, 4), "d/f": (3, 4)}


def test_directories_and_files_do_not_replace_each_other(tmp_path: Path) -> None:
    source = folder(tmp_path / "c", {"src/s/f": "f", "a.txt": "a"})
    base = folder(tmp_path / "b", {"d": "x", "e/s": "x", "f/a.txt": None})
    with pytest.raises(SourceError, match="not a directory"):
        copied(copy_op("src", to="/d"), source, base)
    with pytest.raises(SourceError, match="/e/s, which is not a directory"):
        copied(copy_op("src", to="/e"), source, base)
    with pytest.raises(SourceError, match=r"cannot replace the directory /f/a\.txt"):
        copied(copy_op("a.txt", to="/f/"), source, base)
    with pytest.raises(SourceError, match="not a directory"):
        copied(copy_op("a.txt", to="/d/"), source, base)


def test_the_last_source_of_a_name_wins(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(
        tmp_path / "c", {"a.txt": "top", "s/a.txt": "sub", "d1/f": "1", "d2/f": "2", "d1/s/x": "x"}
    )
    assert copied(copy_op("a.txt", "s/a.txt", to="/d/"), source, empty).text("d/a.txt") == "sub"
    assert copied(copy_op("s/a.txt", "a.txt", to="/d/"), source, empty).text("d/a.txt") == "top"
    got = copied(copy_op("d1", "d2", "a.txt", to="/out/"), source, empty)
    assert got.text("out/f") == "2" and list(got.entries) == ["out", "out/a.txt", "out/f", "out/s", "out/s/x"]


def test_several_files_to_one_file_lose_nothing_silently(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"a.txt": "a", "b.txt": "b"})
    with pytest.raises(SourceError, match="several files"):
        copied(copy_op("*.txt", to="/x"), source, empty)
    assert copied(copy_op("a.*", to="/x"), source, empty).text("x") == "a"


def test_the_destination_is_resolved_inside_the_image(tmp_path: Path) -> None:
    base = folder(
        tmp_path / "b",
        {
            "real/sub": None,
            "abs": None,
            "l": ("->", "real"),
            "m": ("->", "/abs"),
            "esc": ("->", "../../../../abs"),
            "target": "old",
            "file": ("->", "/target"),
        },
    )
    source = folder(tmp_path / "c", {"a.txt": "a", "d/f": "f"})
    assert "real/a.txt" in copied(copy_op("a.txt", to="/l/"), source, base).entries
    assert "real/sub/b" in copied(copy_op("a.txt", to="/l/sub/b"), source, base).entries
    assert "abs/a.txt" in copied(copy_op("a.txt", to="/m"), source, base).entries
    assert list(copied(copy_op("a.txt", to="/esc/c"), source, base).entries) == ["abs", "abs/c"]
    assert list(copied(copy_op("a.txt", to="/file"), source, base).entries) == ["target"]
    assert list(copied(copy_op("d", to="/l"), source, base).entries) == ["real", "real/f"]


def test_link_follows_no_symlink(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"real": None, "l": ("->", "/real")})
    source = folder(tmp_path / "c", {"a.txt": "a"})
    got = copied(copy_op("a.txt", to="/l/", link=True), source, base)
    assert {path: entry.kind for path, entry in got.entries.items()} == {"l": "dir", "l/a.txt": "file"}


def test_a_root_filesystem_is_copied_over_merged_usr(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"usr/lib/libc": "old", "lib": ("->", "usr/lib")})
    source = folder(tmp_path / "c", {"rootfs/lib/new": "n", "rootfs/lib/sub/x": "x"})
    got = copied(copy_op("rootfs", to="/"), source, base)
    assert "lib" not in got.entries and got.text("usr/lib/new") == "n" and "usr/lib/sub/x" in got.entries


def test_a_symlink_in_the_way_of_a_file_is_replaced(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"d/f": ("->", "/etc/passwd"), "etc/passwd": "p"})
    source = folder(tmp_path / "c", {"f": "f"})
    assert copied(copy_op("f", to="/d/"), source, base).entries["d/f"].kind == "file"


def test_owners_by_name_and_number(tmp_path: Path) -> None:
    base = folder(
        tmp_path / "b",
        {
            "etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:1001:1002::/:/bin/sh\n",
            "etc/group": "extra:x:1500:app\n",
        },
    )
    source = folder(tmp_path / "c", {"a": "a"})
    for text, want in {
        "app": (1001, 1002),
        "app:extra": (1001, 1500),
        "77:extra": (77, 1500),
        "app:9": (1001, 9),
        "1234": (1234, 1234),
        "0:9": (0, 9),
        "root": (0, 0),
    }.items():
        assert copied(copy_op("a", to="/a", owner=text), source, base).owners() == {"a": want}
    with pytest.raises(SourceError, match="nobody"):
        copied(copy_op("a", to="/a", owner="nobody"), source, base)
    with pytest.raises(SourceError, match="no /etc/passwd"):
        copied(copy_op("a", to="/a", owner="app"), source, folder(tmp_path / "none", {}))


def test_hard_links_stay_links_within_one_copy(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"d/a": "x", "f": "x"})
    os.link(tmp_path / "c/d/a", tmp_path / "c/d/b")
    source = ContextTree(source.folder)
    got = copied(copy_op("d", to="/d"), source, empty)
    assert (got.entries["d/b"].kind, got.entries["d/b"].link) == ("hardlink", "d/a")
    # The same name taken twice makes two files, as two copies would.
    twice = copied(copy_op("d", "d/a", to="/x/"), source, empty)
    assert twice.text("x/a") == "x"


def test_a_file_named_through_two_paths_is_no_hard_link(tmp_path: Path, empty: ContextTree) -> None:
    folder(tmp_path / "c", {"f": "x", "l": ("->", "f")})
    os.link(tmp_path / "c/f", tmp_path / "c/g")
    got = copied(copy_op("f", "l", to="/d/"), ContextTree(str(tmp_path / "c")), empty)
    assert [got.entries[name].kind for name in ("d/f", "d/l")] == ["file", "file"]


def test_symlinks_in_a_directory_stay(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(
        tmp_path / "c", {"d/s/f": "f", "d/dir": ("->", "s"), "d/up": ("->", "../../up"), "d/no": ("->", "no")}
    )
    got = copied(copy_op("d", to="/d", owner="5:6", mode="600"), source, empty)
    assert {p: e.link for p, e in got.entries.items() if e.kind == "symlink"} == {
        "d/dir": "s",
        "d/up": "../../up",
        "d/no": "no",
    }
    assert got.owners()["d/dir"] == (5, 6)


def test_special_files(tmp_path: Path, empty: ContextTree) -> None:
    folder(tmp_path / "c", {"d": None})
    os.mkfifo(tmp_path / "c/d/pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "c/d/sock"))
    got = copied(copy_op("d", to="/d"), ContextTree(str(tmp_path / "c")), empty)
    assert {path: entry.kind for path, entry in got.entries.items()} == {"d": "dir", "d/pipe": "fifo"}


def test_from_a_stage_owners_and_attributes_are_kept(tmp_path: Path, empty: ContextTree) -> None:
    class Attributed(ContextTree):
        def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
            return (("security.capability", b"\1"),) if path == "d/f" else ()

    folder(tmp_path / "c", {"d/f": "f"})
    os.chown(tmp_path / "c/d/f", 5, 6)
    stage = Attributed(str(tmp_path / "c"))
    got = copied(copy_op("d", to="/k", context=None, keep_owner=True), stage, empty).entries["k/f"]
    assert (got.uid, got.gid, got.xattrs) == (5, 6, (("security.capability", b"\1"),))
    got = copied(copy_op("d", to="/k", context=None, keep_owner=True, owner="9:10"), stage, empty).entries[
        "k/f"
    ]
    assert (got.uid, got.gid) == (9, 10)
    assert copied(copy_op("d", to="/k"), stage, empty).entries["k/f"].xattrs == ()


def test_content_without_a_file_is_streamed(tmp_path: Path, empty: ContextTree) -> None:
    class Blobs(ContextTree):
        def lookup(self, path: str) -> Node | None:
            node = super().lookup(path)
            return replace(node, file=None) if node is not None else None

        def open(self, path: str):  # type: ignore[no-untyped-def]
            return open(f"{self.folder}/{path}", "rb")

    folder(tmp_path / "c", {"f": "content"})
    assert copied(copy_op("f", to="/f"), Blobs(str(tmp_path / "c")), empty).text("f") == "content"


def test_here_documents(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"f.txt": "f"})
    got = copied(copy_op("f.txt", to="/d/", files=(("made.txt", "made\n"),)), source, empty)
    assert got.text("d/made.txt") == "made\n" and got.modes()["d/made.txt"] == "644"
    got = copied(copy_op(to="/run.sh", files=(("EOF", "#!\n"),), mode="750", owner="12:34"), None, empty)
    assert got.modes() == {"run.sh": "750"} and got.owners() == {"run.sh": (12, 34)}


def test_parents_keeps_directories_with_their_modes(tmp_path: Path, empty: ContextTree) -> None:
    folder(tmp_path / "c", {"x/a": "a", "y/s/b": "b", "y/s/c": "c"})
    os.chmod(tmp_path / "c/y/s", 0o711)
    source = ContextTree(str(tmp_path / "c"))
    got = copied(copy_op("./x/a", "./y/s/b", to="/p/", parents=True), source, empty)
    assert list(got.entries) == ["p", "p/x", "p/x/a", "p/y", "p/y/s", "p/y/s/b"]
    assert got.modes()["p/y/s"] == "711"
    got = copied(copy_op("y/./s", to="/p/", parents=True), source, empty)
    assert list(got.entries) == ["p", "p/s", "p/s/b", "p/s/c"]


def test_a_name_that_means_whiteout_is_refused(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"d/.wh.x": ""})
    with pytest.raises(SourceError, match=r"\.wh\."):
        copied(copy_op("d", to="/d"), source, empty)


def test_a_missing_source(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"nosuch.text": "", "dir/readme": ""})
    with pytest.raises(NotFound, match=r'COPY: "nosuch\.txt" not found in the build context') as error:
        copied(copy_op("nosuch.txt", to="/"), source, empty)
    assert error.value.hint == "did you mean nosuch.text?"
    with pytest.raises(NotFound) as error:
        copied(copy_op("dir/README", to="/"), source, empty)
    assert error.value.hint == "did you mean dir/readme?"


def test_what_changed_meanwhile_is_told(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"a": "a", "b": "b"})
    op = copy_op("a", "b", to="/d/")
    assert run_copy(op, source, empty, Recorder(), EPOCH) == ()
    (tmp_path / "c/b").write_text("B")
    assert run_copy(op, source, empty, Recorder(), EPOCH) == (f"{tmp_path}/c/b",)


def test_a_file_that_is_gone_again(tmp_path: Path, empty: ContextTree) -> None:
    source = folder(tmp_path / "c", {"d/a": "a"})
    op = copy_op("d", to="/d/")
    assert source.lookup("d/a") is not None
    (tmp_path / "c/d/a").unlink()
    with pytest.raises(SourceError, match=r"cannot read .*/d/a"):
        content_digest(op, source, Memo())
    with pytest.raises(SourceError, match=r"cannot read .*/d/a"):
        copied(op, source, empty)
