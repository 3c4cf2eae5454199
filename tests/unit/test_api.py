"""The Python API, with a store of its own. Nothing is replaced: these are builds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jettison
from jettison.api import build_async, build_request
from jettison.config import Config
from jettison.errors import Cancelled, DockerfileError, NotFound, StepFailed
from jettison.events import BuildFinished, BuildStarted, Event, StepFinished, StepOutput, StepStarted
from jettison.request import BuildRequest, BuildResult, Output
from jettison.worker import build_in_worker, config_from_json, config_to_json

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Build = Callable[..., BuildResult]
FAILING = "FROM busybox\nRUN echo before; exit 7\n"


@pytest.fixture(scope="module")
def root(session_folder: Path, busybox_layout: Path) -> Iterator[Path]:
    folder = session_folder / "api-store"
    command = [
        sys.executable,
        "-m",
        "jettison",
        "load",
        "--root",
        str(folder),
        str(busybox_layout),
        "busybox",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    yield folder


@pytest.fixture(params=["here", "in a worker"])
def build(request: pytest.FixtureRequest, root: Path) -> Build:
    """`build_request`, and what an ordinary user gets in its place."""

    def run(asked: BuildRequest, **more: Any) -> BuildResult:
        if request.param == "here":
            return build_request(asked, root=root, **more)
        emit = more.get("on_event") or (lambda event: None)
        return build_in_worker(asked, Config(str(root)), emit, more.get("cancel") or threading.Event())

    return run


def test_a_build_its_result_and_its_events(build: Build, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    seen: list[Event] = []
    text = f"FROM busybox AS app\nCOPY file /\nRUN cat /file; printf '\\377'; echo {tmp_path}\nFROM busybox\n"
    result = build(
        BuildRequest(context=str(tmp_path), file_text=text, tags=("app=one:1", "app=two"), targets=("app",)),
        on_event=seen.append,
    )
    (image,) = result.images
    assert (image.target, result.ran) == ("app", len([e for e in seen if isinstance(e, StepStarted)]))
    assert image.tags == ("docker.io/library/one:1", "docker.io/library/two:latest")
    assert image.image_id.startswith("sha256:") and image.digest.startswith("sha256:") and image.size > 0
    output = b"".join(event.data for event in seen if isinstance(event, StepOutput))
    assert output == b"content\xff" + os.fsencode(tmp_path) + b"\n"
    assert [type(event) for event in seen if isinstance(event, (BuildStarted, BuildFinished))] == [
        BuildStarted,
        BuildFinished,
    ]


def test_a_failing_step_is_the_same_error_everywhere(build: Build, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        build(BuildRequest(context=str(tmp_path), file_text=FAILING))
    error = caught.value
    assert (error.exit_code, error.tail) == (7, ("before",))
    assert error.location is not None and error.location.first_line == 2


def test_all_problems_of_a_dockerfile_arrive(build: Build, tmp_path: Path) -> None:
    with pytest.raises(DockerfileError) as caught:
        build(BuildRequest(context=str(tmp_path), file_text="FROM busybox\nRUNN x\nCOPPY a b\n"))
    assert len(caught.value.problems) == 2


def test_cancelling_ends_what_runs(build: Build, tmp_path: Path) -> None:
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, StepOutput):
            cancel.set()

    before = time.monotonic()
    with pytest.raises(Cancelled):
        text = f"FROM busybox\nRUN echo started {tmp_path}; sleep 1000\n"
        build(BuildRequest(context=str(tmp_path), file_text=text), on_event=stop, cancel=cancel)
    assert time.monotonic() - before < 60


def test_a_file_of_the_context(build: Build, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    with pytest.raises(NotFound, match="nothing"):
        build(BuildRequest(context=str(tmp_path)))


def test_the_arguments_of_build(root: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    seen: list[Event] = []
    result = jettison.build(
        tmp_path / "in",
        dockerfile="FROM base AS one\nARG A\nRUN echo $A > /a\nFROM scratch AS two\nCOPY --from=one /a /\n",
        target="two",
        build_args={"A": None},
        environment={"A": "from the caller"},
        build_contexts={"base": "docker-image://busybox"},
        outputs=Output("local", str(tmp_path / "out")),
        no_cache=["one"],
        on_event=seen.append,
        root=root,
    )
    assert (tmp_path / "out" / "a").read_text() == "from the caller\n"
    assert [image.target for image in result.images] == ["two"]
    ran = [event for event in seen if isinstance(event, StepFinished) and not event.cached]
    assert ran


def test_events_come_one_at_a_time(root: Path, tmp_path: Path) -> None:
    text = (
        "FROM busybox AS a\nRUN seq 300\nFROM busybox AS b\nRUN seq 301\nFROM a\nCOPY --from=b /bin/sh /x\n"
    )
    busy = threading.Lock()
    overlaps: list[Event] = []

    def watch(event: Event) -> None:
        if not busy.acquire(blocking=False):
            overlaps.append(event)
            return
        busy.release()

    jettison.build(tmp_path, dockerfile=text, no_cache=True, on_event=watch, root=root)
    assert overlaps == []


def test_in_an_event_loop(root: Path, tmp_path: Path) -> None:
    result = asyncio.run(build_async(tmp_path, dockerfile="FROM busybox\n", root=root))
    assert len(result.images) == 1


def test_a_cancelled_task_stops_the_build(root: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        running = asyncio.Event()
        loop = asyncio.get_running_loop()

        def watch(event: Event) -> None:
            if isinstance(event, StepOutput):
                loop.call_soon_threadsafe(running.set)

        text = f"FROM busybox\nRUN echo {tmp_path}; sleep 1000\n"
        task = asyncio.create_task(build_async(tmp_path, dockerfile=text, root=root, on_event=watch))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_worker_does_not_write_to_standard_output(root: Path, tmp_path: Path) -> None:
    with pytest.raises(jettison.JettisonError, match="standard output"):
        request = BuildRequest(context=str(tmp_path), outputs=(Output("tar", "-"),))
        build_in_worker(request, Config(str(root)), lambda event: None, threading.Event())


def test_configurations_come_back(root: Path) -> None:
    from jettison.config import RegistryConfig

    registries = {"docker.io": RegistryConfig(("http://m",), True)}
    config = Config("/r", "crun", registries, "/ca", 5.0, "20G", "builtin")
    assert config_from_json(config_to_json(config)) == config


def test_build_stays_the_function_whatever_is_imported() -> None:
    code = "import jettison, jettison.build; print(jettison.build.__module__, callable(jettison.build))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "jettison.api True\n"


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, jettison; print(*sorted(m for m in sys.modules if m.startswith('jettison')))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["jettison", "jettison.version"]
