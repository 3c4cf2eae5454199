"""Keeping a store small: the cap, prune and du, with builds and containers going on meanwhile."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Done, Jettison
from tests.unit.store.layers_of import needs_root

pytestmark = needs_root
Project = Callable[..., Path]

TWO_STAGES = """\
FROM busybox AS builder
RUN --mount=type=cache,target=/cache head -c 2000000 /dev/urandom >/big && cp /big /cache/copy
FROM busybox
COPY --from=builder /big /big
"""

WAIT = "touch {0}/started; while [ ! -e {0}/go ]; do sleep 0.05; done"


def disk(path: Path) -> int:
    """The bytes that `du` counts."""
    said = subprocess.run(["du", "-s", "-B1", path], capture_output=True, text=True, check=True).stdout
    return int(said.split()[0])


def du(jettison: Jettison) -> Any:
    return json.loads(jettison.ok("du", "--format", "json").out)


def age(root: Path, days: float) -> None:
    """Let everything in a store have been used so many days earlier."""
    with sqlite3.connect(root / "jettison.db") as connection:
        for table in ("records", "layers", "cache_mounts"):
            connection.execute(f"UPDATE {table} SET last_used = last_used - ?", (days * 86400,))
        connection.execute("UPDATE images SET created = created - ?", (days * 86400,))
    connection.close()
    for folder in ("blobs/sha256", "memo"):
        for path in (root / folder).iterdir():
            at = path.stat().st_mtime - days * 86400
            os.utime(path, (at, at))


def test_du_agrees_with_du_to_the_byte(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=TWO_STAGES))
    jettison.ok("build", "--no-cache", project())
    found = du(jettison)
    for name in ("layers", "blobs", "cache-mounts", "memo"):
        assert found["folders"][name] == disk(jettison.root / name), name
    assert sum(one["size"] for one in found["types"]) == found["total"]
    sizes = {one["type"]: one for one in found["types"]}
    assert sizes["cache mounts"]["size"] >= 2_000_000 and sizes["steps"]["count"] >= 2
    assert {stage["stage"] for stage in found["stages"]} == {"builder", "stage-1"}
    images = {item["id"]: item for item in found["items"] if item["type"] == "image"}
    assert images["docker.io/library/app:latest"]["size"] > 2_000_000
    text = jettison.ok("du", "--verbose").out
    assert "builder 2/2] RUN --mount=type=cache" in text and "app:latest" in text and "/cache" in text


def test_listings_belong_to_their_steps(jettison: Jettison, project: Project) -> None:
    text = "FROM busybox AS b\nCOPY one /d/\nFROM busybox\nCOPY . /c\nCOPY --from=b /d /d\n"
    folder = project({"one": "1", "two": "2"}, dockerfile=text)
    jettison.ok("build", folder)
    listings = jettison.root / "listings"
    assert len(list(listings.iterdir())) == 3
    assert not [item for item in du(jettison)["items"] if item["type"] == "orphan"]
    jettison.ok("prune", "--all")
    assert not list(listings.iterdir())


def test_prune_keeps_what_tagged_images_need(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=TWO_STAGES))
    jettison.ok("build", "--no-cache", project())
    promised = jettison.ok("prune", "--all", "--dry-run").out
    before = du(jettison)
    jettison.ok("prune", "--all", "--force")
    after = du(jettison)
    assert before["total"] - after["total"] > 6_000_000 and "Would free" in promised
    assert abs(before["reclaimable"] - (before["total"] - after["total"])) < 200_000
    assert {one["type"] for one in after["items"]} == {"image"}
    assert jettison.ok("run", "app", "wc", "-c", "/big").out.split()[0] == "2000000"
    jettison.ok("save", "-o", project() / "saved.tar", "app")
    assert "all sound" in jettison.ok("check-store").out
    assert len(jettison.ok("build", "--progress", "jsonl", project()).events("StepStarted")) >= 2


def test_prune_takes_only_what_the_filters_say(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", project(dockerfile=TWO_STAGES))
    age(jettison.root, 3)

    def would(*filters: str) -> set[str]:
        out = jettison.ok("prune", "--dry-run", "--format", "json", *filters).out
        return {json.loads(line)["type"] for line in out.splitlines()}

    assert would("--filter", "until=24h") == {"step", "image"}
    assert would("--filter", "unused-for=7d") == set()
    assert would("--filter", "type=exec.cachemount") == {"cache-mount"}
    assert would("--filter", "stage=builder") == {"step"} and would("--filter", "stage=other") == set()
    assert would("--filter", "id=sha256:") == set()
    assert would("--cache-max", "1T") == set() and would("--keep-storage", "10GB") == set()
    for wrong in ("until=soon", "type=x", "colour=red", "until"):
        refused = jettison("prune", "--filter", wrong)
        assert refused.code == 2 and "hint" in refused.err
    assert jettison("prune", "--cache-max", "none").code == 2
    jettison.ok("prune", "--filter", "id=/cache")
    assert list((jettison.root / "cache-mounts").iterdir()) == []


def test_a_build_keeps_the_store_below_its_cap(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nARG N\nRUN head -c 3000000 /dev/urandom >/$N\n")
    cap = 12_000_000
    for number in range(5):
        done = jettison.ok("build", "--build-arg", f"N={number}", "--cache-max", str(cap), folder)
        assert done.code == 0 and disk(jettison.root) <= cap
    assert disk(jettison.root) > cap / 2
    again = jettison.ok(
        "build", "--build-arg", "N=4", "--progress", "jsonl", folder, env={"JETTISON_CACHE_MAX": "1M"}
    )
    assert again.events("BuildFinished")[0]["ran"] == 0, "the newest step is still there"
    refused = jettison("build", "--cache-max", "much", folder)
    assert refused.code != 0 and "--cache-max is 'much'" in refused.err


@contextmanager
def waiting(jettison: Jettison, root: Path, *words: object) -> Iterator[Callable[[], Done]]:
    """A command that waits in a container until it is let go; gives what lets it go and waits for its end."""
    process = jettison.start(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        patience = time.monotonic() + 60
        while not (root / "started").exists():
            assert process.poll() is None and time.monotonic() < patience
            threading.Event().wait(0.02)

        def end() -> Done:
            (root / "go").touch()
            out, err = process.communicate(timeout=60)
            return Done(process.returncode, out, err)

        yield end
    finally:
        process.kill()
        process.wait()


def test_what_a_running_build_needs_stays(jettison: Jettison, project: Project) -> None:
    mount = "--mount=type=cache,id=signal,target=/signal"
    folder = project(
        {"f": "text", "first": f"FROM busybox\nRUN {mount} true\n"},
        "FROM busybox AS base\nRUN echo kept >/kept\nCOPY f /f\n"
        f"FROM base AS slow\nRUN {mount} {WAIT.format('/signal')}\n"
        "FROM base\nCOPY --from=slow /kept /again\n",
    )
    jettison.ok("build", "--target", "base", folder)
    jettison.ok("build", "-f", "first", folder)
    age(jettison.root, 30)
    signal = jettison.root / "cache-mounts" / "signal"
    with waiting(jettison, signal, "build", "-t", "app", "--progress", "jsonl", folder) as end:
        jettison.ok("rmi", "busybox")
        pruned = jettison.ok("prune", "--all", "--format", "json").out
        assert pruned, "what the build does not need goes"
        done = end()
    assert done.code == 0, done.text[-2000:]
    assert jettison.ok("run", "app", "cat", "/again", "/kept", "/f").out == "kept\nkept\ntext"


def test_what_a_container_needs_stays(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile="FROM busybox\nRUN echo kept >/kept\n"))
    age(jettison.root, 30)
    shared = tmp_path / "shared"
    shared.mkdir()
    script = WAIT.format("/s") + "; cat /kept; ls /bin | wc -l"
    with waiting(jettison, shared, "run", "-v", f"{shared}:/s", "app", "sh", "-c", script) as end:
        jettison.ok("rmi", "app", "busybox")
        jettison.ok("prune", "--all")
        done = end()
    assert done.code == 0 and done.out.startswith("kept\n") and int(done.out.split()[1]) > 50
    jettison.ok("prune", "--all")
    assert du(jettison)["folders"]["blobs"] < 20_000, "and goes when it is over"


def test_a_prune_that_is_killed_does_no_harm(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile=TWO_STAGES))
    jettison.ok("build", "--no-cache", project())
    for moment in (0.07, 0.1, 0.12, 0.15):
        copy = Jettison(tmp_path / f"store{moment}")
        subprocess.run(["cp", "-a", jettison.root, copy.root], check=True)
        process = copy.start("prune", "--all", stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert "all sound" in copy.ok("check-store").out
        assert copy.ok("build", "-t", "new", project()).code == 0
        for name in ("app", "new"):
            assert copy.ok("run", name, "wc", "-c", "/big").out.split()[0] == "2000000"


@pytest.mark.slow
def test_builds_and_prunes_go_on_side_by_side(jettison: Jettison, tmp_path: Path) -> None:
    wrong: list[str] = []
    over = threading.Event()

    def builds(who: str) -> None:
        folder = tmp_path / who
        folder.mkdir()
        for number in range(6):
            (folder / "f").write_text(f"{who} {number // 2}\n")
            (folder / "Dockerfile").write_text(
                "FROM busybox AS a\nCOPY f /f\nRUN cp /f /g\nFROM busybox\nRUN echo shared >/s\n"
                "COPY --from=a /g /g\n"
            )
            options = ["--no-cache"] if number % 3 == 2 else []
            done = jettison("build", "-t", who, *options, folder)
            shown = jettison("run", who, "cat", "/g", "/s")
            if done.code or shown.out != f"{who} {number // 2}\nshared\n":
                wrong.append(done.text + shown.text)

    def prunes() -> None:
        while not over.is_set():
            done = jettison("prune", "--all")
            if done.code:
                wrong.append(done.text)

    builders = [threading.Thread(target=builds, args=(who,)) for who in ("one", "two")]
    pruner = threading.Thread(target=prunes)
    for thread in (*builders, pruner):
        thread.start()
    for thread in builders:
        thread.join()
    over.set()
    pruner.join()
    assert wrong == []
    assert "all sound" in jettison.ok("check-store").out
