"""Builds that are killed at any moment: the next one works, nothing half is used, nothing is left or lost."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance import imagetree
from tests.conftest import Jettison
from tests.storecheck import StoreCheck, users_of

Project = Callable[..., Path]

MOMENTS = 200 if os.environ.get("JETTISON_TEST_ALL") else 60
SEED = int(os.environ.get("JETTISON_TEST_SEED") or random.SystemRandom().randrange(1 << 32))

DOCKERFILE = """\
FROM busybox AS common
COPY src /src
RUN cat /src/f* >/common

FROM common AS left
RUN --mount=type=cache,target=/cache cat /src/nonce >>/cache/log; cat /common /src/nonce >/left

FROM common AS right
RUN head -c 300000 /dev/zero | tr '\\0' x >/right; rm /src/f1; mkdir -p /d/e; ln /right /d/e/again

FROM busybox
COPY --from=left /left /src/nonce /out/
COPY --from=right /right /d /out/
RUN cat /out/left >/all; rm /out/left
"""

if os.geteuid():
    pytest.skip("mounting takes root", allow_module_level=True)


class App:
    """A project whose every step runs anew with each nonce, and what is known of its results."""

    def __init__(self, jettison: Jettison, folder: Path, out: Path) -> None:
        self.jettison = jettison
        self.folder = folder
        self.archive = out / "app.tar"
        self.check = StoreCheck(jettison.root)
        self.words = ("build", "-q", "-t", "app", "-o", "type=image", "-o", f"type=oci,dest={self.archive}")

    def start(self, nonce: int) -> subprocess.Popen[bytes]:
        """Start the build in a process group of its own."""
        (self.folder / "src/nonce").write_text(f"nonce {nonce}\n")
        null = subprocess.DEVNULL
        process = self.jettison.start(
            *self.words, self.folder, start_new_session=True, stdout=null, stderr=null
        )
        assert isinstance(process, subprocess.Popen)
        return process

    def build(self) -> None:
        """A build that is left alone: it must succeed, and its image hold what it should."""
        self.jettison.ok(*self.words, self.folder)
        nonce = (self.folder / "src/nonce").read_text()
        assert self.nonce() == nonce
        self.check.assert_sound()

    def nonce(self) -> str:
        """The nonce that the archive was built from. Everything else in the archive has to fit it."""
        layout = imagetree.Layout(str(self.archive))
        manifest, _ = imagetree.pick_manifest(layout)
        files: dict[str, bytes] = {}
        for layer in manifest["layers"][1:]:
            data = io.BytesIO(imagetree.decompress(layout.blob(layer)))
            with tarfile.open(fileobj=data) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    files[member.name] = file.read() if file else b""
        common = b"".join(path.read_bytes() for path in sorted((self.folder / "src").glob("f*")))
        assert files["out/right"] == files["out/e/again"] == b"x" * 300_000
        assert files["out/left"] == files["all"] == common + files["out/nonce"]
        assert "out/.wh.left" in files
        return files["out/nonce"].decode()


@pytest.fixture
def app(jettison: Jettison, project: Project, tmp_path: Path) -> Iterator[App]:
    """The project, built once. Afterwards an image that was there before must be there, to the last byte."""
    folder = project({f"src/f{n}": f"file {n}\n" for n in range(8)} | {"src/nonce": "first\n"}, DOCKERFILE)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/Dockerfile").write_text("FROM busybox\nRUN echo kept >/kept\n")
    (tmp_path / "out").mkdir()
    jettison.ok("build", "-t", "earlier", tmp_path / "earlier")
    jettison.ok("save", "-o", tmp_path / "before.tar", "earlier")
    app = App(jettison, folder, tmp_path / "out")
    app.build()
    yield app
    jettison.ok("save", "-o", tmp_path / "after.tar", "earlier")
    assert (tmp_path / "before.tar").read_bytes() == (tmp_path / "after.tar").read_bytes()
    again = jettison.ok("build", "--progress", "jsonl", tmp_path / "earlier")
    assert all(step["cached"] for step in again.events("StepFinished"))


def kill(process: subprocess.Popen[bytes], group: bool) -> None:
    """SIGKILL for the build alone, or for all that has its terminal."""
    try:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def assert_recovers(app: App, known: set[str]) -> None:
    """After a kill: no process is left, the archive is an old or the new one, and the next build is right."""
    deadline = time.monotonic() + 10
    while (left := users_of(app.jettison.root)) and time.monotonic() < deadline:
        pass
    assert left == []
    assert app.nonce() in known
    app.build()
    assert os.listdir(app.archive.parent) == [app.archive.name]


def test_killed_at_any_moment(app: App) -> None:
    print(f"JETTISON_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    took = 0.0
    unharmed = 0
    before = app.nonce()
    for nonce in range(MOMENTS):
        began = time.monotonic()
        process = app.start(nonce)
        if nonce < 2:
            process.wait(60)
            took = time.monotonic() - began
            before = app.nonce()
            continue
        try:
            process.wait(rng.random() * took)
            unharmed += 1
        except subprocess.TimeoutExpired:
            kill(process, group=rng.random() < 0.5)
        after = (app.folder / "src/nonce").read_text()
        assert_recovers(app, {before, after})
        before = after
    assert unharmed < MOMENTS / 2, f"{unharmed} of {MOMENTS} builds ended before they were killed"
