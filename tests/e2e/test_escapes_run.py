"""Ways out of a RUN: each fails, the step is told so by the kernel, and the host stays as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.e2e.test_bad_input import Project

CANARY = "canary-4711"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the rung with most to lose is root's")


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A folder outside of all that is built; after the test it holds what it held before."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "secret").write_text(CANARY)
    yield folder
    assert os.listdir(folder) == ["secret"] and (folder / "secret").read_text() == CANARY


UNFILTERED = """#!/bin/sh
# `crun --root DIR --log FILE …` of a version that cannot do under a filter what the kernel lets root do
if grep -q '^Seccomp:.2' /proc/self/status; then
    echo '{"msg": "remount `/`: Operation not permitted", "level": "error"}' >"$4"
    exit 1
fi
exec crun "$@"
"""


def runtime_of(kind: str, tmp_path: Path) -> str:
    """A runtime as --runtime takes it."""
    name, _, unfiltered = kind.partition("-")
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    if not unfiltered:
        return name
    script = tmp_path / "crun-unfiltered"
    script.write_text(UNFILTERED)
    script.chmod(0o755)
    return str(script)


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return runtime_of(request.param, tmp_path)


@pytest.fixture(params=["crun", "runc", "builtin"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The option that chooses what runs the steps."""
    if request.param == "builtin":
        return ["--isolation", "builtin"]
    return ["--runtime", runtime_of(request.param, tmp_path)]


def ran(jettison: Jettison, project: Project, text: str, *words: str) -> Done:
    """The build, whose steps print `GOT…` for whatever they must not reach."""
    done = jettison.ok("build", "--progress", "plain", *words, project(dockerfile=text))
    assert reached(done) == []
    assert CANARY not in done.text
    return done


def reached(done: Done) -> list[str]:
    return re.findall(r"^#\d+ [\d.]+ (GOT.*)", done.text, re.M)


@pytest.mark.parametrize("sandbox", ["crun", "crun-unfiltered", "runc", "builtin"], indirect=True)
def test_devices_stay_shut_wherever_they_are_made(
    jettison: Jettison, project: Project, sandbox: list[str]
) -> None:
    """A node of any device can be made, as images may hold it, but opening it would be to read the disk."""
    text = """FROM busybox AS made
RUN mknod /zero c 1 5
FROM made
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --mount=type=bind,from=busybox,target=/b,rw \\
    <<'END'
for at in /. /dev /dev/shm /c /t /b /tmp /root; do
    mkdir -p $at; mknod $at/zero5 c 1 5 || echo GOT no node in $at
    head -c 1 $at/zero5 >/dev/null 2>&1 && echo GOT $at
    (echo x >$at/zero5) 2>/dev/null && echo GOT written $at
    for n in 7:0 8:0 253:0 254:0 259:0; do
        mknod $at/disk$n b ${n%:*} ${n#*:}; head -c 1 $at/disk$n >/dev/null 2>&1 && echo GOT disk $at $n
    done
done
head -c 1 /zero >/dev/null 2>&1 && echo GOT that of a layer
mount -o remount,dev / 2>/dev/null && echo GOT remount
umount /dev/null 2>/dev/null && echo GOT umount
true
END
"""
    ran(jettison, project, text, *sandbox)


def test_the_devices_that_there_are_work_and_stay_as_they_are(
    jettison: Jettison, project: Project, sandbox: list[str]
) -> None:
    """They are those of this machine: a step may use them and change nothing about them."""
    text = """FROM busybox
RUN set -e; echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \\
    head -c 1 /dev/full | wc -c; head -c 1 /dev/random | wc -c; test -c /dev/tty; test -e /dev/ptmx
RUN chmod 600 /dev/zero; chown 5:6 /dev/full; touch -d @0 /dev/null; rm -f /dev/random; mv /dev/tty /dev/x; \\
    ln -sf x /dev/urandom; true
RUN rm -rf /dev; mkdir /dev; mknod /dev/null c 1 3; chmod 666 /dev/null; true
"""

    def devices() -> list[tuple[int, int, int, int, float]]:
        found = [os.stat(f"/dev/{name}") for name in ("null", "zero", "full", "random", "urandom", "tty")]
        # Whoever writes to /dev/null on this machine meanwhile changes its time.
        return [(at.st_mode, at.st_uid, at.st_gid, at.st_rdev, at.st_ctime > 1) for at in found]

    before = devices()
    ran(jettison, project, text, *sandbox)
    assert devices() == before


def test_nothing_of_the_builder_is_open_or_in_sight(
    jettison: Jettison, project: Project, sandbox: list[str], canary: Path, tmp_path: Path
) -> None:
    """Descriptors, folders, processes, environment, credentials, the store: by /proc and by name."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(f'{{"auths":{{"r.example":{{"auth":"{CANARY}"}}}}}}')
    victim = subprocess.Popen(["sleep", "60"])
    text = f"""FROM busybox
WORKDIR /proc/self/cwd
RUN <<'END'
for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15 20 99; do test -e /proc/self/fd/$fd && echo GOT fd $fd; done
for at in / ../../../../../.. /proc/self/root/.. /proc/1/root/.. /proc/1/cwd/../../.. /proc/self/cwd/../..; do
    cat $at/{canary}/secret 2>/dev/null; ls $at/{jettison.root} 2>/dev/null && echo GOT the store by $at
    echo x 2>/dev/null >$at/{canary}/new && echo GOT written by $at
done
cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -i jettison && echo GOT environment
grep -l {CANARY[:6]}.{CANARY[7:]} /proc/[0-9]*/environ $HOME/.docker/config.json 2>/dev/null && echo GOT it
kill -9 {victim.pid} 2>/dev/null && echo GOT killed
kill -0 -1 2>/dev/null; test $(ls -d /proc/[0-9]* | wc -l) -gt 12 && echo GOT processes
test "$(readlink /proc/1/exe)" -ef /bin/busybox || echo GOT another first process
true
END
"""
    with victim:
        secrets = {"HOME": str(tmp_path), "CI_TOKEN": CANARY, "JETTISON_DEBUG": "1"}
        done = jettison(
            "build", "--progress", "plain", *sandbox, project(dockerfile=text), env=secrets
        )
        assert victim.poll() is None
        victim.kill()
    assert done.code == 0, done.text[-2000:]
    assert reached(done) == []
    assert CANARY not in done.text


@pytest.mark.parametrize(
    "folder", ["/proc/self/fd/8", "/proc/self/fd/3", "/proc/self/fd/7/../../..", "/proc/1/root/.."]
)
def test_a_working_folder_by_way_of_a_descriptor(
    jettison: Jettison, project: Project, sandbox: list[str], canary: Path, folder: str
) -> None:
    """The sandbox's descriptors as a working folder (CVE-2024-21626): none, or one of the container."""
    base = f"FROM busybox\nENV D={folder}\nWORKDIR $D\n"
    text = f"{base}RUN cat ../../../../../..{canary}/secret ../../..{canary}/secret .{canary}/secret; true\n"
    done = jettison("build", "--progress", "plain", *sandbox, project(dockerfile=text))
    assert CANARY not in done.text and "Traceback" not in done.text and "internal error" not in done.text


def test_the_kernel_is_not_touched(jettison: Jettison, project: Project, sandbox: list[str]) -> None:
    text = """FROM busybox
RUN <<'END'
for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \\
    /proc/sys/vm/swappiness /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run \\
    /sys/fs/cgroup/cgroup.procs /proc/sys/fs/binfmt_misc/register; do
    (: >>$f) 2>/dev/null && echo GOT $f
done
for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug; do
    test $(head -c 9 $f 2>/dev/null | wc -c) = 0 || echo GOT $f
done
mkdir -p /m
mount -t proc x /m 2>/dev/null && echo GOT mount; mount --bind / /m 2>/dev/null && echo GOT bind
mount -t cgroup2 x /m 2>/dev/null && echo GOT cgroup; umount /proc/sys 2>/dev/null && echo GOT umount
unshare -U true 2>/dev/null && echo GOT user namespace; unshare -m true 2>/dev/null && echo GOT mounts
unshare -n true 2>/dev/null && echo GOT network; nsenter -t 1 -m true 2>/dev/null && echo GOT nsenter
chroot /proc/1/root/../.. ls /proc/1/root/.. >/dev/null; pivot_root / / 2>/dev/null && echo GOT pivot
swapoff -a 2>/dev/null && echo GOT swap; insmod x 2>/dev/null && echo GOT module
hostname other 2>/dev/null && echo GOT hostname
dmesg 2>/dev/null | head -1 | grep . && echo GOT dmesg
true
END
"""
    ran(jettison, project, text, *sandbox)


def test_the_runtime_cannot_be_overwritten(
    jettison: Jettison, project: Project, runtime: str, tmp_path: Path
) -> None:
    """A program that leads back to the runtime itself, to be written to while it runs (CVE-2019-5736)."""
    program = shutil.which(runtime)
    assert program
    copy = tmp_path / runtime
    shutil.copy(program, copy)
    before = copy.read_bytes()
    text = """FROM busybox
RUN ln -s /proc/self/exe /own && (sleep .2; for p in /proc/[0-9]*; do (echo >$p/exe) 2>/dev/null; done) & \\
    for p in /proc/[0-9]*; do (echo x >$p/exe) 2>/dev/null && echo GOT $p; done; true
RUN ["/own", "--version"]
"""
    done = jettison("build", "--progress", "plain", "--runtime", copy, project(dockerfile=text))
    assert copy.read_bytes() == before and "Traceback" not in done.text and reached(done) == []


def test_links_of_mounts_lead_nowhere_outside(
    jettison: Jettison, project: Project, sandbox: list[str], canary: Path
) -> None:
    """Sources and targets of mounts by way of links: of a stage, of the image, of a cache filled before."""
    text = f"""FROM busybox AS s
RUN mkdir /d && ln -s {canary} /d/l && ln -s ../../../../../../..{canary} /up && ln -s /d /root-link \\
    && ln -s /proc/self/root/..{canary} /magic
FROM busybox AS filled
RUN --mount=type=cache,id=../../../../..{canary},target=/c ln -s {canary} /c/l && ln -s ../../..{canary} /c/u
FROM filled
RUN ln -s {canary} /t && ln -s ../../../../..{canary} /u && mkdir /w && ln -s /proc/1/root/..{canary} /w/p
RUN --mount=from=s,target=/m cat /m/d/l/secret /m/up/secret /m/magic/secret; true
RUN --mount=from=s,source=/root-link,target=/m ls /m && cat /m/l/secret; true
RUN --mount=from=busybox,source=/bin,target=/t/x --mount=type=cache,target=/u/new ls /t /u; touch /u/new/file
RUN --mount=type=cache,id=../../../../..{canary},target=/c --mount=type=tmpfs,target=/c/l/x \\
    --mount=type=tmpfs,target=/c/u/y \\
    sh -c 'cat /c/l/secret /c/u/secret; touch /c/l/x/in /c/l/out /c/u/y/in';true
RUN --mount=type=tmpfs,target=/w/p/new touch /w/p/new/in; true
"""
    done = jettison("build", "--progress", "plain", *sandbox, project(dockerfile=text))
    assert CANARY not in done.text and "Traceback" not in done.text and "internal error" not in done.text
    for source in ("/d/l", "/up", "/magic", "/d/l/secret", "/../../../.." + str(canary)):
        above = text.partition("FROM filled")[0]
        one = f"{above}RUN --mount=from=s,source={source},target=/m cat /m/secret /m\n"
        done = jettison("build", "--progress", "plain", *sandbox, project(dockerfile=one))
        assert done.code == 1 and CANARY not in done.text and "internal error" not in done.text
        assert "not found" in done.err


def test_a_parallel_step_changes_nothing_of_what_is_resolved(
    jettison: Jettison, project: Project, canary: Path
) -> None:
    """While one step swaps a folder for a link again and again, another mounts, and copies from, that stage.

    What is resolved are layers, which nobody can write to: a step that swaps does so in layers of its own.
    """
    swap = f"rm -rf /d/x; ln -s {canary} /d/x; rm /d/x; mkdir /d/x; echo inside >/d/x/secret"
    text = f"""FROM busybox AS s
RUN mkdir -p /d/x && echo inside >/d/x/secret
FROM s AS swapping
RUN --mount=from=s,target=/m,rw for i in $(seq 300); do {swap}; {swap.replace("/d", "/m/d")}; done
FROM busybox AS reading
RUN --mount=from=s,source=/d/x,target=/m,rw for i in $(seq 100); do cat /m/secret; echo y >/m/new; done
COPY --from=s /d/x/secret /one
FROM scratch
COPY --from=swapping /d/x/secret /two
COPY --from=reading /one /one
"""
    done = jettison.ok("build", "--progress", "plain", project(dockerfile=text))
    assert "inside" in done.text and CANARY not in done.text
