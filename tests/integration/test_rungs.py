"""One project on every rung: the images are the same, but for what is named here."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import imagetree
from tests.integration.situations import (
    CONFINED,
    NO_RUNTIME,
    NOTHING,
    ROOT,
    SUBORDINATE,
    SUBORDINATE_NO_RUNTIME,
    TOOLS,
    UNCONFINED,
    UNMASKED,
    USER,
    Machine,
    Situation,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed"),
]

DOCKERFILE = """\
FROM scratch AS files
COPY --chown=12:34 --chmod=4750 file /owned
COPY --chown=1000 links /links
ADD --chown=7:8 archive.tar /given/
ADD archive.tar /unpacked/

FROM busybox AS work
ENV HOME=/home/app
RUN echo app:x:1000:1000::/home/app:/bin/sh >> /etc/passwd && echo app:x:1000: >> /etc/group \\
    && echo more:x:50:app >> /etc/group \\
    && mkdir -m 700 /home/app && chown app:app /home/app && echo ours > /home/app/of-root \\
    && chown app:app /home/app/of-root && mkdir -m 2775 /srv && chown :app /srv \\
    && ln -s of-root /home/app/link && chown -h 5:6 /home/app/link && ln /home/app/of-root /home/app/second \\
    && touch /srv/half && chown 5:6 /srv/half && chown 7 /srv/half \\
    && mkfifo -m 600 /srv/fifo && rm /bin/du && rm -r /var/tmp && mkdir /var/tmp
RUN --mount=type=cache,target=/cache,uid=1000,mode=700 --mount=type=tmpfs,target=/tmp \\
    --mount=type=bind,from=files,target=/src --mount=type=bind,source=file,target=/context \\
    echo x > /tmp/x && cp /context /cache/kept && cat /src/owned /cache/kept > /srv/read && rm /srv/fifo
USER app
WORKDIR /home/app/made
RUN --mount=type=secret,id=token,uid=1000 --mount=type=cache,target=/cache,uid=1000,mode=700 \\
    --mount=type=secret,id=token,env=TOKEN,target=/dev/token \\
    test "$(cat /run/secrets/token)" = "$TOKEN" && echo ${#TOKEN} > length && id -G > groups && pwd > where \\
    && cat /cache/kept > kept && umask 027 && mkdir private && echo x > private/file
RUN <<SH
set -e
whoami > heredoc
if touch /etc/made 2>/dev/null; then rm /etc/made; echo yes; else echo no; fi > may-write-to-etc
SH
COPY --chown=app file named

FROM busybox
COPY --from=files / /files/
COPY --from=work --chown=21:22 /srv /srv
COPY --from=work /srv /kept
COPY --from=work /home /home
COPY --from=work /etc/passwd /etc/group /etc/
RUN chown 51:52 /files/given/top/device && chmod 606 /files/given/top/device
USER 1000:33
RUN echo mine > /tmp/mine && chmod 1757 /tmp/mine
"""

OF_SINGLE_ID = [
    "~ /home/app/link gid: 6 != 0, uid: 5 != 0",
    "~ /home/app/made/groups text: '1000 50\\n' != '1000\\n'",
    "~ /home/app/made/may-write-to-etc text: 'no\\n' != 'yes\\n'",
    "~ /kept/half gid: 6 != 0",
    "~ /kept/read gid: 1000 != 0",
]
"""All that is otherwise there: symlinks cannot be given away; a step with another USER has one group,
and the rights of root to files; busybox's `chown USER` sets the group that it sees, which is root's;
and a new file in a setgid folder does not get the group that was noted for the folder."""

IN_A_NAMESPACE = [SUBORDINATE, SUBORDINATE_NO_RUNTIME, UNMASKED, UNCONFINED]
"""Here the kernel makes no device nodes: in trees, empty files with a note stand for them."""

DEVICES = ["/files/given/top/device", "/files/unpacked/top/device"]

PROBES = """\
FROM busybox
RUN echo secret > /secret && chmod 600 /secret; \\
    say() { name=$1; shift; "$@" > /dev/null 2>&1 && echo "= $name yes" || echo "= $name no"; }; \\
    say finds-itself grep -q "[[:space:]]$(hostname)$" /etc/hosts; \\
    say proc test -e /proc/self/status; say first-process test $$ = 1; \\
    say own-host-name test "$(hostname)" = buildkitsandbox; say mounts mount -t tmpfs none /tmp; \\
    say filter grep -q "Seccomp:.2" /proc/self/status; say unshares unshare -m true; \\
    say changes-null chmod 666 /dev/null; say makes-devices mknod /device c 1 7; \\
    say opens-devices test "$(head -c 3 /device | wc -c)" = 3
USER 1000
RUN grep -q "NoNewPrivs:.0" /proc/self/status 2> /dev/null && echo "= gains-rights yes"; \\
    cat /secret > /dev/null 2>&1 && echo "= reads-what-is-root's yes"; true
"""

APART = "finds-itself proc first-process own-host-name filter"
YES = dict.fromkeys(IN_A_NAMESPACE, f"{APART} gains-rights") | {
    ROOT: f"{APART} makes-devices gains-rights",
    NO_RUNTIME: f"{APART} changes-null makes-devices gains-rights",
    USER: f"{APART} makes-devices reads-what-is-root's",
    CONFINED: "finds-itself changes-null",
}
"""What of it a step can do, by machine. "gains-rights" is for setuid programs; it takes /proc to tell.
"changes-null" is fine where /dev/null is the step's own: elsewhere it is the machine's."""

BELOW = [SUBORDINATE, UNMASKED, NO_RUNTIME, UNCONFINED, SUBORDINATE_NO_RUNTIME, USER, CONFINED]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-rungs-") as place:
        machine = Machine(Path(place))
        context = machine.place / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "file").write_text("a file\n")
        (context / "links").mkdir()
        (context / "links" / "link").symlink_to("nowhere")
        (context / "token").write_text("hush-7513")
        write_archive(context / "archive.tar")
        yield machine


def write_archive(path: Path) -> None:
    """Owners, modes, links and extended attributes, as archives of distributions have them."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, mode, owner, link in (
            ("top", tarfile.DIRTYPE, 0o3711, (41, 42), ""),
            ("top/suid", tarfile.REGTYPE, 0o4711, (0, 43), ""),
            ("top/capable", tarfile.REGTYPE, 0o755, (0, 0), ""),
            ("top/locked", tarfile.REGTYPE, 0o000, (44, 44), ""),
            ("top/name", tarfile.LNKTYPE, 0o4711, (0, 43), "top/suid"),
            ("top/link", tarfile.SYMTYPE, 0o777, (45, 46), "suid"),
            ("top/fifo", tarfile.FIFOTYPE, 0o620, (47, 48), ""),
            ("top/device", tarfile.CHRTYPE, 0o620, (0, 49), ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname, member.mtime = kind, mode, link, 1
            member.uid, member.gid = owner
            member.devmajor, member.devminor = 1, 7
            data = name.encode() if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            if name == "top/capable":
                # cap_net_bind_service, effective and permitted, as setcap writes it
                value = bytes.fromhex("0100000200040000000000000000000000000000")
                member.pax_headers = {"SCHILY.xattr.security.capability": value.decode("latin-1")}
            tar.addfile(member, io.BytesIO(data))


def facts(machine: Machine, situation: Situation, *words: object) -> dict[str, Any]:
    """What is in the image that a build in this situation makes."""
    out = machine.home(situation) / "image.tar"
    done = machine.jettison(situation, "build", *build_words(machine), "-o", f"type=oci,dest={out}", *words)
    assert done.code == 0, done.text
    assert "hush-7513" not in done.text
    found: dict[str, Any] = imagetree.facts(str(out))
    return found


def build_words(machine: Machine) -> list[str]:
    context = machine.place / "context"
    base = f"busybox=oci-layout://{machine.busybox()}"
    return [str(context), "--build-context", base, f"--secret=id=token,src={context}/token"]


@pytest.fixture(scope="module")
def reference(machine: Machine) -> dict[str, Any]:
    """The image of a whole machine. What it must hold is said here, so that equal is not equally wrong."""
    image = facts(machine, ROOT)
    owners = {path: (item["uid"], item["gid"]) for path, item in image["tree"].items()}
    assert owners["/home/app/made/private/file"] == owners["/home/app/of-root"] == (1000, 1000)
    assert owners["/tmp/mine"] == (1000, 33)
    assert owners["/files/unpacked/top/link"] == (45, 46)
    assert image["tree"]["/files/owned"]["mode"] == "4750"
    assert all(image["tree"][path]["dev"] == "1,7" for path in DEVICES)
    assert "security.capability" in image["tree"]["/files/unpacked/top/capable"]["xattrs"]
    return image


@pytest.mark.parametrize("situation", BELOW, ids=str)
def test_the_image_is_the_same(machine: Machine, reference: dict[str, Any], situation: Situation) -> None:
    image = facts(machine, situation, f"--isolation={situation.rung}")
    named = OF_SINGLE_ID if situation.rung == "single-id" else []
    assert imagetree.diff(reference, image) == named


def test_files_are_the_same_where_nothing_runs(machine: Machine) -> None:
    """The owners of COPY and of archives are right though this user can give no file away."""
    assert (
        imagetree.diff(facts(machine, ROOT, "--target=files"), facts(machine, NOTHING, "--target=files"))
        == []
    )
    done = machine.jettison(NOTHING, "build", *build_words(machine))
    assert done.code == 1
    assert "Dockerfile:9: RUN cannot be carried out here" in done.text


@pytest.mark.parametrize("situation", [SUBORDINATE, SUBORDINATE_NO_RUNTIME, USER], ids=str)
def test_ids_that_the_user_does_not_have(machine: Machine, situation: Situation) -> None:
    context = machine.place / "beyond"
    context.mkdir(exist_ok=True)
    (context / "file").touch()
    base = f"busybox=oci-layout://{machine.busybox()}"
    for text, said in (
        ("COPY --chown=8:70000 file /file\nRUN true", "belongs to 8:70000, and there is no group 70000"),
        ("USER 70000:8\nRUN true", "USER 70000:8: there is no user 70000"),
        ("RUN --mount=type=cache,target=/c,uid=70000 true", "mount belongs to 70000:0, and there is no"),
    ):
        (context / "Dockerfile").write_text(f"FROM busybox\n{text}\n")
        done = machine.jettison(situation, "build", "--build-context", base, context)
        assert done.code == (situation != USER), done.text
        assert (said in done.err) == (situation != USER), done.err


@pytest.mark.parametrize("situation", [ROOT, *BELOW], ids=str)
def test_what_a_step_can_do(machine: Machine, situation: Situation) -> None:
    context = machine.place / "probes"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(PROBES)
    base = f"busybox=oci-layout://{machine.busybox()}"
    done = machine.jettison(situation, "build", "--progress=jsonl", "--build-context", base, context)
    output = "".join(event["data"] for event in done.events("StepOutput"))
    said = dict(line[2:].split() for line in output.splitlines() if line.startswith("= "))
    assert " ".join(name for name, answer in said.items() if answer == "yes") == YES[situation], output


@pytest.mark.parametrize("situation", [SUBORDINATE, UNCONFINED, USER, CONFINED], ids=str)
def test_limits_hold(machine: Machine, situation: Situation) -> None:
    context = machine.place / "limited"
    context.mkdir(exist_ok=True)
    base = f"busybox=oci-layout://{machine.busybox()}"
    for command, option, said in (
        (
            "head -c 200000000 /dev/zero | tail -n 1 > /dev/null; exit 7",
            "--memory=64MB",
            "more than the 64 MB",
        ),
        ("sleep 100 & sleep 100", "--step-timeout=1s", "longer than the 1 s"),
    ):
        (context / "Dockerfile").write_text(f"FROM busybox\nRUN {command}\n")
        done = machine.jettison(situation, "build", option, "--build-context", base, context)
        assert done.code == 1
        assert said in done.err, done.err
        assert "Traceback" not in done.err
