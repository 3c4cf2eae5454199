"""Real processes in real containers, with every OCI runtime that is installed."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from jettison import kernel
from jettison.errors import Cancelled, SandboxError
from jettison.sandbox import oci
from jettison.sandbox.base import Mount, ProcessSpec, Sandbox

BUSYBOX = "/bin/busybox"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
    pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="needs /bin/busybox (package busybox-static)"),
]

RUNTIMES = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed"))
    for name in ("crun", "runc")
]


@pytest.fixture(params=RUNTIMES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return oci.choose(request.param)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return make_rootfs(tmp_path / "rootfs")


def make_rootfs(root: Path) -> Path:
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "o"):
        (root / name).mkdir(parents=True)
    (root / "o").chmod(0o777)
    shutil.copy2(BUSYBOX, root / "bin/busybox")
    applets = "sh true false ls cat id touch sleep ps mkdir ifconfig mount mknod hostname head wc kill chroot"
    for applet in (applets + " grep echo unshare umount stty tty nslookup").split():
        (root / "bin" / applet).symlink_to("busybox")
    return root


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No child, no mount, no cgroup of ours may outlive a test."""
    yield
    assert children() == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert cgroups(os.getpid()) == []


def children() -> list[str]:
    """Also those in state Z: whoever is not reaped shows up here."""
    out: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            out += (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that has just ended
    return out


def cgroups(pid: int) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    return [path for place in (top, top / "unified") for path in place.glob(f"jettison-{pid}-*")]


@dataclass
class Result:
    status: int
    out: bytes = b""
    err: bytes = b""
    chunks: list[tuple[int, bytes]] = field(default_factory=list)


def run(
    sandbox: Sandbox,
    spec: ProcessSpec,
    work: Path,
    cancel: threading.Event | None = None,
    watch: Callable[[bytes], None] | None = None,
) -> Result:
    result = Result(-1)

    def output(stream: int, data: bytes) -> None:
        result.chunks.append((stream, data))
        if watch:
            watch(data)

    work.mkdir()
    result.status = kernel.private_mounts(
        lambda: sandbox.run(spec, output, cancel or threading.Event(), str(work))
    )
    result.out = b"".join(data for stream, data in result.chunks if stream == 1)
    result.err = b"".join(data for stream, data in result.chunks if stream == 2)
    assert list(work.iterdir()) == []
    return result


def shell(rootfs: Path, script: str) -> ProcessSpec:
    return ProcessSpec(str(rootfs), ("/bin/sh", "-c", script), ("PATH=/bin",))


Shell = Callable[..., Result]


@pytest.fixture
def sh(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> Shell:
    def call(script: str, **changes: object) -> Result:
        return run(sandbox, replace(shell(rootfs, script), **changes), tmp_path / f"work{time.time_ns()}")  # type: ignore[arg-type]

    return call


def test_check_is_content(sandbox: Sandbox) -> None:
    assert sandbox.check() == ""


def test_output_of_both_streams_and_status(sh: Shell) -> None:
    result = sh("echo out; echo err >&2; exit 7")
    assert (result.status, result.out, result.err) == (7, b"out\n", b"err\n")


def test_error_output_comes_before_later_output(sh: Shell) -> None:
    result = sh("echo first >&2; sleep 0.3; echo second")
    assert result.chunks == [(2, b"first\n"), (1, b"second\n")]


def test_only_error_output_of_a_failing_step_is_kept(sh: Shell) -> None:
    result = sh("echo broken >&2; exit 1")
    assert (result.status, result.err) == (1, b"broken\n")


def test_a_lot_of_output_is_whole(sh: Shell) -> None:
    result = sh("head -c 3000000 /dev/zero")
    assert result.out == bytes(3000000)


def test_status_of_a_signal(sh: Shell) -> None:
    assert sh("sh -c 'kill -TERM $$'; exit $?").status == 128 + 15


def test_step_sees_a_quiet_place(sh: Shell) -> None:
    script = """
    cat; umask; hostname; id -u; test -c /dev/null && test -c /dev/full && test -e /dev/fd && echo dev
    echo $0 $$; touch /dev/shm/x && test -d /dev/mqueue && test -c /dev/ptmx && echo shm
    ls /sys/class >/dev/null && test -d /proc/self && echo fs; kill -l 13; cat /proc/self/oom_score_adj
    """
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    lines = sh(script).out.decode().splitlines()
    expected = ["0022", "buildkitsandbox", "0", "dev", "/bin/sh 1", "shm", "fs", "PIPE", own]
    assert [line.removeprefix("SIG") for line in lines] == expected


def test_signals_are_not_ignored(sh: Shell) -> None:
    words = ("/bin/grep", "-E", "SigBlk|SigIgn", "/proc/self/status")
    blocked, ignored = sh("", args=words).out.split()[1::2]
    of_the_c_library = 1 << 31 | 1 << 32
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & ~of_the_c_library == 0


def test_environment_is_only_what_the_spec_says(sh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETTISON_TEST_TOKEN", "hush")
    result = sh("export -p", env=("PATH=/bin", "A=b c", "HOME=/x"))
    assert b"hush" not in result.out
    assert b"A='b c'" in result.out


def test_hostname(sh: Shell) -> None:
    assert sh("hostname", hostname="myhost").out == b"myhost\n"


def test_no_network_leaves_loopback_up(sh: Shell) -> None:
    result = sh("ls /sys/class/net; ifconfig lo", network="none")
    assert result.out.startswith(b"lo\n")
    assert b"127.0.0.1" in result.out


def test_user_and_groups(sh: Shell) -> None:
    script = "id -u; id -g; id -G; touch /o/own; grep -E 'Cap(Eff|Prm|Amb|Inh|Bnd)' /proc/self/status"
    result = sh(script, uid=1001, gid=1002, groups=(1500, 1600))
    words = result.out.decode().split()
    assert words[:5] == ["1001", "1002", "1002", "1500", "1600"]
    capabilities = dict(zip(words[5::2], words[6::2], strict=True))
    none = "0" * 16
    assert capabilities.pop("CapBnd:") != none
    assert set(capabilities.values()) == {none}


def test_user_has_no_rights_over_others(sh: Shell, rootfs: Path) -> None:
    (rootfs / "secret").write_text("s")
    (rootfs / "secret").chmod(0o600)
    assert sh("cat /secret || touch /no", uid=1000, gid=1000).status != 0


def test_default_capabilities(sh: Shell) -> None:
    out = sh("grep CapEff /proc/self/status").out.split()[1]
    assert int(out, 16) == 0x00000000A80425FB


def test_device_nodes_can_be_made(sh: Shell, rootfs: Path) -> None:
    assert sh("mknod -m 620 /c c 1 7").status == 0
    assert os.stat(rootfs / "c").st_rdev == os.makedev(1, 7)


def test_no_way_out(sh: Shell) -> None:
    script = """
    mount -t tmpfs none /tmp && echo mounted
    unshare -m true && echo unshared
    hostname other && echo renamed
    echo 1 > /proc/sys/kernel/sysrq && echo wrote
    touch /sys/x && echo sys
    head -c 1 /proc/kcore | wc -c
    ls /proc | grep -c '^[0-9]'
    """
    lines = sh(script).out.split()
    assert lines[0] == b"0"
    assert int(lines[1]) <= 4


def test_privileged(sh: Shell) -> None:
    script = "mount -t tmpfs none /tmp && unshare -m true && echo mounted; ls /proc/scsi /proc/kcore"
    result = sh(script, privileged=True)
    assert b"mounted" in result.out


def test_read_only_root(sh: Shell) -> None:
    assert sh("touch /x", read_only=True).status == 1


def test_mounts(sh: Shell, rootfs: Path, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("from outside")
    (rootfs / "etc/hosts").write_text("own")
    mounts = (
        Mount("bind", "/etc/hosts", str(source), read_only=True),
        Mount("tmpfs", "/tmp", mode=0o1777, size=1 << 20),
        Mount("bind", "/o", str(tmp_path)),
    )
    script = """
    cat /etc/hosts; echo x > /etc/hosts || echo ro; echo
    touch /tmp/x; head -c 2000000 /dev/zero > /tmp/big || echo full; echo new > /o/made
    """
    result = sh(script, mounts=mounts)
    assert result.out == b"from outsidero\n\nfull\n"
    assert (tmp_path / "made").read_text() == "new\n"
    assert (rootfs / "etc/hosts").read_text() == "own"
    assert list((rootfs / "tmp").iterdir()) == []


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
    sandbox: Sandbox,
    rootfs: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    mode: int,
    status: int,
    text: str,
) -> None:
    if content is not None:
        (rootfs / name[1:]).write_bytes(content)
        (rootfs / name[1:]).chmod(mode)
    result = run(sandbox, ProcessSpec(str(rootfs), (name,), ("PATH=/bin",)), tmp_path / "work")
    assert result.status == status
    assert text in result.err.decode()
    assert result.err.count(b"\n") == 1
    assert result.out == b""


def test_working_folder_that_is_a_file(sh: Shell, rootfs: Path) -> None:
    (rootfs / "file").touch()
    with pytest.raises(SandboxError, match=r"/file"):
        sh("true", cwd="/file")


def test_working_folder(sh: Shell) -> None:
    assert sh("pwd", cwd="/o").out == b"/o\n"


def test_children_of_the_first_process_do_not_hold_the_step(sh: Shell) -> None:
    began = time.monotonic()
    assert sh("sleep 100 & echo done").out == b"done\n"
    assert time.monotonic() - began < 10


def test_cancel_kills_all_and_leaves_nothing(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    marker = "7357.25"
    script = f"trap '' TERM INT; sleep {marker} & (sleep {marker} & ) ; echo up; wait"
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, script), tmp_path / "work", cancel, lambda data: cancel.set())
    assert time.monotonic() - began < 5
    assert processes(marker) == []


def test_without_the_tools_for_a_pid_namespace(
    sandbox: Sandbox, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci, "_wrapper", lambda: ())
    assert run(sandbox, shell(rootfs, "echo out; exit 7"), tmp_path / "first").status == 7
    cancel = threading.Event()
    script = "trap '' TERM INT; sleep 7357.9 & echo up; wait"
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, script), tmp_path / "second", cancel, lambda data: cancel.set())
    assert processes("7357.9") == []


def test_cancel_before_the_start(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, "touch /ran"), tmp_path / "work", cancel)
    assert not (rootfs / "ran").exists()


def test_output_that_raises_ends_the_step(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    def watch(data: bytes) -> None:
        raise BrokenPipeError("gone")

    with pytest.raises(BrokenPipeError):
        run(sandbox, shell(rootfs, "echo up; sleep 7357.5"), tmp_path / "work", None, watch)
    assert processes("7357.5") == []


def processes(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[-2:-1] == [marker.encode()]:
                found.append(path.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def within_seconds(limit: float, true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        if true():
            return True
        os.sched_yield()
    return False


KILLED = """
import os, sys, threading
from jettison import kernel
from jettison.sandbox import oci
from jettison.sandbox.base import ProcessSpec
spec = ProcessSpec(sys.argv[2], ("/bin/sh", "-c", "echo up; sleep 7357.75; echo"), ("PATH=/bin",))
show = lambda stream, data: print(data.decode(), end="", flush=True)
kernel.private_mounts(lambda: oci.choose(sys.argv[1]).run(spec, show, threading.Event(), sys.argv[3]))
"""


def test_step_dies_with_a_killed_builder(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", KILLED, sandbox.name, str(rootfs), str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        try:
            assert builder.stdout.readline() == b"up\n"
            assert within_seconds(10, lambda: bool(processes("7357.75")))
        finally:
            builder.send_signal(signal.SIGKILL)
    assert within_seconds(10, lambda: not processes("7357.75"))
    assert list(work.iterdir()) == []
    for left in cgroups(builder.pid):
        left.rmdir()


def test_own_streams(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    """Without `output`, the process has the streams of its builder, input included."""
    code = KILLED.replace("echo up; sleep 7357.75; echo", "cat; exit 3").replace("show", "None", 2)
    code = code.replace("None = lambda stream, data: print(data.decode(), end='', flush=True)", "")
    code = "\n".join(line for line in code.splitlines() if not line.startswith("None"))
    code = code.replace("kernel.private_mounts(", "sys.exit(kernel.private_mounts(") + ")"
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", code, sandbox.name, str(rootfs), str(tmp_path / "work")]
    result = subprocess.run(command, input=b"typed", capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (3, b"typed"), result.stderr


def test_secrets_do_not_reach_the_disk(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    seen: list[list[str]] = []
    spec = replace(shell(rootfs, "echo up"), env=("PATH=/bin", "TOKEN=hush"))
    run(sandbox, spec, work, None, lambda data: seen.append(os.listdir(work)))
    assert seen[0] == [] or all(isinstance(name, str) for name in seen[0])
    assert os.listdir(work) == []


def test_missing_runtime() -> None:
    sandbox = oci.choose("/no/such/runtime")
    assert "was not found" in sandbox.check()


def test_runtime_by_path(rootfs: Path, tmp_path: Path) -> None:
    path = shutil.which("crun")
    if path is None:
        pytest.skip("crun is not installed")
    assert run(oci.choose(path), shell(rootfs, "exit 5"), tmp_path / "work").status == 5


def test_words_beyond_ascii(sh: Shell) -> None:
    assert sh("", args=("/bin/echo", "größe ✓")).out.decode() == "größe ✓\n"


TERMINAL = """
import os, sys, threading, fcntl, termios
os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from jettison import kernel
from jettison.sandbox import oci
from jettison.sandbox.base import ProcessSpec
spec = ProcessSpec(sys.argv[2], ("/bin/sh", "-c", "tty; read line; echo <$line>; exit 4"), ("PATH=/bin",),
    terminal=True)
run = lambda: oci.choose(sys.argv[1]).run(spec, None, threading.Event(), sys.argv[3])
status = kernel.private_mounts(run)
os._exit(status)
"""


def test_terminal(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    controller, terminal = pty.openpty()
    code = TERMINAL.replace("<$line>", "'<'$line'>'")
    command = [sys.executable, "-c", code, sandbox.name, str(rootfs), str(tmp_path / "work")]
    seen = b""
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as builder:
        os.close(terminal)
        try:
            typed = False
            while b"<typed>" not in seen:
                seen += os.read(controller, 4096)
                if b"/dev/" in seen and not typed:
                    os.write(controller, b"typed\n")
                    typed = True
        except OSError:
            pass  # the other end was closed
        status = builder.wait(timeout=30)
    os.close(controller)
    assert (status, b"<typed>" in seen, b"/dev/" in seen) == (4, True, True), seen
