from __future__ import annotations

from jettison.oci import media
from jettison.oci.config import History, ImageConfig
from jettison.oci.describe import history_rows, image_row, inspect_data
from jettison.oci.descriptor import Descriptor
from jettison.oci.manifest import Manifest

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
MANIFEST = Manifest(
    Descriptor(media.OCI_CONFIG, C, 9),
    (Descriptor(media.OCI_LAYER_GZIP, A, 10), Descriptor(media.OCI_LAYER_GZIP, B, 20)),
)
CONFIG = ImageConfig(
    "linux", "arm64", created="2026-01-02T03:04:05Z", config={"Cmd": ["x"]}, diff_ids=(B, A),
    history=(
        History(created_by="one"), History(created_by="env", empty_layer=True), History(created_by="two")
    ),
)  # fmt: skip


def test_history_is_newest_first() -> None:
    rows = history_rows(MANIFEST, CONFIG)
    assert [(row.created_by, row.size, row.layer) for row in rows] == [
        ("two", 20, B),
        ("env", 0, ""),
        ("one", 10, A),
    ]
    assert rows[0].diff_id == A


def test_layers_without_history() -> None:
    rows = history_rows(MANIFEST, ImageConfig("linux", "amd64", diff_ids=(B, A), history=CONFIG.history[:2]))
    assert [(row.created_by, row.size) for row in rows] == [("env", 0), ("one", 20), ("", 10)]


def test_image_row() -> None:
    row = image_row("docker.io/library/app:v1", A, MANIFEST, CONFIG)
    assert (row.repository, row.tag, row.image_id, row.size) == ("app", "v1", C, 30)
    assert row.platform == "linux/arm64"
    pinned = image_row(f"host.io:5000/app@{A}", A, MANIFEST, CONFIG)
    assert (pinned.repository, pinned.tag) == ("host.io:5000/app", "<none>")


def test_inspect() -> None:
    data = inspect_data(["docker.io/library/app:v1", "docker.io/library/app:v2"], A, MANIFEST, CONFIG)
    assert (
        data["Id"] == C and data["RepoTags"] == ["app:v1", "app:v2"] and data["RepoDigests"] == [f"app@{A}"]
    )
    assert data["RootFS"]["Layers"] == [B, A] and data["Config"] == {"Cmd": ["x"]} and data["Size"] == 30
    assert "Variant" not in data and data["Architecture"] == "arm64"
