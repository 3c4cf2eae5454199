"""Builds in a container that may neither mount nor make namespaces, beside those of a whole machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.store.clocks import in_memory
from tests.conftest import Done
from tests.integration.containers import processes
from tests.integration.situations import CONFINED, NO_RUNTIME, TOOLS, Machine, Situation

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed"),
]

DOCKERFILE = """\
FROM scratch AS src
COPY file /file
FROM busybox AS one
RUN echo app:x:1000:1000::/home/app:/bin/sh >> /etc/passwd && mkdir -p /home/app && chown 1000 /home/app \\
    && mkdir /made && echo one > /made/one && chown 1000:1000 /made/one
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/tmp \\
    echo 1 >> /cache/count && touch /tmp/x && ln /made/one /made/linked && rm /bin/du
RUN --mount=type=secret,id=token,uid=1000 --mount=type=bind,from=src,target=/src \\
    test "$(wc -c < /run/secrets/token)" = 9 && cp /src/file /made/file && (touch /src/y || true)
USER app
RUN --mount=type=secret,id=token,uid=1000 cat /run/secrets/token > /dev/null && test "$(id -u)" = 1000 \\
    && echo mine > /home/app/mine
RUN <<SH
set -e
echo heredoc > /home/app/doc
SH
FROM busybox
COPY --from=one /made /made
COPY --from=one /home /home
RUN rm -rf /home/app/doc && mkdir -p /etc/deep && echo x > /etc/deep/x
"""


@pytest.fixture(scope="module")
def machine(busybox_layout: Path) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-chroot-") as place:
        machine = Machine(Path(place))
        context = machine.place / "context"
        context.mkdir()
        (context / "file").write_text("a file\n")
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "token").write_text("hush-7513")
        for situation in (CONFINED, NO_RUNTIME):
            assert machine.jettison(situation, "load", busybox_layout, "busybox").code == 0
        yield machine


def build(machine: Machine, situation: Situation, *words: object) -> Done:
    context = machine.place / "context"
    secret = f"id=token,src={context}/token"
    done = machine.jettison(situation, "build", "-t", "made", "--secret", secret, *words, context)
    assert done.code == 0, done.text
    return done


def contents(machine: Machine, situation: Situation) -> list[str]:
    """Every file of the image with its owner, mode, size and number of names."""
    out = machine.home(situation) / "out"
    build(machine, situation, "-o", f"type=local,dest={out}")
    shown = []
    for path in sorted(out.rglob("*")):
        at = path.lstat()
        size = 0 if path.is_dir() and not path.is_symlink() else at.st_size
        shown.append(f"{path.relative_to(out)} {at.st_mode:o} {at.st_uid}:{at.st_gid} {size}")
    return shown


def test_same_image_as_on_a_whole_machine(machine: Machine) -> None:
    done = build(machine, CONFINED, "--progress=plain")
    assert "shares processes" in done.text
    on_disk = 0 if in_memory(str(machine.home(CONFINED))) else 1
    assert done.text.count("WARNING: secrets that are mounted as files lie on the disk") == on_disk
    assert contents(machine, CONFINED) == contents(machine, NO_RUNTIME)
    again = build(machine, CONFINED, "--progress=jsonl")
    assert again.events("BuildFinished")[0]["ran"] == 0


def test_no_trace_of_the_secret(machine: Machine) -> None:
    build(machine, CONFINED)
    store = machine.home(CONFINED) / "store"
    files = [path for path in store.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    assert [path for path in files if b"hush-7513" in path.read_bytes()] == []
    assert list((store / "tmp").iterdir()) == []
    assert (store / "cache-mounts").is_dir()
    counts = [path.read_text() for path in store.glob("cache-mounts/*/count")]
    assert counts and set(counts[0].split()) == {"1"}


def test_the_machine_itself_is_untouched(machine: Machine) -> None:
    context = machine.place / "hostile"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN for f in /etc/jettison-was-here /tmp/jettison-was-here /jettison-was-here"
        " ../../../../jettison-was-here; do echo x > $f; done; rm -rf /etc /tmp /root; kill -9 -1; true\n"
    )
    before = [{name: os.lstat(f"{top}/{name}").st_ino for name in os.listdir(top)} for top in ("/etc", "/")]
    assert machine.jettison(CONFINED, "build", context).code == 0
    after = [{name: os.lstat(f"{top}/{name}").st_ino for name in os.listdir(top)} for top in ("/etc", "/")]
    assert after == before
    assert not Path("/tmp/jettison-was-here").exists()


def test_what_cannot_be_had_is_refused_with_its_line(machine: Machine) -> None:
    context = machine.place / "refused"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN --network=none true\n")
    done = machine.jettison(CONFINED, "build", context)
    assert done.code == 1
    assert "network=none" in done.text and "Dockerfile:2" in done.text and "Traceback" not in done.text


def test_a_step_that_takes_too_long_is_ended(machine: Machine) -> None:
    context = machine.place / "slow"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN (sleep 7512.4 &); sleep 7512.4\n")
    done = machine.jettison(CONFINED, "build", "--step-timeout", "1s", "--memory", "900m", context)
    assert done.code == 1 and "--step-timeout" in done.text, done.text
    assert processes("7512.4") == []


def test_a_container_runs(machine: Machine) -> None:
    build(machine, CONFINED)
    volume = machine.place / "volume"
    volume.mkdir()
    script = "cat /made/one; echo written > /v/f; touch /gone; exit 3"
    done = machine.jettison(CONFINED, "run", "-v", f"{volume}:/v", "made", "sh", "-c", script)
    assert (done.code, done.out) == (3, "one\n"), done.text
    assert (volume / "f").read_text() == "written\n"
    assert machine.jettison(CONFINED, "run", "made", "test", "-e", "/gone").code == 1


def test_a_mounted_file_that_is_still_in_a_pipe(machine: Machine) -> None:
    build(machine, CONFINED)
    file, over = machine.place / "mounted", machine.place / "over"
    file.write_text("below\n")
    os.mkfifo(over)
    # busybox's cat puts pages of the file itself into the pipe, which is read when the mount is gone.
    command = f"{machine.place}/python/bin/python3 -m jettison run -v {file}:/file:ro made cat /file"
    done = machine.run(CONFINED, "sh", "-c", f"({command}; : > {over}) | (: < {over}; cat)")
    assert done.out == "below\n", done.text


def test_a_program_that_misses_proc_is_explained(machine: Machine) -> None:
    context = machine.place / "missing"
    context.mkdir()
    dockerfile = context / "Dockerfile"
    dockerfile.write_text("FROM busybox\nRUN cat /proc/self/status\n")
    assert "has no /proc in a chroot" in machine.jettison(CONFINED, "build", context).err
    dockerfile.write_text("FROM busybox\nRUN echo nothing to explain && exit 3\n")
    assert "in a chroot" not in machine.jettison(CONFINED, "build", context).err


def test_a_disk_that_starts_no_programs_is_named(machine: Machine, busybox_layout: Path) -> None:
    disk, context = machine.place / "disk", machine.place / "words"
    disk.mkdir()
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,size=64m", "tmpfs", disk], check=True)
    try:
        root = f"--root={disk}/store"
        assert machine.jettison(CONFINED, "load", root, busybox_layout, "busybox").code == 0
        done = machine.jettison(CONFINED, "build", root, context)
        assert done.code == 1
        assert f"no program can be started from {disk}/store" in done.err
        report = machine.doctor(CONFINED, root)
        assert report["isolation"] == "none"
        assert "noexec" in next(rung["problem"] for rung in report["rungs"] if rung["isolation"] == "chroot")
    finally:
        subprocess.run(["umount", disk], check=True)
