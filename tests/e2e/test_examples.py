"""The examples build, pass their own tests as a stage, and answer."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.conftest import Jettison
from tests.needed import base_names
from tests.registry import free_port

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="the base images are made as root"),
]


@pytest.fixture
def with_bases(empty_jettison: Jettison, request: pytest.FixtureRequest) -> Iterator[Jettison]:
    """A store with the base images of one example."""
    names = base_names(EXAMPLES / request.node.callspec.params["name"])
    folder = bases.ensure(*names)
    for name in names:
        layout, _ = bases.layout_of(name, folder)
        empty_jettison.ok("load", layout, name)
    yield empty_jettison


@pytest.mark.parametrize(
    ("name", "path", "expected"), [("go-web", "/", "Whitby"), ("react-node", "/api/books", "Moby-Dick")]
)
def test_example(name: str, path: str, expected: str, with_bases: Jettison) -> None:
    with_bases.ok("build", "-t", f"tester={name}:tester", "-t", f"final={name}", EXAMPLES / name, timeout=600)
    port = free_port()
    server = with_bases.start("run", "-e", f"PORT={port}", name)
    try:
        assert expected in fetch(f"http://127.0.0.1:{port}{path}")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def fetch(address: str) -> str:
    import time

    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
