"""Real processes in real containers, with every OCI runtime that is installed: what a step sees."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from jettison.errors import SandboxError
from jettison.kernel import private_mounts
from jettison.sandbox import oci
from jettison.sandbox.base import Mount, ProcessSpec, Sandbox
from tests.integration.containers import NEEDS, Shell, run, shell

pytestmark = NEEDS


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


def test_no_open_file_of_the_builder_is_inherited(sh: Shell) -> None:
    ends = os.pipe()
    try:
        for end in ends:
            os.set_inheritable(end, True)
        # 3 is what ls reads the list from.
        assert sh("", args=("/bin/ls", "/proc/self/fd")).out.split() == [b"0", b"1", b"2", b"3"]
    finally:
        for end in ends:
            os.close(end)


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
    out = sh("grep CapEff /proc/self/status", network="none").out.split()[1]
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


def test_working_folder_of_somebody_else(sh: Shell, rootfs: Path) -> None:
    (rootfs / "closed/below").mkdir(parents=True)
    (rootfs / "closed").chmod(0o700)
    result = sh("pwd; ls /closed || touch /o/kept-out", cwd="/closed/below", uid=1000, gid=1000)
    assert result.out == b"/closed/below\n"
    assert (rootfs / "o/kept-out").exists()


def test_working_folder_by_a_link_of_proc(sh: Shell, rootfs: Path) -> None:
    """What the sandbox itself has open, or where it is, may lead to all files of the machine."""
    (rootfs / "way").symlink_to("/proc/self")
    for link in ("way/cwd", *(f"way/fd/{number}" for number in range(3, 16))):
        try:
            result = sh("pwd -P; ls -d /proc/../way", cwd=f"/{link}")
        except SandboxError:
            continue
        assert result.out == b"/\n/proc/../way\n", link


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


@pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed")
def test_a_configuration_that_would_be_on_the_disk_is_not_written(rootfs: Path, tmp_path: Path) -> None:
    """Where no tmpfs can be mounted: here because the folder is a file."""
    work = tmp_path / "work"
    work.touch()
    spec = ProcessSpec(str(rootfs), ("/bin/true",), ("TOKEN=hush",))
    with pytest.raises(SandboxError, match="cannot be kept in memory"):
        private_mounts(lambda: oci.choose("crun").run(spec, None, threading.Event(), str(work)))
    assert work.read_bytes() == b""
