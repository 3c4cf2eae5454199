"""What COPY promises for any files: the layer merges them, and its digest tells apart what differs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.errors import SourceError
from jettison.executor.select import content_digest
from jettison.sources.context import ContextTree, open_context
from jettison.sources.memo import Memo
from tests.unit.executor.layers import Recorder, copied, copy_op

Leaf = tuple[str, str, int]
"""A kind ("file", "dir" or "symlink"), a content or target, and a mode."""
Tree = dict[str, Leaf]

NAMES = st.sampled_from(["a", "b", "ab", ".x", "b.txt"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
LEAVES = st.one_of(
    st.tuples(
        st.just("file"), st.sampled_from(["", "x", "y", "xy"]), st.sampled_from([0o644, 0o600, 0o4755])
    ),
    st.tuples(st.just("dir"), st.just(""), st.sampled_from([0o755, 0o700])),
    st.tuples(st.just("symlink"), st.sampled_from(["a", "../b", "/ab", "nowhere"]), st.just(0o777)),
)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """A tree in which every parent is a directory."""
    tree: Tree = {}
    for path, leaf in draw(st.lists(st.tuples(PATHS, LEAVES), max_size=8)):
        parts = path.split("/")
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if path in tree or any(tree.get(parent, ("dir",))[0] != "dir" for parent in parents):
            continue
        for parent in parents:
            tree.setdefault(parent, ("dir", "", 0o755))
        tree[path] = leaf
    return tree


def made(folder: Path, tree: Tree) -> ContextTree:
    folder.mkdir()
    for path in sorted(tree):
        kind, text, mode = tree[path]
        place = folder / path
        if kind == "dir":
            place.mkdir()
            place.chmod(mode)
        elif kind == "symlink":
            place.symlink_to(text)
        else:
            place.write_text(text)
            place.chmod(mode)
    return open_context(str(folder), None)


def seen(layer: Recorder, below: str) -> Tree:
    found: Tree = {}
    for path, entry in layer.entries.items():
        if path.startswith(f"{below}/"):
            text = layer.data[path].decode() if entry.kind == "file" else entry.link
            found[path[len(below) + 1 :]] = (entry.kind, text, entry.mode)
    return found


@given(trees())
@settings(max_examples=60, deadline=None)
def test_a_copy_holds_what_the_source_holds(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, empty = made(Path(name, "c"), {**tree}), made(Path(name, "b"), {})
        assert seen(copied(copy_op(".", to="/d/"), source, empty), "d") == tree


@given(trees(), trees())
@settings(max_examples=80, deadline=None)
def test_two_sources_merge_or_clash(one: Tree, two: Tree) -> None:
    clash = any(
        (one[path][0] == "dir") != (two[path][0] == "dir") and one[path][0] != "symlink"
        for path in one.keys() & two.keys()
    )
    through_links = any(
        one[path][0] == "symlink" and two[path][0] == "dir" for path in one.keys() & two.keys()
    )
    with tempfile.TemporaryDirectory() as name:
        first = {f"1/{path}": leaf for path, leaf in one.items()} | {"1": ("dir", "", 0o755)}
        second = {f"2/{path}": leaf for path, leaf in two.items()} | {"2": ("dir", "", 0o755)}
        source, empty = made(Path(name, "c"), first | second), made(Path(name, "b"), {})
        try:
            layer = copied(copy_op("1", "2", to="/d/"), source, empty)
        except SourceError:
            assert clash or through_links
            return
        if not through_links:
            assert not clash and seen(layer, "d") == one | two


@given(trees(), trees())
@example({"a": ("file", "xy", 0o644)}, {"a": ("file", "x", 0o644), "b": ("file", "y", 0o644)})
@settings(max_examples=80, deadline=None)
def test_equal_digests_mean_equal_files(one: Tree, two: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        op = copy_op(".", to="/d/")
        digests = []
        for number, tree in enumerate((one, two)):
            source = made(Path(name, str(number)), tree)
            for path, leaf in tree.items():
                if leaf[0] == "file":
                    os.utime(f"{source.folder}/{path}", (number, number))
            digests.append(content_digest(op, source, Memo()))
        assert (digests[0] == digests[1]) == (one == two)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "!"]),
        st.sampled_from(["a", "b", "*", "**", "a/b", "a/*", "**/b", "*/ab", "a/b/ab"]),
    ),
    max_size=4,
)


@given(trees(), LINES)
@settings(max_examples=80, deadline=None)
def test_the_context_shows_what_is_not_ignored_and_the_way_to_it(
    tree: Tree, lines: list[tuple[str, str]]
) -> None:
    text = "\n".join(bang + pattern for bang, pattern in lines).encode()
    matcher = Matcher(parse_ignore(text))
    kept = {path for path in tree if not matcher.ignored(path)}
    way = {path for path in tree if any(other.startswith(f"{path}/") for other in kept)}
    with tempfile.TemporaryDirectory() as name:
        made(Path(name, "c"), tree)
        source = open_context(f"{name}/c", text)
        assert {path for path in tree if source.lookup(path) is not None} == kept | way
        layer = copied(copy_op(".", to="/d/"), source, made(Path(name, "b"), {}))
        assert set(seen(layer, "d")) == kept | way
