"""An ordinary user, made for the test, becomes root in a user namespace."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "jettison"
NAME = f"jettison-test-{os.getpid()}"
"""Several processes may run these tests at once."""
SUBORDINATE = [Path("/etc/subuid"), Path("/etc/subgid")]
BUSYBOX = "/bin/busybox"
TOOLS = ("useradd", "userdel", "newuidmap", "newgidmap")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="making a user needs root"),
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)} (packages passwd, uidmap)"
    ),
]

ENTER = "from jettison.sandbox import rootless; import os, sys; rootless.become_root()\n"


@dataclass(frozen=True)
class Person:
    """An ordinary user, an interpreter for it and the folder it may use."""

    uid: int
    gid: int
    python: str
    home: Path

    def start(self, code: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(self.home / "lib")}
        defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
        return subprocess.Popen(
            [self.python, "-c", code, *arguments],
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            **{**defaults, **options},  # type: ignore[call-overload]
        )

    def run(self, code: str, *arguments: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
        with self.start(code, *arguments, stdin=subprocess.PIPE) as child:
            out, err = child.communicate(data, timeout=60)
        return child.returncode, out, err


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with accounts():
        subprocess.run(["useradd", "--no-create-home", "--user-group", NAME], check=True)
    home = Path(tempfile.mkdtemp(prefix="jettison-rootless-"))
    try:
        for path in SUBORDINATE:
            give_ids(path, f"{NAME}:2000000:65536\n")
        identity = [int(subprocess.check_output(["id", flag, NAME])) for flag in ("-u", "-g")]
        python = usable_python(*identity)
        if not python:
            pytest.skip("no Python 3.11 that an ordinary user may run")
        shutil.copytree(SOURCE, home / "lib" / "jettison", ignore=shutil.ignore_patterns("__pycache__"))
        os.chown(home, *identity)
        yield Person(*identity, python, home)
    finally:
        for path in SUBORDINATE:
            give_ids(path, "")
        with accounts():
            subprocess.run(["userdel", NAME], check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(home)


@contextmanager
def accounts() -> Iterator[None]:
    """Nobody else who runs these tests changes the machine's users meanwhile."""
    etc = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(etc, fcntl.LOCK_EX)
        yield
    finally:
        os.close(etc)


def give_ids(path: Path, own: str) -> None:
    """Put the line with our user's subordinate ids, or none, into a file."""
    with accounts():
        path.touch(mode=0o644)
        lines = path.read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(f"{NAME}:")) + own
        # In place: where other tests have mounted something over it, another file would end that.
        with path.open("r+") as file:
            file.write(text)
            file.truncate()


def usable_python(uid: int, gid: int) -> str:
    code = "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if (
                subprocess.run([path, "-c", code], user=uid, group=gid, extra_groups=[], cwd="/").returncode
                == 0
            ):
                return path
        except OSError:
            continue
    return ""


def test_root_with_many_ids(person: Person) -> None:
    code = ENTER + (
        "path = sys.argv[1] + '/owned'\n"
        "open(path, 'w').close(); os.chown(path, 33, 44)\n"
        "print(os.getuid(), os.getgid(), open('/proc/self/uid_map').read().split(), os.stat(path).st_uid)\n"
    )
    status, out, err = person.run(code, str(person.home))
    assert (status, err) == (0, b"")
    assert out.decode().strip() == f"0 0 ['0', '{person.uid}', '1', '1', '2000000', '65536'] 33"
    made = (person.home / "owned").stat()
    assert (made.st_uid, made.st_gid) == (2000000 + 32, 2000000 + 43)


def test_mounts_work_inside_and_stay_there(person: Person) -> None:
    place = person.home / "overlay"
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir(parents=True)
        os.chown(place / name, person.uid, person.gid)
    os.chown(place, person.uid, person.gid)
    (place / "lower" / "gone").touch()
    code = ENTER + (
        "from jettison import kernel\n"
        "os.chdir(sys.argv[1])\n"
        "def inside():\n"
        "    kernel.mount('overlay', 'merged', 'overlay', 0,\n"
        "        'userxattr,volatile,lowerdir=lower,upperdir=upper,workdir=work')\n"
        "    open('merged/made', 'w').close(); os.chown('merged/made', 5, 6); os.unlink('merged/gone')\n"
        "kernel.private_mounts(inside)\n"
        "print(os.listdir('merged'), sorted(os.listdir('upper')))\n"
    )
    status, out, err = person.run(code, str(place))
    assert (status, out, err) == (0, b"[] ['gone', 'made']\n", b"")
    assert list((place / "merged").iterdir()) == []


def test_input_and_exit_status(person: Person) -> None:
    code = ENTER + "print(sys.stdin.read() + '!', flush=True); os._exit(37)\n"
    assert person.run(code, data=b"typed") == (37, b"typed!\n", b"")


def test_program_is_started_anew_with_a_mark(person: Person) -> None:
    code = (
        "import os, sys\n"
        "from jettison.sandbox import rootless\n"
        "print(os.getuid() == 0, os.environ.get('JETTISON_ROOTLESS'), flush=True)\n"
        "if os.getuid(): rootless.enter([sys.executable, '-c', sys.argv[1], ''])\n"
        "rootless.enter(['/no/such'])\n"
    )
    assert person.run(code, code) == (0, b"False None\nTrue 1\n", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_child_once(person: Person, number: signal.Signals) -> None:
    code = ENTER + (
        "import signal, time\n"
        f"signal.signal({int(number)}, lambda *a: (os.write(1, b'got\\n'), os._exit(9)))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    with person.start(code) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.send_signal(number)
        assert parent.stdout.read() == b"got\n"
    assert parent.returncode == 9


def test_death_by_a_signal_is_passed_on(person: Person) -> None:
    code = ENTER + "os.kill(os.getpid(), 15)\n"
    assert person.run(code)[0] == -15


def test_child_dies_with_the_parent(person: Person) -> None:
    code = ENTER + "import time; print('up', flush=True); time.sleep(600)\n"
    with person.start(code) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.kill()
        assert parent.stdout.read() == b""


def test_interrupt_key_of_a_terminal_comes_once(person: Person) -> None:
    """The terminal signals both processes; the parent must not send it a second time."""
    code = ENTER + (
        "import signal, time\n"
        "hits = []\n"
        "signal.signal(signal.SIGINT, lambda *a: hits.append(1))\n"
        "print('up', os.isatty(0), flush=True)\n"
        "signal.sigtimedwait([], 20) if False else time.sleep(0)\n"
        "while not hits: time.sleep(0.01)\n"
        "time.sleep(0.2); print('hits', len(hits), flush=True)\n"
    )
    controller, terminal = pty.openpty()
    script = "import os, fcntl, termios, sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n" + code
    with person.start(script, stdin=terminal, stdout=terminal, stderr=terminal) as parent:
        os.close(terminal)
        seen = b""
        ends = time.monotonic() + 30
        while b"hits" not in seen and time.monotonic() < ends:
            seen += os.read(controller, 4096)
            if b"up" in seen and b"^C" not in seen:
                os.write(controller, b"\x03")
    os.close(controller)
    assert b"up True" in seen
    assert b"hits 1" in seen
    assert parent.returncode == 0


FAILING = (
    "from jettison.sandbox import rootless\n"
    "from jettison.errors import SandboxError\n"
    "try: rootless.become_root()\n"
    "except SandboxError as error: print(error.message, '|', error.hint)\n"
)


def test_no_subordinate_ids(person: Person) -> None:
    path = Path("/etc/subgid")
    give_ids(path, "")
    try:
        out = person.run(FAILING)[1].decode()
    finally:
        give_ids(path, f"{NAME}:2000000:65536\n")
    assert f"/etc/subgid gives the user {NAME} no subordinate ids" in out
    # Others may have taken some just now.
    assert re.search(rf"\b{NAME}:\d+:65536\b", out)


def test_range_that_newuidmap_refuses(person: Person) -> None:
    code = FAILING.replace("try:", "rootless.map_arguments = lambda own, ranges: ['0', '0', '1']\ntry:")
    out = person.run(code)[1].decode()
    assert "newuidmap failed" in out
    assert f"{NAME}:2000000:65536\n" in SUBORDINATE[0].read_text()


def test_no_namespaces_allowed(person: Person) -> None:
    code = FAILING.replace(
        "try:",
        "import resource\nfrom jettison import kernel\n"
        "def refuse(flags): raise OSError(1, 'Operation not permitted')\nkernel.unshare = refuse\ntry:",
    )
    out = person.run(code)[1].decode()
    assert "cannot make a user namespace: Operation not permitted" in out
    assert "max_user_namespaces" in out


STEP = (
    ENTER
    + """
import threading
from jettison import kernel
from jettison.sandbox import oci
from jettison.sandbox.base import Mount, ProcessSpec
rootfs, work, runtime, network = sys.argv[1:5]
args = tuple(sys.argv[6:])
mounts = (Mount("bind", "/run", sys.argv[5], read_only=True),)
spec = ProcessSpec(rootfs, args, ("PATH=/bin",), uid=7, gid=8, groups=(9,), network=network,
    mounts=mounts)
def output(stream, data):
    os.write(stream, data)
os._exit(kernel.private_mounts(lambda: oci.choose(runtime).run(spec, output, threading.Event(), work)))
"""
)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("network", ["host", "none"])
@pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs /bin/busybox (package busybox-static)")
def test_step(person: Person, runtime: str, network: str) -> None:
    if not shutil.which(runtime):
        pytest.skip(f"{runtime} is not installed")
    root = Path(tempfile.mkdtemp(dir=person.home))
    rootfs, work = root / "rootfs", root / "work"
    for path in (
        rootfs / "bin",
        rootfs / "dev",
        rootfs / "proc",
        rootfs / "sys",
        rootfs / "tmp",
        work,
        rootfs / "run",
    ):
        path.mkdir(parents=True)
    shutil.copy2(BUSYBOX, rootfs / "bin/busybox")
    for path in (root, *root.rglob("*")):
        os.chown(path, person.uid, person.gid)
    (rootfs / "tmp").chmod(0o777)
    script = (
        "id -u; id -g; id -G; touch /tmp/x; ls /sys/class >/dev/null && echo sys;"
        " test -c /dev/null && echo dev;"
        " mount -t tmpfs none /tmp || echo refused; touch /sys/y || echo ro; grep CapEff /proc/self/status;"
        " touch /run/z || echo bound; ls /sys/class/net; exit 5"
    )
    arguments = ("/bin/busybox", "sh", "-c", script)
    status, out, err = person.run(STEP, str(rootfs), str(work), runtime, network, "/dev/shm", *arguments)
    lines = out.decode().splitlines()
    assert lines[:7] == ["7", "8", "8 9", "sys", "dev", "refused", "ro"], (status, err)
    assert int(lines[7].split()[1], 16) == 0
    # /dev/shm is mounted with flags that a user namespace may not take away.
    assert lines[8] == "bound"
    assert status == 5
    if network == "none":
        assert lines[9:] == ["lo"]
    assert (rootfs / "tmp/x").stat().st_uid == 2000000 + 6
    assert list(work.iterdir()) == []
