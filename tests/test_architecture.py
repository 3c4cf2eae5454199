"""What the house rules say about the source, checked by reading it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "jettison"
FILES = sorted(SOURCE.rglob("*.py"))

ROWS = (
    ("cli", "testing"),
    ("api",),
    ("worker", "shell"),
    ("build", "container", "picture"),
    ("journal",),
    ("exporting", "checks", "verdicts", "why"),
    ("insight",),
    ("planning", "progress", "running", "bases"),
    ("inputs",),
    ("executor",),
    ("solver",),
    ("cache", "sources", "exporters", "lint", "upkeep"),
    ("graph", "store"),
    ("dockerfile", "oci", "sandbox", "secrets", "junit"),
    ("request", "config", "platforms", "events"),
    ("side_by_side",),
    ("errors", "replacing"),
    ("location", "digests", "kernel", "sizes", "version", "verdict"),
    ("dataclass",),
)
"""Rooms from top to bottom. A room imports from rows below its own, never from its own row or above."""

FRONT = {"__init__", "__main__"}
"""The package's own front door: it names what others may import, and nobody imports it."""

READERS = {"cli", "api", "worker", "build", "config"}
"""Who may read the configuration; the others get plain values."""

ENVIRONMENT = ("os.environ", "os.environb", "os.getenv")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def row(name: str) -> int:
    return next(i for i, names in enumerate(ROWS) if name in names)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported_rooms(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the room of every import of the package, wherever it stands."""
    for node in ast.walk(module):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name == "jettison" or name.startswith("jettison."):
                yield node.lineno, name.split(".")[1] if "." in name else ""


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[Path, str, ast.AST]]:
    """Every node of some kinds in the source: its file, where it stands, and itself."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, kinds):
                yield path, f"{name_of(path)}:{node.lineno}", node  # type: ignore[attr-defined]


def test_there_is_source_to_look_at() -> None:
    assert len(FILES) > 10


def test_every_file_stands_in_a_known_room() -> None:
    known = FRONT.union(*ROWS)
    assert [name_of(path) for path in FILES if room(path) not in known] == []


def test_imports_run_downwards() -> None:
    wrong = []
    for path in FILES:
        own = room(path)
        for line, other in imported_rooms(tree(path)) if own not in FRONT else ():
            if other != own and (not other or row(other) <= row(own)):
                wrong.append(f"{name_of(path)}:{line} imports {other or 'the package root'}")
    assert wrong == []


def test_only_the_top_reads_the_configuration() -> None:
    wrong = []
    for path, place, node in nodes(ast.ImportFrom):
        assert isinstance(node, ast.ImportFrom)
        names = {alias.name for alias in node.names}
        reads = node.module == "jettison.config" and "load" in names
        if reads and room(path) not in READERS:
            wrong.append(place)
    assert wrong == []


def test_files_are_short() -> None:
    lengths = {name_of(path): path.read_text().count("\n") for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    long = {}
    for _, place, node in nodes(ast.FunctionDef):
        assert isinstance(node, ast.FunctionDef) and node.end_lineno
        if node.end_lineno - node.lineno >= LONGEST_FUNCTION:
            long[f"{place} {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_only_the_command_line_prints_and_exits() -> None:
    wrong = []
    for path, place, node in nodes(ast.Call):
        assert isinstance(node, ast.Call)
        if room(path) != "cli" and ast.unparse(node.func) in ("print", "sys.exit", "exit"):
            wrong.append(f"{place} {ast.unparse(node.func)}")
    assert wrong == []


def test_only_the_top_reads_the_environment() -> None:
    wrong = []
    for path, place, node in nodes(ast.Attribute):
        if room(path) not in ("cli", "config") and ast.unparse(node) in ENVIRONMENT:
            wrong.append(place)
    assert wrong == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    wrong = []
    for path in FILES:
        lines = enumerate(path.read_text().splitlines(), 1)
        wrong += [f"{name_of(path)}:{number}" for number, line in lines if marks.search(line)]
    assert wrong == []


def test_no_room_is_a_lumber_room() -> None:
    lumber = {"utils", "util", "common", "helpers", "manager"}
    assert [name_of(p) for p in FILES if lumber & set(p.relative_to(SOURCE).with_suffix("").parts)] == []
