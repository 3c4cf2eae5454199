"""Steps in a user namespace with a single id: whatever asks for another one seems to get it."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Done
from tests.integration.containers import BUSYBOX, make_rootfs
from tests.integration.situations import STRANGER, TOOLS, USER, Machine, Situation

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming an ordinary user needs root"),
    pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs /bin/busybox (package busybox-static)"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]

MASKED = Situation("user-in-a-container", "single-id", uid=STRANGER, masked=True)
"""Here a step sees the outer /proc."""

OWNER, DEVICE = "user.jettison.owner", "user.jettison.device"

STEP = """
import os, sys, threading
from jettison import kernel
from jettison.sandbox import rootless
rootless.become_single()
from jettison.sandbox.base import ProcessSpec
from jettison.sandbox.builtin import BuiltinSandbox
rootfs, work, network, uid, gid, script = sys.argv[1:]
spec = ProcessSpec(rootfs, ("/bin/sh", "-c", script), ("PATH=/bin", "TOKEN=hush"), uid=int(uid), gid=int(gid),
    network=network)
run = lambda: BuiltinSandbox(single_id=True).run(spec, os.write, threading.Event(), work)
os._exit(kernel.private_mounts(run))
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-single-") as place:
        yield Machine(Path(place))


@pytest.fixture
def rootfs(machine: Machine) -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(dir=machine.home(USER)))
    root = make_rootfs(top / "rootfs")
    for name in ("chown", "tar", "start-stop-daemon", "stat", "env", "tr", "ln", "cp", "cut", "sed"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nme:x:1000:1000::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nme:x:1000:\n")
    (top / "work").mkdir()
    for path in (top, *top.rglob("*")):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    yield root
    shutil.rmtree(top)


def step(
    machine: Machine,
    rootfs: Path,
    script: str,
    uid: int = 0,
    gid: int = 0,
    network: str = "host",
    situation: Situation = USER,
) -> Done:
    python = f"{machine.place}/python/bin/python3"
    words = (python, "-c", STEP, rootfs, rootfs.parent / "work", network, uid, gid, script)
    return machine.run(situation, *words)


def test_what_package_managers_do(machine: Machine, rootfs: Path) -> None:
    script = """
    set -e; echo x > /f; chown 1000:1000 /f; chown -h 7:7 /bin/sh; mkdir /d; chown -R 33:44 /d
    mknod /c c 1 3; mknod -m 600 /p p; tar x -f /owned.tar; start-stop-daemon -S -c me -x /bin/echo -- as me
    stat -c '%u %g' /f
    """
    with tarfile.open(rootfs / "owned.tar", "w") as tar:
        for name, kind in (("unpacked", tarfile.DIRTYPE), ("unpacked/f", tarfile.REGTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, 0o755, 33, 44
            tar.addfile(member)
    done = step(machine, rootfs, script)
    assert (done.code, done.out) == (0, "as me\n0 0\n"), done.text
    assert stat.S_ISFIFO((rootfs / "p").stat().st_mode)
    notes = {"f": b"1000:1000", "d": b"33:44", "unpacked": b"33:44", "unpacked/f": b"33:44"}
    assert {name: os.getxattr(rootfs / name, OWNER) for name in notes} == notes
    assert os.getxattr(rootfs / "c", DEVICE) == b"char:1:3"
    assert (rootfs / "c").stat().st_size == 0
    assert (rootfs / "unpacked/f").is_file()
    assert (rootfs / "f").stat().st_uid == STRANGER


def test_notes_are_as_exact_as_calls(machine: Machine, rootfs: Path) -> None:
    script = """
    mkdir -p /a/b; cd /a/b; echo x > f; chown 5:5 f; chmod 6755 f; chown 7:6 ./f; stat -c %a f
    ln -s f link; chown -h 9:9 link; chown 8:6 link; chown 1 nothing 2>/dev/null || echo missing
    chown 1 f/x 2>/dev/null || echo no folder; mknod f c 1 3 2>/dev/null || echo taken
    (sleep 9 & chown 1:1 /o; kill $!); chroot /a /bin/busybox chown 3:4 /b 2>/dev/null || echo no program
    cp /bin/busybox /a/; chroot /a /busybox chown 3:4 /b
    chroot /a /busybox sh -c 'cd /b; /busybox chown 2:2 ..'
    echo x > /old; chown 3:3 /old; sed -i s/x/y/ /old
    ln -s /dev/stderr /log; chown 4 /dev/stdout && chown 6:6 /log 2>>/errors || echo no open file
    """
    done = step(machine, rootfs, script)
    assert done.out.split("\n")[:-1] == ["755", "missing", "no folder", "taken", "no program"], done.text
    notes = {"a/b/f": b"8:6", "o": b"1:1", "a/b": b"3:4", "a": b"2:2", "errors": b"6:6"}
    # The editor gave its file to root, as whose the old one was shown, before it had that one's name.
    assert os.getxattr(rootfs / "old", OWNER).startswith(b"0:0:old")
    assert {name: os.getxattr(rootfs / name, OWNER) for name in notes} == notes


@pytest.mark.parametrize("situation", [USER, MASKED], ids=str)
def test_nothing_outside_is_noted(machine: Machine, rootfs: Path, situation: Situation) -> None:
    outside = rootfs.parent / "outside"
    outside.touch()
    os.chown(outside, STRANGER, STRANGER)
    script = f"""
    mkdir -p /{rootfs.parent.name}; ln -s {outside} /link; ln -s /proc/self /way
    ln -s ../../../../../../..{outside} /o/far
    for path in /link /o/far ../outside ../../outside /proc/self/root/../outside /proc/1/root/../outside \
        /proc/self/cwd/../outside {outside} /proc/self/root{outside} \
        /way/root{outside} /proc/1/cwd{outside}
    do chown 1:1 $path; mknod $path-device c 1 3; done; cd /o; chown 1:1 ../../outside; mknod ../../new c 1 3
    echo end
    """
    before = sorted(os.listdir(rootfs.parent))
    done = step(machine, rootfs, script, situation=situation)
    assert done.out == "end\n", done.text
    assert sorted(os.listdir(rootfs.parent)) == before
    assert os.listxattr(outside) == []


def test_killed_amid_calls(machine: Machine, rootfs: Path) -> None:
    """Callers come and go while the builder answers; all of them end."""
    script = """
    for i in 1 2 3 4 5 6; do (while :; do chown 1:2 /o; done) & done
    sleep 0.2; kill -9 -1 2>/dev/null; kill -9 $(ps | grep chown | cut -c1-5) 2>/dev/null; echo end
    """
    assert step(machine, rootfs, script).out == "end\n"


def test_what_is_in_reach_stays_real(machine: Machine, rootfs: Path) -> None:
    script = "echo x > /f; chmod 640 /f; mount -t tmpfs none /tmp && echo mounted; hostname x; id -u"
    done = step(machine, rootfs, script)
    assert done.out == "0\n", done.text
    assert (rootfs / "f").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("network", ["host", "none"])
def test_another_user_sees_itself_and_has_no_rights(machine: Machine, rootfs: Path, network: str) -> None:
    script = """
    id -u; id -g; touch /o/own; stat -c '%u %g' /o/own; chown 0 /o/own 2>/dev/null || echo refused
    grep -E 'Cap|NoNew' /proc/self/status; mount -t tmpfs none /tmp 2>/dev/null || echo refused
    test -c /dev/null && ls /sys/class/net >/dev/null && echo fs
    """
    done = step(machine, rootfs, script, uid=1000, gid=1001, network=network)
    lines = done.out.splitlines()
    assert lines[:4] == ["1000", "1001", "1000 1001", "refused"], done.text
    status = dict(line.split(":\t") for line in lines[4:10])
    assert status.pop("NoNewPrivs") == "1"
    raw_sockets = 1 << 13 if network == "none" else 0
    assert int(status.pop("CapBnd"), 16) == 0x00000000A80405FB | raw_sockets
    assert {int(mask, 16) for mask in status.values()} == {0}
    assert lines[10:] == ["refused", "fs"]


def test_apt_is_told_to_stay_root(machine: Machine, rootfs: Path) -> None:
    assert "APT_CONFIG" not in step(machine, rootfs, "env").out
    (rootfs / "etc/apt").mkdir()
    done = step(machine, rootfs, "cat $APT_CONFIG")
    assert done.out == 'APT::Sandbox::User "root";\n', done.text


def test_nothing_of_the_builder_is_seen_in_proc(machine: Machine, rootfs: Path) -> None:
    script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/environ; done 2>&1 | grep -c JETTISON_ROOT; true"
    assert step(machine, rootfs, script).out == "0\n"
