"""`jettison check-store`: flipped bits and lost files are found, told by image, and mended if possible."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Jettison
from tests.unit.store.layers_of import needs_root

pytestmark = needs_root
Project = Callable[..., Path]

APP = """\
FROM busybox AS made
RUN head -c 100000 /dev/urandom >/data
FROM busybox
COPY --from=made /data /data
"""


def flip(path: Path) -> None:
    """Change one bit, and none of what the file system says of the file."""
    at = path.stat()
    fd = os.open(path, os.O_RDWR)
    byte = os.pread(fd, 1, at.st_size // 2)
    os.pwrite(fd, bytes([byte[0] ^ 4]), at.st_size // 2)
    os.close(fd)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


def check(jettison: Jettison, *options: str, code: int = 0) -> Any:
    done = jettison("check-store", "--format", "json", *options)
    assert done.code == code, done.text
    return json.loads(done.out)


def blobs_of(jettison: Jettison, name: str) -> list[Path]:
    """The blobs of an image's layers, the lowest first."""
    (facts,) = json.loads(jettison.ok("inspect", name).out)
    return [jettison.root / "blobs" / layer["digest"].replace(":", "/") for layer in facts["Layers"]]


def tree_with(jettison: Jettison, name: str) -> Path:
    (path,) = jettison.root.glob(f"layers/*/tree/{name}")
    return path


def query(jettison: Jettison, sql: str) -> list[Any]:
    with sqlite3.connect(jettison.root / "jettison.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def test_a_sound_store_is_said_to_be_sound(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    jettison.ok("run", "app", "true")
    first, second = check(jettison), check(jettison)
    assert first["damages"] == second["damages"] == [] and first["blobs"] >= 6
    assert first["noted"] == 1 and second["noted"] == 0, "only the stage that no image has is taken as it is"
    jettison.ok("build", "-t", "app", "-o", "type=image", "--no-cache", project())
    assert check(jettison)["damages"] == []


def test_layers_with_earlier_times_are_whole_layers(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile=APP)
    jettison.ok("build", "-t", "app", "--build-arg", "SOURCE_DATE_EPOCH=1000000", folder)
    assert check(jettison)["damages"] == []
    jettison.ok("prune", "--all")
    assert jettison.ok("run", "app", "stat", "-c", "%s %Y", "/data").out == "100000 1000000\n"
    assert check(jettison)["damages"] == []


def test_a_blob_that_the_files_of_its_layer_can_make_again(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project({"f": "x" * 5000}, "FROM busybox\nCOPY f /f\n"))
    jettison.ok("run", "app", "true")
    damaged = blobs_of(jettison, "app")[-1]
    before = damaged.read_bytes()
    flip(damaged)
    found = check(jettison, code=1)
    assert [one["images"] for one in found["damages"]] == [["docker.io/library/app:latest"]]
    text = jettison("check-store").out
    assert "hurts the image app:latest" in text and "1 damaged" in text and "--repair" in text
    healed = check(jettison, "--repair")
    assert [one["outcome"] for one in healed["damages"]] == ["made again"] and healed["removed_images"] == []
    assert damaged.read_bytes() == before and check(jettison)["damages"] == []


def test_a_base_layer_is_fetched_again(
    empty_jettison: Jettison, busybox_layout: Path, project: Project
) -> None:
    context = f"--build-context=busybox=oci-layout://{busybox_layout}"
    empty_jettison.ok("build", context, "-t", "app", project(dockerfile=APP))
    damaged = blobs_of(empty_jettison, "app")[0]
    flip(damaged)
    healed = check(empty_jettison, "--repair")
    assert [one["outcome"] for one in healed["damages"]] == ["made again"]
    assert check(empty_jettison)["damages"] == []
    assert empty_jettison.ok("run", "app", "wc", "-c", "/data").out.startswith("100000")


def test_files_of_a_layer_are_unpacked_again(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    flip(tree_with(jettison, "bin/busybox"))
    found = check(jettison, code=1)
    assert [one["type"] for one in found["damages"]] == ["tree"]
    assert set(found["damages"][0]["images"]) == {
        f"docker.io/library/{name}:latest" for name in ("app", "busybox")
    }
    assert check(jettison, "--repair")["damages"][0]["outcome"] == "made again from its blob"
    assert check(jettison)["damages"] == []
    flip(tree_with(jettison, "bin/busybox"))
    assert check(jettison, code=1)["damages"], "and a second time, compared with what was noted"


def test_a_step_that_only_has_files_runs_again(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    check(jettison)
    flip(tree_with(jettison, "data"))
    assert [one["images"] for one in check(jettison, code=1)["damages"]] == [[]]
    gone = check(jettison, "--repair")
    assert gone["removed_images"] == [] and gone["removed_records"] >= 1
    assert check(jettison)["damages"] == []
    jettison.ok("run", "app", "true")
    again = jettison.ok("build", "--target", "made", "--progress", "jsonl", project())
    assert again.events("BuildFinished")[0]["ran"] >= 1


def test_what_nothing_can_bring_back_is_removed_and_nothing_else(
    jettison: Jettison, project: Project
) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    jettison.ok("build", "-t", "other", project(dockerfile="FROM busybox\nRUN echo other >/other\n"))
    flip(blobs_of(jettison, "app")[-1])
    gone = check(jettison, "--repair", code=1)
    assert gone["removed_images"] == ["docker.io/library/app:latest"]
    assert check(jettison)["damages"] == []
    assert jettison.ok("run", "other", "cat", "/other").out == "other\n"
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    assert jettison.ok("run", "app", "wc", "-c", "/data").out.startswith("100000")


def test_lost_files_are_found(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=APP))
    (facts,) = json.loads(jettison.ok("inspect", "busybox").out)
    (jettison.root / "blobs" / facts["Id"].replace(":", "/")).unlink()
    shutil.rmtree(tree_with(jettison, "data").parents[1])
    query(jettison, "INSERT INTO records VALUES ('sha256:77', '[\"gone\"]', '{}', 0, 0, 0, 0)")
    index = next(jettison.root.glob("layers/*/index"))
    index.write_bytes(index.read_bytes()[:-9])
    found = check(jettison, code=1)
    assert {one["type"] for one in found["damages"]} == {"image", "layer", "record", "index"}
    mended = check(jettison, "--repair", code=1)
    assert mended["removed_images"] == ["docker.io/library/busybox:latest"]
    assert check(jettison)["damages"] == []
    assert jettison.ok("run", "app", "wc", "-c", "/data").out.startswith("100000")
