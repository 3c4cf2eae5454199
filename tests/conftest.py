"""Fixtures that every kind of test may use: the command, a store of its own, and base images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "jettison")


@dataclass(frozen=True)
class Done:
    """A finished command. `err` holds the progress and messages, `out` what was asked for."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind, of a build with `--progress jsonl`."""
        found = []
        for line in self.text.splitlines():
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("type") == kind:
                    found.append(event)
        return found


class Jettison:
    """The installed command with a store of its own, as a user would call it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self, *words: object, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Start the command and return its process."""
        environment = {**os.environ, "JETTISON_ROOT": str(self.root), **(env or {})}
        return subprocess.Popen([*COMMAND, *map(str, words)], env=environment, **options)

    def __call__(
        self, *words: object, env: Mapping[str, str] | None = None, timeout: float = 120, **options: Any
    ) -> Done:
        """Run the command to its end, whatever that is."""
        process = self.start(
            *words,
            env=env,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return Done(process.returncode, out, err)

    def ok(self, *words: object, **options: Any) -> Done:
        """Run the command, which must end well."""
        done = self(*words, **options)
        assert done.code == 0, f"{' '.join(map(str, words))} ended with {done.code}:\n{done.text[-3000:]}"
        return done


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for stores that several tests share. Not below pytest's own, which stays for three runs."""
    with tempfile.TemporaryDirectory(prefix="jettison-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def busybox_layout(session_folder: Path) -> Path:
    """An OCI layout of a busybox root: the base image of most tests."""
    from tests.conformance import make_base

    folder = session_folder / "busybox"
    make_base.make(str(folder))
    return folder


@pytest.fixture
def empty_jettison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jettison]:
    """The command with an empty store."""
    root = tmp_path_factory.mktemp("store")
    yield Jettison(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def jettison(empty_jettison: Jettison, busybox_layout: Path) -> Jettison:
    """The command with a store that holds busybox."""
    empty_jettison.ok("load", busybox_layout, "busybox")
    return empty_jettison


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a build context: project({"src/a": "text"}, dockerfile="FROM ...")."""

    def write(files: Mapping[str, str | bytes] | None = None, dockerfile: str | bytes | None = None) -> Path:
        folder = tmp_path / "context"
        folder.mkdir(exist_ok=True)
        for name, content in {
            **(files or {}),
            **({} if dockerfile is None else {"Dockerfile": dockerfile}),
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than some ten seconds")
