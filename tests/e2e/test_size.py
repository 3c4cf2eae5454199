"""`jettison size`, and the limits of builds, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jettison import build
from jettison.errors import ExportError
from tests import layer_bytes
from tests.conftest import Done, Jettison

Project = Callable[..., Path]

DOCKERFILE = """\
FROM busybox AS builder
WORKDIR /src
COPY main.c .
RUN head -c 400000 /dev/urandom >prog && head -c 3000000 /dev/zero >rest

FROM busybox AS final
COPY --from=builder /src/prog /app/prog
COPY data /app/data
RUN chown -R 1000:1000 /app
RUN mkdir -p /root/.npm/_cacache && cp /bin/busybox /root/.npm/_cacache/x
RUN rm /app/data/gone
"""
FILES = {"main.c": "int main;", "data/gone": b"g" * 50_000, "data/kept": b"k" * 70_000}


@pytest.fixture
def folder(project: Project) -> Path:
    return project(FILES, DOCKERFILE)


def document(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


def images(jettison: Jettison) -> str:
    return jettison.ok("images", "--format", "json").out


def test_an_image_that_was_built_here(jettison: Jettison, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "image.tar"
    jettison.ok("build", "-t", "app", "-o", "type=image", "-o", f"type=oci,dest={out}", folder)
    report = document(jettison.ok("size", "--format", "json", "app"))

    keys = ("compressed", "files", "size")
    assert [{key: layer[key] for key in keys} for layer in report["layers"]] == layer_bytes.of_archive(out)
    assert report["size"] == sum(layer["size"] for layer in report["layers"])
    assert report["origins_known"]
    assert [(layer["source"], layer["line"]) for layer in report["layers"] if not layer["base"]] == [
        ("builder", 7), ("build context", 8), ("final", 9), ("final", 10), ("final", 11),
    ]  # fmt: skip
    sources = {item["source"]: item["size"] for item in report["sources"]}
    assert (sources["builder"], sources["build context"]) == (400_000, 120_000)
    assert report["builder"]["stage"] == "builder"
    assert report["builder"]["size"] == sources["busybox:latest"] + 3_400_009

    waste = [(item["why"], item["size"], item["fix"]) for item in report["waste"]["items"]]
    fix = "COPY --chown=1000:1000 in Dockerfile:{}, instead of Dockerfile:9"
    assert ("stored again", 400_000, fix.format(7)) in waste
    assert ("stored again", 120_000, fix.format(8)) in waste
    assert [size for why, size, _ in waste if why == "deleted"] == [50_000]
    busybox = [item for item in report["waste"]["items"] if item["why"] == "duplicate"]
    assert [item["paths"] for item in busybox] == [["/root/.npm/_cacache/x"]]
    assert [item["what"] for item in report["need_not_ship"]] == ["npm's cache"]

    text = jettison.ok("size", "app").out
    assert max(map(len, text.splitlines())) <= 80
    assert "times smaller than its builder (builder:" in text
    cut = jettison.ok("size", "--top", "1", "app").out
    assert "and 5 more: --top 6" in cut


def test_a_target_is_taken_from_the_cache_and_never_built(jettison: Jettison, folder: Path) -> None:
    of_builder = ("size", "--format", "json", "--target", "builder", folder)
    refused = jettison(*of_builder)
    assert refused.code == 1
    assert "builder has not been built as it is now" in refused.err
    assert f"hint: build it first: jettison build --target builder {folder}" in refused.err

    jettison.ok("build", "-t", "app", folder)
    before = images(jettison)
    builder = document(jettison.ok(*of_builder))
    final = document(jettison.ok("size", "--format", "json", "--target", "final", folder))
    stored = document(jettison.ok("size", "--format", "json", "app"))
    assert {**final, "name": ""} == {**stored, "name": ""}
    assert builder["size"] == final["builder"]["size"]
    assert images(jettison) == before

    (folder / "main.c").write_text("int other;")
    assert jettison(*of_builder).code == 1


def test_an_image_that_came_from_elsewhere(
    jettison: Jettison, busybox_layout: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "image.tar"
    jettison.ok("build", "-o", f"type=oci,dest={out}", folder)
    other = Jettison(tmp_path / "other")
    other.ok("load", out, "app")
    report = document(other.ok("size", "--format", "json", "app"))
    keys = ("compressed", "files", "size")
    assert [{key: layer[key] for key in keys} for layer in report["layers"]] == layer_bytes.of_archive(out)
    assert not report["origins_known"]
    assert {item["source"] for item in report["sources"]} == {"not known"}
    words = [layer["instruction"].split()[0] for layer in report["layers"][1:]]
    assert words == ["COPY", "COPY", "RUN", "RUN", "RUN"]
    assert "is not known" in other.ok("size", "app").out

    other.ok("load", busybox_layout, "busybox")
    report = document(other.ok("size", "--format", "json", "app"))
    assert (report["base"], [layer["base"] for layer in report["layers"]]) == (
        "busybox:latest",
        [True, *[False] * 5],
    )


def test_an_image_beyond_a_limit_is_not_written_anywhere(
    jettison: Jettison, folder: Path, tmp_path: Path
) -> None:
    out, files = tmp_path / "image.tar", tmp_path / "files"
    before = images(jettison)
    outputs = ("-t", "app", "-o", "type=image", "-o", f"type=oci,dest={out}", "-o", files)
    large = jettison("build", "--max-size", "500kB", *outputs, folder)
    assert large.code == 1
    assert "ERROR: " in large.err
    assert "the image of final has " in large.err
    assert "--max-size allows 500.0 kB" in large.err
    assert "  RUN chown -R 1000:1000 /app (" in large.err
    assert "Traceback" not in large.text

    wasteful = jettison("build", "--max-waste", "5%", *outputs, folder)
    assert wasteful.code == 1
    assert "of its files; --max-waste allows 5%" in wasteful.err
    assert "COPY --chown=1000:1000 in " in wasteful.err
    assert ">>> RUN" in wasteful.err
    assert images(jettison) == before
    assert not out.exists()
    assert not files.exists()

    with pytest.raises(ExportError, match=r"--max-size allows 1\.0 kB"):
        build(folder, tags="app", max_size=1000, root=jettison.root)
    assert images(jettison) == before

    jettison.ok("build", "--max-size", "20MiB", "--max-waste", "99", *outputs, folder)
    assert out.exists()
    assert files.exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("build", "--max-size", "5%", "."), "20MB"),
        (("build", "--max-size", "-1", "."), "20MB"),
        (("build", "--max-size", "many", "."), "20MB"),
        (("build", "--max-waste", "101", "."), "5%"),
        (("build", "--max-waste", "nan", "."), "5%"),
        (("size",), "usage: jettison size"),
        (("size", "--top", "0", "app"), "--top 20"),
        (("size", "--format", "xml", "app"), "text or json"),
        (("size", "--target", "a", "--target", "b", "."), "one --target"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_hint(
    empty_jettison: Jettison, tmp_path: Path, words: tuple[str, ...], hint: str
) -> None:
    done = empty_jettison(*words, cwd=tmp_path)
    assert done.code == 2, done.text
    assert hint in done.err


def test_a_folder_in_place_of_an_image(empty_jettison: Jettison, tmp_path: Path) -> None:
    done = empty_jettison("size", tmp_path)
    assert done.code == 1
    assert f"jettison size --target STAGE {tmp_path}" in done.err
