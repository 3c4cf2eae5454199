"""A small project with every kind of step, for tests that harm its builds, and what must be true then."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.conformance import imagetree
from tests.conftest import Done, Jettison
from tests.storecheck import StoreCheck

# A step whose first write fails must not go on: there may be room again for the second.
DOCKERFILE = """\
FROM busybox AS common
COPY src /src
RUN cat /src/f* >/common

FROM common AS left
RUN --mount=type=cache,target=/cache cat /src/nonce >>/cache/log && cat /common /src/nonce >/left

FROM common AS right
RUN head -c 300000 /dev/zero | tr '\\0' x >/right && rm /src/f1 && mkdir -p /d/e && ln /right /d/e/again

FROM busybox
COPY --from=left /left /src/nonce /out/
COPY --from=right /right /d /out/
RUN cat /out/left >/all && rm /out/left
"""


class App:
    """The project in `folder`/app, built once, beside an image that was there before.

    Every step runs anew with each nonce.
    """

    def __init__(self, jettison: Jettison, folder: Path, archive: Path) -> None:
        self.jettison = jettison
        self.folder = folder / "app"
        self.archive = archive
        self.check = StoreCheck(jettison.root)
        self.words = ("build", "-q", "-t", "app", "-o", "type=image", "-o", f"type=oci,dest={archive}")
        self._earlier = folder / "earlier"
        self._saved = folder / "earlier.tar"
        (self.folder / "src").mkdir(parents=True)
        for number in range(8):
            (self.folder / f"src/f{number}").write_text(f"file {number}\n")
        (self.folder / "Dockerfile").write_text(DOCKERFILE)
        self._earlier.mkdir()
        (self._earlier / "Dockerfile").write_text("FROM busybox\nRUN echo kept >/kept\n")
        jettison.ok("build", "-t", "earlier", self._earlier)
        jettison.ok("save", "-o", self._saved, "earlier")
        self.change("first")
        self.assert_builds()

    def change(self, nonce: object) -> None:
        """Make every step run in the next build."""
        (self.folder / "src/nonce").write_text(f"nonce {nonce}\n")

    def start(self) -> subprocess.Popen[bytes]:
        """Start a build in a process group of its own."""
        null = subprocess.DEVNULL
        started = self.jettison.start(
            *self.words, self.folder, start_new_session=True, stdout=null, stderr=null
        )
        assert isinstance(started, subprocess.Popen)
        return started

    def build(self) -> Done:
        """A build, however it ends."""
        return self.jettison(*self.words, self.folder)

    def assert_builds(self) -> None:
        """A build that is left alone succeeds; its image holds what it should, and the store is sound."""
        done = self.build()
        assert done.code == 0, done.text[-3000:]
        assert self.nonce() == (self.folder / "src/nonce").read_text()
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

    def logged(self) -> set[str]:
        """The nonces that one of the steps wrote into a cache mount."""
        [log] = self.jettison.root.glob("cache-mounts/*/log")
        return set(log.read_text().splitlines())

    def assert_kept(self) -> None:
        """The image that was there before is there, to the last byte, and its step is still known."""
        again = self._saved.with_name("again.tar")
        self.jettison.ok("save", "-o", again, "earlier")
        assert again.read_bytes() == self._saved.read_bytes()
        steps = self.jettison.ok("build", "--progress", "jsonl", self._earlier).events("StepFinished")
        assert steps and all(step["cached"] for step in steps)
