from __future__ import annotations

from pathlib import Path

from jettison.sources.context import find_ignore, open_context
from jettison.sources.sweep import size_of_few


def test_the_bytes_of_a_folder_are_counted_where_it_has_few_files(tmp_path: Path) -> None:
    for name, size in (("a", 5), ("d/b", 7), ("d/e/c", 11), ("left/out", 13)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    (tmp_path / ".dockerignore").write_text("left\n.dockerignore\n")
    found = find_ignore(str(tmp_path), "")
    assert found is not None
    tree = open_context(str(tmp_path), found[1], found[0])
    assert (size_of_few(tree, ""), size_of_few(tree, "d")) == (23, 18)
    assert size_of_few(tree, "gone") == 0
    for number in range(1000):
        (tmp_path / "d" / str(number)).touch()
    assert (size_of_few(tree, ""), size_of_few(tree, "d/e")) == (0, 11)
