from __future__ import annotations

import json

import pytest

from jettison.errors import SourceError
from jettison.oci.config import History, ImageConfig, config_bytes, parse_config

DIFF_ID = "sha256:" + "d" * 64


def test_round_trip() -> None:
    config = ImageConfig(
        os="linux",
        architecture="arm",
        variant="v7",
        author="somebody",
        created="2026-01-02T03:04:05Z",
        config={"Env": ["A=ü"], "Healthcheck": {"Test": ["NONE"]}, "OnBuild": ["RUN x"], "Odd": {"b": 1}},
        diff_ids=(DIFF_ID,),
        history=(
            History("2026-01-02T03:04:05Z", "RUN x", "c", "a"),
            History(created_by="ENV A=ü", empty_layer=True),
        ),
        extra={"os.version": "1", "moby.buildkit.cache.v0": "x"},
    )
    data = config_bytes(config)
    assert parse_config(data) == config
    assert config_bytes(parse_config(data)) == data
    assert list(json.loads(data)) == sorted(json.loads(data))
    assert "ü".encode() in data


def test_empty_fields_are_left_out() -> None:
    value = json.loads(config_bytes(ImageConfig("linux", "amd64")))
    assert value == {
        "architecture": "amd64", "config": {}, "history": [], "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }  # fmt: skip


def test_nulls_and_missing_fields() -> None:
    data = b'{"os":"linux","config":{"Env":null,"Cmd":["a"]},"history":null,"rootfs":null,"x":null}'
    assert parse_config(data) == ImageConfig("linux", "", config={"Cmd": ["a"]})
    assert parse_config(b"{}") == ImageConfig("", "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x", "not valid JSON"),
        (b"3", "must be a JSON object"),
        (b'{"config": []}', None),
        (b'{"config": [1]}', "config must be an object"),
        (b'{"history": {"a": 1}}', "history must be a list"),
        (b'{"history": [1]}', "entry of history"),
        (b'{"rootfs": {"diff_ids": ["sha256:1"]}}', "no digest"),
        (b'{"os": 3}', "os must be a string"),
    ],
)
def test_bad_documents(data: bytes, words: str | None) -> None:
    if words is None:
        assert parse_config(data).config == {}
        return
    with pytest.raises(SourceError, match=words):
        parse_config(data)


def test_bytes_that_are_not_utf8_stop_nothing() -> None:
    data = config_bytes(ImageConfig("linux", "amd64", config={"Env": ["A=\udcff"]}))
    assert "\ufffd" in json.loads(data)["config"]["Env"][0]
