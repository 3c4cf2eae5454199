"""The documents of images with anything at any place: refused with a message, or taken; nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jettison
from jettison.errors import JettisonError, SourceError
from jettison.sources.load import load
from jettison.store.store import Store
from tests import layouts
from tests.layouts import MadeImage

IMAGE = MadeImage(
    [layouts.tar_of({"a": b"1"})],
    {
        "Env": ["A=b"], "Cmd": ["a"], "Entrypoint": ["x"], "Labels": {"a": "b"}, "User": "root",
        "WorkingDir": "/", "OnBuild": ["ENV X=y"], "ExposedPorts": {"1/tcp": {}}, "Volumes": {"/v": {}},
        "Healthcheck": {"Test": ["CMD", "x"]}, "Shell": ["/bin/sh", "-c"], "StopSignal": "9",
    },
)  # fmt: skip
CONFIG = json.loads(IMAGE.config_bytes)
ODD = st.sampled_from(
    [None, 0, -1, 1 << 70, 1e308, True, "", "x\ud800", "\0", "../..", "$X", [], [[]], [None], [1], ["=x"],
     ["COPY ../../.. /"], ["FROM x"], {}, {"a": 1}, {"": None}, {"Test": 5}, {"Test": [1]}, "a" * 100_000]
)  # fmt: skip


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


def changed(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    if not place:
        return odd
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    return copy


def tried(folder: Path, config: bytes, manifest: Any = None) -> None:
    """Load the image and build on it, by the API, which would raise whatever is unforeseen."""
    described = layouts.descriptor(f"{layouts.OCI}.config.v1+json", config)
    data = json.dumps({**IMAGE.manifest, "config": described} if manifest is None else manifest).encode()
    entry = layouts.descriptor(f"{layouts.OCI}.manifest.v1+json", data)
    layout = layouts.write_layout(folder / "layout", [entry], [data, config, *IMAGE.blobs])
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM app\nWORKDIR z\nENV C=$A\nCOPY Dockerfile .\nCMD d\n")
    try:
        with Store.open(str(folder / "store")) as store:
            load(store, str(layout), "app")
        jettison.build(
            str(context), root=str(folder / "store"), build_contexts={"app": f"oci-layout://{layout}"}
        )
    except JettisonError as error:
        assert error.message


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(list(places(CONFIG))), ODD)
def test_a_configuration(place: tuple[Any, ...], odd: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tried(Path(folder), json.dumps(changed(CONFIG, place, odd)).encode())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(list(places(IMAGE.manifest))), ODD)
def test_a_manifest(place: tuple[Any, ...], odd: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tried(Path(folder), IMAGE.config_bytes, changed(IMAGE.manifest, place, odd))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":1' + b"0" * 5000 + b"}",
        b" " * (5 << 20) + b"{}",
        b"\xff\xfe{",
    ],
    ids=["brackets", "braces", "digits", "blanks", "bytes"],
)
@pytest.mark.parametrize("name", ["index.json", "oci-layout", "manifest.json"])
def test_a_document_of_nothing_but_depth_or_length(tmp_path: Path, name: str, data: bytes) -> None:
    layout = layouts.layout_of(tmp_path / "layout", IMAGE, image="docker.io/library/app:v1")
    (layout / name).write_bytes(data)
    with Store.open(str(tmp_path / "store")) as store, pytest.raises(SourceError):
        load(store, str(layout), "app")
