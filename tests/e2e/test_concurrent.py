"""Several builds of one store at a time: nothing is done twice, nothing is broken, nobody waits for ever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.storecheck import StoreCheck

BUILDERS = 8

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

STAGES = """\
FROM busybox AS common
COPY src /src
RUN --mount=type=cache,id=log,target=/log echo common >>/log/ran; cat /src/* >/common
FROM common AS left
RUN --mount=type=cache,id=log,target=/log echo left >>/log/ran; echo left >/left
FROM common AS right
RUN --mount=type=cache,id=log,target=/log echo right >>/log/ran; head -c 200000 /dev/zero >/right
"""
OWN = """\
FROM busybox
COPY --from=left /left /out/
COPY --from=right /right /out/
RUN --mount=type=cache,id=log,target=/log echo {name} >>/log/ran; cat /common /out/left >/all || true
"""


def written(folder: Path, dockerfile: str) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src/a").write_text("a")
    (folder / "src/b").write_text("b" * 5000)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def together(jettison: Jettison, commands: Sequence[Iterable[object]]) -> list[Done]:
    """Run commands at the same time; all have to end well."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: jettison.ok(*words, timeout=60), commands))


def ran(jettison: Jettison) -> Counter[str]:
    """How often each step of the projects was carried out, as the steps themselves have written it."""
    [log] = jettison.root.glob("cache-mounts/*/ran")
    return Counter(log.read_text().split())


def steps(done: Iterable[Done]) -> Counter[str]:
    """How often each step was carried out, as the builds tell it."""
    return Counter(
        event["name"].partition("] ")[2]
        for one in done
        for event in one.events("StepFinished")
        if not event["cached"] and "FROM" not in event["name"]
    )


def test_the_same_project_by_many(jettison: Jettison, tmp_path: Path) -> None:
    """Every step runs once, whoever carries it out, and all get the same image."""
    folder = written(tmp_path / "app", STAGES + OWN.format(name="final"))
    words = [
        ("build", "--progress", "jsonl", "-t", f"app{n}", "-o", f"type=oci,dest={tmp_path}/{n}.tar",
         "-o", "type=image", folder)
        for n in range(BUILDERS)
    ]  # fmt: skip
    done = together(jettison, words)
    assert ran(jettison) == {"common": 1, "left": 1, "right": 1, "final": 1}
    assert set(steps(done).values()) == {1} and len(steps(done)) == 7
    assert len({one.events("Exported")[0]["digest"] for one in done}) == 1
    assert len({(tmp_path / f"{n}.tar").stat().st_size for n in range(BUILDERS)}) == 1
    StoreCheck(jettison.root).assert_sound()


def test_different_projects_with_common_stages(jettison: Jettison, tmp_path: Path) -> None:
    """Each in a folder of its own, two builds of each; what is equal in all runs once."""
    words = []
    for n in range(BUILDERS // 2):
        folder = written(tmp_path / str(n), STAGES + OWN.format(name=f"final{n}"))
        words += [("build", "--progress", "jsonl", "-t", f"app{n}", folder)] * 2
    random.Random(1).shuffle(words)
    together(jettison, words)
    finals = {f"final{n}": 1 for n in range(BUILDERS // 2)}
    assert ran(jettison) == {"common": 1, "left": 1, "right": 1, **finals}
    StoreCheck(jettison.root).assert_sound()


@pytest.fixture
def started(jettison: Jettison) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = jettison.start(*words, text=True, stdout=pipe, stderr=pipe)
        processes.append(process)
        return process  # type: ignore[no-any-return]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def await_that(what: Callable[[], object]) -> None:
    """Poll until something is true, for 20 s at most."""
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "this never came true"


def holds_open(process: subprocess.Popen[str], folder: Path) -> bool:
    """Whether a process has a file of a folder open."""
    paths = []
    for name in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            paths.append(os.readlink(f"/proc/{process.pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return any(path.startswith(f"{folder}/") for path in paths)


def test_whoever_waits_takes_over_from_a_builder_that_was_killed(
    jettison: Jettison, tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    text = (
        "FROM busybox\nRUN --mount=type=cache,id=log,target=/log echo run >>/log/ran;"
        " [ -e /log/open ] || sleep 600; echo done >/out\n"
    )
    folder = written(tmp_path / "app", text)
    holder = started("build", "-q", folder)
    await_that(lambda: list(jettison.root.glob("cache-mounts/*/ran")) and ran(jettison)["run"] == 1)
    waiting = [started("build", "-q", folder) for _ in range(3)]
    await_that(lambda: all(holds_open(process, jettison.root / "locks") for process in waiting))
    [log] = jettison.root.glob("cache-mounts/*/ran")
    log.with_name("open").touch()
    holder.send_signal(signal.SIGKILL)
    images = {process.communicate(timeout=30)[0] for process in waiting}
    assert [process.returncode for process in waiting] == [0, 0, 0]
    assert len(images) == 1 and ran(jettison)["run"] == 2
    jettison.ok("build", "-q", folder)
    StoreCheck(jettison.root).assert_sound()


def test_steps_that_want_the_same_caches(jettison: Jettison, tmp_path: Path) -> None:
    """In another order, or one of them twice: nobody waits for somebody who waits for him."""
    first = "--mount=type=cache,id=x,target=/a,sharing=locked"
    second = "--mount=type=cache,id=y,target=/b,sharing=locked"
    twice = "--mount=type=cache,id=x,target=/c,sharing=locked"
    inside = "mkdir /a/busy /b/busy && rmdir /a/busy /b/busy && ls /c"
    text = ""
    for name, mounts in (("one", (first, second, twice)), ("two", (twice, second, first))):
        text += f"FROM busybox AS {name}\n"
        text += "".join(f"RUN {' '.join(mounts)} {inside}; echo {n} >/{name}\n" for n in range(4))
    text += "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    folder = written(tmp_path / "app", text)
    together(jettison, [("build", "-q", "--no-cache", folder)] * 3)
    StoreCheck(jettison.root).assert_sound()


def test_images_come_and_go_while_builds_run(
    jettison: Jettison, busybox_layout: Path, tmp_path: Path
) -> None:
    """load, tag, rmi, save and images beside four builds of four projects, again and again."""
    folders = [written(tmp_path / str(n), STAGES + OWN.format(name=f"final{n}")) for n in range(4)]

    def build(n: int) -> None:
        for round in range(3):
            (folders[n] / "src/a").write_text(f"round {round} of {n % 2}")
            jettison.ok("build", "-q", "-t", f"app{n}", folders[n])

    def others(n: int) -> None:
        for round in range(3):
            jettison.ok("load", busybox_layout, f"other{n}")
            jettison.ok("tag", f"other{n}", f"again{n}")
            jettison.ok("save", "-o", tmp_path / f"saved{n}.tar", f"again{n}")
            jettison.ok("rmi", f"other{n}", f"again{n}")
            assert f"again{n}" not in jettison.ok("images").out, round

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(build, n) for n in range(4)] + [pool.submit(others, n) for n in range(2)]
        for job in running:
            job.result(timeout=90)
    jettison.ok("build", "-q", folders[0])
    StoreCheck(jettison.root).assert_sound()
    listed = jettison.ok("images").out
    assert all(f"app{n}" in listed for n in range(4)) and "other" not in listed
