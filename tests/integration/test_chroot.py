"""A step that is held by chroot alone: what it sees, how it ends, and that mounts leave no trace."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jettison.errors import Cancelled, SandboxError
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.chroot import ChrootSandbox
from jettison.sandbox.linked import LinkedFolder
from tests.integration.containers import NEEDS, Result, Shell, processes, run, shell, within_seconds

pytestmark = NEEDS

State = dict[str, tuple[object, ...]]


def state(*tops: Path) -> State:
    """All that a layer would show of some folders."""
    out: State = {}
    for top in tops:
        for path in [top, *sorted(top.rglob("*"))]:
            at = path.lstat()
            data = path.read_bytes() if stat.S_ISREG(at.st_mode) else b""
            out[str(path)] = (at.st_mode, at.st_uid, at.st_gid, at.st_mtime_ns, at.st_ino, data)
    return out


@pytest.fixture
def sh(rootfs: Path, tmp_path: Path) -> Shell:
    def call(script: str, **changes: object) -> Result:
        spec = replace(shell(rootfs, script), **changes)  # type: ignore[arg-type]
        return run(ChrootSandbox(), spec, Path(tempfile.mkdtemp(dir=tmp_path), "work"))

    return call


def test_check_is_content() -> None:
    assert ChrootSandbox().check() == ""


def test_output_status_and_signals(sh: Shell) -> None:
    result = sh("echo out; echo err >&2; cat; exit 7")
    assert (result.status, result.out, result.err) == (7, b"out\n", b"err\n")
    assert sh("kill -TERM $$").status == 128 + 15
    assert sh("head -c 3000000 /dev/zero").out == bytes(3000000)


def test_what_a_step_sees(sh: Shell, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETTISON_TEST_TOKEN", "hush")
    script = """
    umask; id -u; id -G; pwd; export -p
    test -c /dev/null && test -c /dev/urandom && touch /dev/shm/x && echo dev
    head -c 9 /proc/cpuinfo; cat /proc/mounts; ls /sys; ls /proc/self
    """
    result = sh(script, cwd="/o/new/folder", env=("PATH=/bin", "A=b c"))
    assert b"hush" not in result.out and b"A='b c'" in result.out
    lines = result.out.decode().splitlines()
    assert lines[:4] == ["0022", "0", "0", "/o/new/folder"]
    assert lines[-2:] == ["dev", "processorrootfs / rootfs rw 0 0"]
    assert (rootfs / "o/new/folder").is_dir()


def test_a_program_finds_its_own_file(sh: Shell) -> None:
    """Though there is no /proc; other links are read as ever, and nothing else of /proc is there."""
    result = sh(
        "readlink /proc/self/exe; ln -s elsewhere /tmp/l; readlink /tmp/l; readlink /no; readlink /proc/1/exe"
        "; readlink /proc/self/cwd; readlink /proc/self/exe2; test -e /proc/self || echo none"
    )
    assert result.out == b"/bin/busybox\nelsewhere\nnone\n"
    assert sh("readlink /proc/self/exe", uid=1000, gid=7).out == b"/bin/busybox\n"


def test_user_and_groups(sh: Shell) -> None:
    result = sh("id -u; id -g; id -G; touch /o/own", uid=1001, gid=1002, groups=(1500, 1600))
    assert result.out.split() == b"1001 1002 1002 1500 1600".split()


def test_rights_that_lead_out_are_taken_away(sh: Shell, rootfs: Path) -> None:
    for what in ("chroot / true", "mknod /n b 8 0", "mount -t tmpfs none /tmp", "unshare -m true"):
        assert sh(what).status != 0, what
    assert sh("touch /f && ls -n /f").status == 0


def test_no_descriptor_leads_outside(sh: Shell, rootfs: Path) -> None:
    (rootfs / "bin/python").write_bytes(b"")
    folder = os.open("/", os.O_RDONLY)
    os.set_inheritable(folder, True)
    try:
        # A shell can tell by redirecting: a number that is not open is an error.
        script = "for n in 3 4 5 6 7 8 9; do (true <&$n) 2>/dev/null && echo $n; done; true"
        assert sh(script).out == b""
    finally:
        os.close(folder)


def test_the_builder_is_out_of_reach(sh: Shell) -> None:
    script = f"""
    kill -9 {os.getpid()} || echo builder; kill -9 $PPID || echo supervisor; kill -9 1 || echo init
    kill -9 -1 || echo all; sleep 100 & kill $! && echo own
    """
    assert sh(script).out.split() == [b"builder", b"supervisor", b"init", b"all", b"own"]


def test_network_none_is_refused(sh: Shell) -> None:
    with pytest.raises(SandboxError, match="network=none"):
        sh("true", network="none")
    with pytest.raises(SandboxError, match="read-only"):
        sh("true", read_only=True)


def test_working_folder_that_is_a_file(sh: Shell, rootfs: Path) -> None:
    (rootfs / "file").touch()
    with pytest.raises(SandboxError, match=r"/file"):
        sh("true", cwd="/file")


@pytest.mark.parametrize(
    ("name", "content", "mode", "status", "text"),
    [
        ("nosuch", None, 0, 127, 'exec: "nosuch": not found in PATH of the image'),
        ("/bin/nosuch", None, 0, 127, 'exec: "/bin/nosuch": not found in the image'),
        ("/etc", None, 0, 126, 'exec: "/etc": not an executable file'),
        ("/plain", b"x", 0o644, 126, 'exec: "/plain": not an executable file'),
        ("/odd", b"\x7fELF nothing", 0o755, 126, "exec format error: image is for another platform?"),
        ("/script", b"#!/no/interpreter\n", 0o755, 127, "interpreter or dynamic linker is not found"),
    ],
)
def test_what_cannot_be_executed(
    rootfs: Path, tmp_path: Path, name: str, content: bytes | None, mode: int, status: int, text: str
) -> None:
    if content is not None:
        (rootfs / name[1:]).write_bytes(content)
        (rootfs / name[1:]).chmod(mode)
    result = run(ChrootSandbox(), ProcessSpec(str(rootfs), (name,), ("PATH=/bin",)), tmp_path / "work")
    assert (result.status, result.out, result.err.count(b"\n")) == (status, b"", 1)
    assert text in result.err.decode()


# -- mounts


def test_mounts_leave_no_trace(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/f").write_text("from outside")
    secret = tmp_path / "secret"
    secret.write_text("hush")
    secret.chmod(0o400)
    os.chown(secret, 1000, 1000)
    (rootfs / "etc/hosts").write_text("own")
    (rootfs / "tmp/mine").write_text("mine")
    mounts = (
        Mount("bind", "/run/secrets/s", str(secret), read_only=True),
        Mount("bind", "/etc/hosts", str(secret), read_only=True),
        Mount("bind", "/src", str(source), read_only=True),
        Mount("tmpfs", "/tmp", mode=0o1777, size=1 << 20),
        Mount("tmpfs", "/src/sub/inner"),
    )
    before = state(rootfs, source)
    script = """
    cat /run/secrets/s /etc/hosts /src/sub/f; ls -n /run/secrets/s | cut -c1-10
    ls /tmp; touch /tmp/x /src/y /src/sub/inner/z; echo new > /etc/hosts; ln /run/secrets/s /tmp/t
    """
    assert sh(script.replace("| cut -c1-10", ""), mounts=mounts).out.startswith(
        b"hushhushfrom outside-r--------"
    )
    assert state(rootfs, source) == before
    assert secret.read_text() == "hush"


def test_a_secret_with_another_name_is_overwritten(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    mounts = (Mount("bind", "/run/secret", str(secret), read_only=True, secret=True),)
    assert sh("ln /run/secret /leak; mv /run/secret /moved; cat /leak", mounts=mounts).out == b"hush"
    assert (rootfs / "leak").read_bytes() == (rootfs / "moved").read_bytes() == b""


def test_shared_folder_is_written_through(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "old/deep").mkdir(parents=True)
    for name in ("keep", "change", "replace", "drop", "old/deep/f"):
        (cache / name).write_text(name)
    (cache / "old/deep").chmod(0o700)
    before = state(rootfs)
    script = """
    cd /cache; echo more >> change; echo other > new; mv new replace; rm drop; rm -r old
    test ! -e device && echo x > hidden
    mkdir -p fresh/deep; echo x > fresh/deep/x; ln -s nowhere link; chmod 600 keep
    """
    os.mknod(cache / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    sh(script, mounts=(Mount("bind", "/cache", str(cache)),), args=("/bin/busybox", "sh", "-c", script))
    assert (cache / "device").is_char_device()
    found = {str(p.relative_to(cache)): p.read_text() for p in cache.rglob("*") if p.is_file()}
    assert found == {
        "keep": "keep", "change": "changemore\n", "replace": "other\n", "fresh/deep/x": "x\n",
        "hidden": "x\n",
    }  # fmt: skip
    assert os.readlink(cache / "link") == "nowhere" and (cache / "keep").stat().st_mode & 0o777 == 0o600
    assert state(rootfs) == before


def test_shared_folder_on_another_filesystem(sh: Shell) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as cache:
        for name in ("keep", "change", "drop"):
            Path(cache, name).write_text(name)
        script = "cd /cache; echo more >> change; rm drop; echo x > made"
        sh("", mounts=(Mount("bind", "/cache", cache),), args=("/bin/busybox", "sh", "-c", script))
        assert {name: Path(cache, name).read_text() for name in os.listdir(cache)} == {
            "keep": "keep", "change": "changemore\n", "made": "x\n",
        }  # fmt: skip


def test_two_steps_share_a_folder(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "there").write_text("there")
    other = tmp_path / "other"
    subprocess.run(["cp", "-a", rootfs, other], check=True)
    inner: list[Result] = []

    def second(data: bytes) -> None:
        if not inner:
            spec = shell(other, "echo 2 > /cache/two; echo 2 >> /cache/there")
            spec = replace(spec, mounts=(Mount("bind", "/cache", str(cache)),))
            inner.append(run(ChrootSandbox(), spec, tmp_path / "work2"))

    script = "echo 1 > /cache/one; echo up; until grep -q 2 /cache/there; do :; done; echo 1 >> /cache/there"
    spec = replace(shell(rootfs, script), mounts=(Mount("bind", "/cache", str(cache)),))
    run(ChrootSandbox(), spec, tmp_path / "work1", watch=second)
    assert sorted(os.listdir(cache)) == ["one", "there", "two"]
    assert (cache / "there").read_text() == "there2\n1\n"


def test_socket_is_reached(sh: Shell, tmp_path: Path) -> None:
    name = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(name))
        mounts = (Mount("bind", "/run/agent", str(name)),)
        result = sh("test -S /run/agent && echo there", mounts=mounts, args=("/bin/busybox", "sh", "-c",
                    "test -S /run/agent && echo there"))  # fmt: skip
        assert result.out == b"there\n"
        assert name.exists()


def test_target_above_which_lies_a_link(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    (rootfs / "out").symlink_to(tmp_path)
    with pytest.raises(SandboxError, match="no folder"):
        sh("true", mounts=(Mount("tmpfs", "/out/x"),))
    assert not (tmp_path / "x").exists()


def test_step_removes_all_around_its_mounts(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "f").touch()
    (rootfs / "var/cache").mkdir(parents=True)
    script = "rm -rf /var /proc; ln -s / /var"
    sh("", mounts=(Mount("bind", "/var/cache", str(cache)),), args=("/bin/busybox", "sh", "-c", script))
    assert os.readlink(rootfs / "var") == "/" and (rootfs / "proc").is_dir()
    assert [path.name for path in cache.iterdir()] == ["f"], (
        "where nobody can tell, the cache stays as it was"
    )


def test_step_puts_a_link_out_above_its_mounts(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for name in ("cache", "tmp", "new"):
        (outside / "in" / name).mkdir(parents=True)
        (outside / "in" / name / "precious").write_text("precious")
    (rootfs / "a/in/tmp").mkdir(parents=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    before = state(outside)
    mounts = (
        Mount("bind", "/a/in/cache", str(cache)),
        Mount("tmpfs", "/a/in/tmp"),
        Mount("tmpfs", "/a/in/new/deep"),
    )
    script = f"touch /a/in/cache/f; mv /a /b; ln -s {outside} /a"
    sh("", mounts=mounts, args=("/bin/busybox", "sh", "-c", script))
    assert state(outside) == before
    assert list(cache.iterdir()) == []


def test_shared_folder_whose_folders_become_links(tmp_path: Path) -> None:
    """As another step may leave them at any moment."""
    source, outside = tmp_path / "source", tmp_path / "outside"
    for folder in (source, outside):
        (folder / "d/e").mkdir(parents=True)
        (folder / "d/e/f").write_text(folder.name)
    linked = LinkedFolder(str(source), str(tmp_path / "copy"))
    linked.fill()
    (tmp_path / "copy/d/e/f").unlink()
    (tmp_path / "copy/d/e/g").write_text("new")
    (source / "d").rename(source / "was")
    (source / "d").symlink_to(outside / "d")
    linked.end(True)
    assert [path.name for path in sorted((outside / "d/e").iterdir())] == ["f"]
    assert (outside / "d/e/f").read_text() == "outside"
    assert (source / "d/e/g").read_text() == "new" and not (source / "d").is_symlink()


# -- endings


DAEMON = (
    "trap '' TERM INT HUP; (sleep {0} & ) ; busybox setsid sleep {0} & busybox setsid sh -c '(sleep {0}&)'"
)


def test_nothing_outlives_the_step(sh: Shell) -> None:
    began = time.monotonic()
    assert sh(DAEMON.format("7411.1") + "; echo done").out == b"done\n"
    assert time.monotonic() - began < 10
    assert processes("7411.1") == []


def test_cancel_ends_all(rootfs: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    script = DAEMON.format("7411.2") + "; echo up; wait; sleep 100"
    with pytest.raises(Cancelled):
        run(ChrootSandbox(), shell(rootfs, script), tmp_path / "work", cancel, lambda data: cancel.set())
    assert processes("7411.2") == []


BUILDER = """
import os, sys, threading
from jettison import kernel
from jettison.sandbox.base import ProcessSpec
from jettison.sandbox.chroot import ChrootSandbox
spec = ProcessSpec(sys.argv[1], ("/bin/sh", "-c", sys.argv[3]), ("PATH=/bin",))
show = lambda stream, data: print(data.decode(), end="", flush=True)
sys.exit(kernel.private_mounts(lambda: ChrootSandbox().run(spec, show, threading.Event(), sys.argv[2])))
"""


def test_killed_builder_takes_the_step_along(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    words = [str(rootfs), str(tmp_path / "work"), DAEMON.format("7411.3") + "; echo up; sleep 7411.3"]
    builder = subprocess.Popen([sys.executable, "-c", BUILDER, *words], stdout=subprocess.PIPE)
    with builder:
        assert builder.stdout is not None and builder.stdout.readline() == b"up\n"
        assert processes("7411.3")
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    assert within_seconds(10, lambda: processes("7411.3") == [])
