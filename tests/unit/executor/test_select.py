from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.errors import NotFound
from jettison.executor.select import content_digest, selection
from jettison.graph.ops import CopyOp
from jettison.sources.context import ContextTree, open_context
from jettison.sources.memo import Memo
from tests.unit.executor.layers import copied, copy_op, folder


@pytest.fixture
def empty(tmp_path: Path) -> ContextTree:
    return folder(tmp_path / "base", {})


def targets(tree: ContextTree, *paths: str, **more: object) -> list[tuple[str, str]]:
    return [(source.path, source.target) for source in selection(copy_op(*paths, to="/d/", **more), tree)]


def test_sources_are_paths_from_the_root(tmp_path: Path) -> None:
    tree = folder(tmp_path / "c", {"a.txt": "", "d/f": ""})
    for text in ("/a.txt", "./a.txt", "d/../a.txt", "../a.txt", "//a.txt", "../../a.txt"):
        assert targets(tree, text) == [("a.txt", "a.txt")]
    assert targets(tree, ".") == [("", "")]
    assert targets(tree, "d/") == [("d", "")]


def test_wildcards(tmp_path: Path) -> None:
    tree = folder(
        tmp_path / "c", {"ab.txt": "", "b.txt": "", "c.md": "", ".hid.txt": "", "s/a.txt": "", "m/n/k": ""}
    )
    assert [path for path, _ in targets(tree, "*.txt")] == [".hid.txt", "ab.txt", "b.txt"]
    assert [path for path, _ in targets(tree, "?.txt")] == ["b.txt"]
    assert [path for path, _ in targets(tree, "[^a]*.txt")] == [".hid.txt", "b.txt"]
    assert targets(tree, "*/a.txt") == [("s/a.txt", "a.txt")]
    assert targets(tree, "m/*/k") == [("m/n/k", "k")]
    assert targets(tree, "s*") == [("s", "")]
    assert targets(tree, "*.zip") == []
    assert targets(tree, "b.tx[t]", "b.tx[t]") == [("b.txt", "b.txt")] * 2


def test_symlinks_named_as_source_are_followed_inside_the_tree(tmp_path: Path) -> None:
    tree = folder(
        tmp_path / "c",
        {
            "real/f": "",
            "a/link": ("->", "../real"),
            "a/abs": ("->", "/real"),
            "l": ("->", "real/f"),
            "d": ("->", "real"),
        },
    )
    assert targets(tree, "a/link/f", "a/abs/f", "l", "d") == [
        ("real/f", "f"),
        ("real/f", "f"),
        ("real/f", "l"),
        ("real", ""),
    ]
    assert targets(tree, "l*") == [("real/f", "l")]


def test_a_symlink_finds_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    tree = folder(tmp_path / "c", {"l": ("->", "../secret"), "m": ("->", f"{tmp_path}/secret")})
    for name in ("l", "m"):
        with pytest.raises(NotFound):
            targets(tree, name)


def test_exclude_counts_from_the_copied_directory(tmp_path: Path, empty: ContextTree) -> None:
    tree = folder(
        tmp_path / "c",
        {
            "d/b": "",
            "d/a.md": "",
            "d/skip/x": "",
            "d/s/one": "",
            "d/s/two": "",
            "d/s/c.md": "",
            "d/s/skip/y": "",
        },
    )
    got = copied(copy_op("d", to="/d", exclude=("**/*.md", "skip", "s/one")), tree, empty)
    assert list(got.entries) == ["d", "d/b", "d/s", "d/s/skip", "d/s/skip/y", "d/s/two"]
    got = copied(copy_op("d", to="/d", exclude=("s", "!s/two")), tree, empty)
    assert list(got.entries) == ["d", "d/a.md", "d/b", "d/s", "d/s/two", "d/skip", "d/skip/x"]
    assert targets(tree, "d/*.md", exclude=("*.md",)) == []


def test_parents(tmp_path: Path, empty: ContextTree) -> None:
    tree = folder(
        tmp_path / "c",
        {"src/a.txt": "", "src/x/d.md": "", "src/x/b.txt": "", "src/x/y/c.txt": "", "y/one/f": "", "y/g": ""},
    )
    got = targets(tree, "./src/**/*.txt", parents=True)
    assert [target for _, target in got] == ["src/a.txt", "src/x/b.txt", "src/x/y/c.txt"]
    assert targets(tree, "src/./x/*.txt", parents=True) == [("src/x/b.txt", "x/b.txt")]
    layer = copied(copy_op("y/*/", "src/x/y", to="/p/", parents=True), tree, empty)
    assert list(layer.entries) == [
        "p", "p/src", "p/src/x", "p/src/x/y", "p/src/x/y/c.txt", "p/y", "p/y/g", "p/y/one", "p/y/one/f",
    ]  # fmt: skip
    layer = copied(copy_op("src/./x", to="/p/", parents=True, exclude=("**/*.md",)), tree, empty)
    assert list(layer.entries) == ["p", "p/x", "p/x/b.txt", "p/x/y", "p/x/y/c.txt"]
    with pytest.raises(NotFound):
        targets(tree, "src/nosuch", parents=True)


def test_what_the_ignore_file_hides_is_explained(tmp_path: Path) -> None:
    folder(tmp_path / "c", {"a.log": ""})
    with pytest.raises(NotFound) as error:
        targets(open_context(str(tmp_path / "c"), b"# logs\n*.log\n"), "a.log")
    assert error.value.hint is not None and "*.log" in error.value.hint


DIGEST_OP = copy_op("d", "*.txt", to="/x/")


def digest(path: Path, op: CopyOp = DIGEST_OP) -> str:
    return content_digest(op, open_context(str(path), None), Memo())


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder(tmp_path / "c", {"d/f": "1234", "d/s/g": "g", "d/l": ("->", "f"), "a.txt": "a", "other": "o"})
    return tmp_path / "c"


@pytest.mark.parametrize(
    "change",
    [
        lambda c: (c / "d/f").write_text("4321"),
        lambda c: (c / "d/f").chmod(0o600),
        lambda c: (c / "d/s").chmod(0o700),
        lambda c: (c / "d/f").rename(c / "d/F"),
        lambda c: (c / "d/e").mkdir(),
        lambda c: (c / "b.txt").write_text(""),
        lambda c: (c / "d/s/g").unlink(),
        lambda c: ((c / "d/l").unlink(), (c / "d/l").symlink_to("s")),
        lambda c: ((c / "d/l").unlink(), (c / "d/l").write_text("1234")),
        lambda c: ((c / "d/l").unlink(), os.link(c / "d/f", c / "d/l")),
    ],
)
def test_the_digest_changes_with_all_that_is_copied(context: Path, change: Callable[[Path], object]) -> None:
    before = digest(context)
    change(context)
    assert digest(context) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda c: os.utime(c / "d/f", (1, 1)),
        lambda c: os.utime(c / "d", (1, 1)),
        lambda c: (c / "other").write_text("changed"),
        lambda c: os.chown(c / "d/f", 5, 6),
        lambda c: os.link(c / "d/f", c / "elsewhere"),
        lambda c: c.rename(c.parent / "moved") and (c.parent / "moved").rename(c),
    ],
)
def test_the_digest_does_not_change_with_anything_else(
    context: Path, change: Callable[[Path], object]
) -> None:
    before = digest(context)
    change(context)
    assert digest(context) == before


def test_the_same_size_and_time_do_not_hide_a_change(context: Path) -> None:
    stat = os.stat(context / "d/f")
    before = digest(context)
    (context / "d/f").write_text("ABCD")
    os.utime(context / "d/f", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert os.stat(context / "d/f").st_mtime_ns == stat.st_mtime_ns
    assert digest(context) != before
    (context / "d/f").write_text("1234")
    assert digest(context) == before


def test_modes_and_owners_count_as_they_arrive(context: Path) -> None:
    fixed = copy_op("d", to="/x/", mode="644")
    before, bits = digest(context, fixed), digest(context, copy_op("d", to="/x/", mode="go-rwx"))
    (context / "d/f").chmod(0o664)
    assert digest(context, fixed) == before
    assert digest(context, copy_op("d", to="/x/", mode="go-rwx")) == bits
    kept = copy_op("d", to="/x/", context=None, keep_owner=True)
    given = copy_op("d", to="/x/", context=None, keep_owner=True, owner="1:1")
    before, same = digest(context, kept), digest(context, given)
    os.chown(context / "d/f", 5, 6)
    assert digest(context, kept) != before and digest(context, given) == same


def test_names_and_contents_cannot_be_confused(tmp_path: Path) -> None:
    seen = set()
    for number, spec in enumerate(({"d/ab": "c"}, {"d/a": "bc"}, {"d/a": "b", "d/c": ""}, {"d/a/b": "c"})):
        folder(tmp_path / str(number), dict(spec))
        seen.add(digest(tmp_path / str(number), copy_op("d", to="/x/")))
    assert len(seen) == 4


def test_a_symlink_that_leads_out_is_named_as_such(tmp_path: Path) -> None:
    folder(tmp_path / "c", {})
    (tmp_path / "c" / "out").symlink_to("/etc/hostname")
    with pytest.raises(NotFound) as error:
        targets(open_context(str(tmp_path / "c"), None), "out")
    assert error.value.hint is not None and "symlink to /etc/hostname" in error.value.hint


def test_the_folder_of_a_pattern_has_to_be_there(tmp_path: Path) -> None:
    tree = folder(tmp_path / "c", {"s/a.txt": "", "e/": "", "f": "", "gone": ("->", "nowhere")})
    assert targets(tree, "s/*.zip", "f/*") == []
    for text in ("missing/*", "s/missing/*.txt", "gone/*"):
        with pytest.raises(NotFound, match=r"not found in the build context"):
            targets(tree, text)


def test_literal_paths_are_no_patterns(tmp_path: Path) -> None:
    tree = folder(tmp_path / "c", {"p[id]/f": "", "pi/f": "", "a*": ""})
    assert targets(tree, "p[id]", "a*", literal=True) == [("p[id]", ""), ("a*", "a*")]
    assert targets(tree, "p[id]") == [("pi", "")]
