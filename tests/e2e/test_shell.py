"""Where a step failed: what it left is kept, entered through a terminal, and copied out as artifacts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import jettison as api
from tests.conftest import Done, Jettison

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Project = Callable[..., Path]

DOCKERFILE = """\
FROM busybox AS base
RUN echo below > /below
FROM base AS tester
ENV A=from-env
ARG B=from-arg
WORKDIR /src
USER 7:8
RUN --mount=type=cache,target=/cache,mode=777 --mount=type=tmpfs,target=/fast \\
    --mount=type=bind,from=base,source=/below,target=/bound --mount=type=secret,id=word,uid=7 \\
    echo kept > /tmp/left; echo deep > /cache/c; rm -f /tmp/left2; exit 3
FROM base
RUN echo payload > /payload
"""
LOOK = "pwd; id -u; id -g; echo $A $B; cat /tmp/left /cache/c /bound; grep -c ' /fast ' /proc/mounts"
SEEN = ["/src", "7", "8", "from-env from-arg", "kept", "deep", "below"]
ISOLATIONS = ("root", "rootless", "single-id", "builtin", "chroot")


def failed(jettison: Jettison, folder: Path, *words: object) -> Done:
    done = jettison("build", "--progress", "plain", *words, folder)
    assert done.code == 1, done.text
    return done


def typed(jettison: Jettison, *words: object, lines: list[bytes]) -> tuple[int, bytes]:
    """The command on a terminal of its own, a line typed at each prompt: its status, and what was shown."""
    controller, terminal = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = jettison.start(
        *words,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=own_terminal,
        env={"TERM": "dumb"},
    )
    os.close(terminal)
    shown, todo, ends = b"", list(lines), time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            if not select.select([controller], [], [], 1)[0]:
                continue
            try:
                data = os.read(controller, 4096)
            except OSError:
                break  # nobody has the other end any more
            shown += data
            # busybox asks where the cursor is, behind its prompt.
            if todo and shown.removesuffix(b"\x1b[6n").endswith((b"$ ", b"# ")):
                os.write(controller, todo.pop(0) + b"\n")
                shown += b"\n"
        return process.wait(timeout=20), shown
    finally:
        os.close(controller)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_failed_step_is_entered_by_a_terminal_as_it_was(
    jettison: Jettison, project: Project, isolation: str
) -> None:
    chosen = ("--isolation", isolation)
    folder = project(dockerfile=DOCKERFILE)
    done = failed(jettison, folder, *chosen, "--target", "tester")
    if isolation != "root" and "cannot be had here" in done.text:
        pytest.skip(f"{isolation} cannot be had on this machine")
    assert f"jettison shell --isolation {isolation} --failed b1\n" in done.err
    status, shown = typed(
        jettison, "shell", *chosen, "--failed",
        lines=[b"echo T$((40+2))-$TERM; touch /tmp/new", b"cat /tmp/left; ls /tmp", b"exit 5"],
    )  # fmt: skip
    text = shown.decode(errors="replace").replace("\r\n", "\n")
    assert status == 5, text
    assert "T42-dumb" in text and "\nkept\n" in text and "new" in text
    assert "Dockerfile:8: [tester 2/2] RUN --mount" in text and "thrown away at the end" in text
    assert "--secret id=word" in text and "what was changed here is gone" in text
    # Nothing of that stays, and all is as the step had it.
    out = jettison("shell", *chosen, "--failed", "b1", "-c", LOOK).out.split("\n")
    assert out[:7] == SEEN, out
    assert out[7] == ("0" if isolation == "chroot" else "1")
    assert jettison("shell", *chosen, "--failed", "-c", "ls /tmp; exit 9").out == "left\n"
    left = os.listdir(jettison.root / "tmp")
    assert left == []


def test_commands_secrets_and_the_state_before(jettison: Jettison, project: Project) -> None:
    failed(jettison, project(dockerfile=DOCKERFILE), "--target", "tester")
    done = jettison("shell", "--failed", "--before", "--", "ls", "-A", "/tmp")
    assert (done.code, done.out) == (0, "") and "what was changed" not in done.err
    assert jettison("shell", "--failed", "--", "sh", "-c", "exit 44").code == 44
    assert jettison("shell", "--failed", "b1", "99", "--", "true").code == 1
    env = {"WORD": "a-secret-word"}
    done = jettison.ok(
        "shell", "--failed", "--secret", "id=word,env=WORD", "--", "cat", "/run/secrets/word", env=env
    )
    assert done.out == "a-secret-word" and done.err == ""
    found = subprocess.run(["grep", "-rl", "a-secret-word", jettison.root], capture_output=True, check=False)
    assert found.stdout == b""
    done = jettison("shell", "--failed", "--", "/no/such")
    assert done.code == 127 and "not found" in done.err


def test_a_program_is_told_of_signals(jettison: Jettison, project: Project) -> None:
    failed(jettison, project(dockerfile="FROM busybox\nRUN exit 1\n"))
    script = "trap 'echo got; exit 7' TERM; echo up; while :; do read -t 1 x; done"
    process = jettison.start("shell", "--failed", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, b"got\n")


def test_any_step_and_stage_that_is_cached(jettison: Jettison, project: Project) -> None:
    dockerfile = DOCKERFILE.replace("exit 3", "exit 0")
    folder = project(dockerfile=dockerfile)
    done = jettison("shell", "tester", folder)
    assert done.code == 1 and f"jettison build --target tester {folder}" in done.err
    jettison.ok("build", "--target", "tester", folder)
    assert jettison("shell", "tester:8", folder, "-c", LOOK).out.split("\n")[:7] == SEEN
    assert jettison.ok("shell", "tester", folder, "-c", "pwd; id -u; echo $A").out == "/src\n7\nfrom-env\n"
    done = jettison.ok("shell", "--before", "tester:8", folder, "--", "ls", "-A", "/tmp")
    assert done.out == ""
    assert jettison.ok("shell", "base:1", folder, "--", "ls", "/").out.find("below") < 0
    # Another instruction: the same stage is not built as it is now.
    project(dockerfile=dockerfile.replace("WORKDIR /src", "WORKDIR /lib"))
    done = jettison("shell", "tester", folder)
    assert done.code == 1 and "has not been built as it is now" in done.err
    for words, said in (
        (("nix",), "could not be found"), (("tester:4",), "no step of the stage tester is in line 4"),
        (("tester:x",), "STAGE:LINE"), ((), "needs a stage"), (("--failed",), "no failed step is kept"),
        (("--failed", "b77"), "no build b77"), (("--failed", "a", "b", "c"), "usage"),
        (("--failed", "--"), "no command stands behind --"),
    ):  # fmt: skip
        done = (
            jettison("shell", *words)
            if words and words[0] == "--failed"
            else jettison("shell", *words, cwd=folder)
        )
        assert done.code in (1, 2) and said in done.err and "Traceback" not in done.err, done.err


def test_a_root_filesystem_without_a_shell_gets_busybox(jettison: Jettison, project: Project) -> None:
    dockerfile = "FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /app/busybox\n"
    folder = project(dockerfile=dockerfile + 'RUN ["/app/busybox", "false"]\n')
    failed(jettison, folder)
    for isolation in ("root", "builtin", "chroot"):
        words = ("shell", "--isolation", isolation, "--failed")
        done = jettison.ok(*words, "-c", "ls -A /.jettison | grep busybox; ls / | grep app; echo $PATH")
        assert done.out.splitlines()[:2] == ["busybox", "app"], isolation
        assert done.out.endswith("/bin:/.jettison\n")
        assert jettison(*words, "--", "/app/busybox", "false").code == 1
    # It never was in a layer.
    assert not list((jettison.root / "layers").glob("*/tree/.jettison"))


def test_the_latest_failures_are_kept_and_go_with_all_else(jettison: Jettison, project: Project) -> None:
    for number in range(5):
        failed(jettison, project(dockerfile=f"FROM busybox\nRUN echo {number} > /n; exit 1\n"))
    names = os.listdir(jettison.root / "failed")
    assert len(names) == 3 and (jettison.root / "failed").stat().st_mode & 0o077 == 0
    assert jettison("shell", "--failed", "--", "cat", "/n").out == "4\n"
    assert jettison("shell", "--failed", "b3", "--", "cat", "/n").out == "2\n"
    assert "no failed step of b2 is kept" in jettison("shell", "--failed", "b2").err
    document = json.loads(jettison.ok("du", "--format", "json").out)
    types = {one["type"]: one for one in document["types"]}
    assert types["failed steps"]["count"] == 3 and types["orphans"]["size"] == 0
    assert sum(one["size"] for one in document["types"]) == document["total"]
    assert "all sound" in jettison.ok("check-store").out
    # While they are kept, so is what they stand on.
    jettison.ok("rmi", "busybox")
    jettison.ok("prune", "--filter", "type=step", "--filter", "type=image", "--filter", "type=orphan")
    assert jettison("shell", "--failed", "--", "cat", "/n").out == "4\n"
    jettison.ok("prune")
    assert os.listdir(jettison.root / "failed") == [] and os.listdir(jettison.root / "layers") == []
    (jettison.root / "failed/deadbeef").write_text("{")
    os.chmod(jettison.root / "failed/deadbeef", 0o600)
    assert "failed deadbeef" in jettison("check-store").text
    jettison("check-store", "--repair")
    assert os.listdir(jettison.root / "failed") == []


def test_only_the_last_try_is_kept_and_a_time_out_too_but_nothing_that_was_stopped(
    jettison: Jettison, project: Project
) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo up > /up; echo up; sleep 60\n")
    failed(jettison, folder, "--step-timeout", "1s", "--retry", "1", "--artifact", f"0:/up={folder}/out")
    assert (folder / "out/up").read_text() == "up\n"
    assert len(os.listdir(jettison.root / "failed")) == 1
    assert jettison("shell", "--failed", "--", "cat", "/up").out == "up\n"
    jettison.ok("prune")
    process = jettison.start("build", "--progress", "plain", folder, stderr=subprocess.PIPE)
    while b" up\n" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert "jettison shell" not in process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130 and os.listdir(jettison.root / "failed") == []


REPORTS = """\
FROM busybox AS tester
RUN mkdir -p /r/sub /r/none; echo one > /r/a.xml; echo two > /r/sub/b.xml; echo no > /r/c.txt; \\
    ln -s /etc/passwd /r/evil; ln -s ../../../etc/passwd /r/sub/evil; ln -s ../a.xml /r/sub/good; \\
    ln -s . /r/here; ln -s here/../../etc/passwd /r/tricky; ln -s /r /link; mknod /r/dev c 1 3; \\
    mkfifo /r/pipe; chown 7:7 /r/a.xml; exit STATUS
FROM busybox
RUN echo payload > /payload
"""


@pytest.mark.parametrize("status", [0, 3])
def test_artifacts_of_a_stage_that_nothing_needs(
    jettison: Jettison, project: Project, tmp_path: Path, status: int
) -> None:
    folder = project(dockerfile=REPORTS.replace("STATUS", str(status)))
    out = tmp_path / "out"
    (out / "all").mkdir(parents=True)
    (out / "all/sub").symlink_to("/etc")
    words = ["--artifact", f"tester:/link={out}/all", "--artifact", f"TESTER:/r/a.xml={out}/file"]
    words += ["--artifact", f"0:/link/**/*.xml={out}/glob"]
    done = jettison("build", "--progress", "plain", "-t", "shipped", *words, folder)
    assert done.code == (1 if status else 0), done.text
    here = {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir() or path.is_symlink()}
    # Neither links that lead out nor devices; a link that was there is replaced, never followed.
    assert here == {
        "all/a.xml", "all/c.txt", "all/sub/b.xml", "all/sub/good", "all/here",
        "file/a.xml", "glob/a.xml", "glob/sub/b.xml",
    }  # fmt: skip
    assert (out / "all/sub/good").read_text() == "one\n" and not (out / "all/sub").is_symlink()
    assert (out / "all/a.xml").stat().st_uid == os.geteuid()
    assert "left out: " in done.err and "/r/evil" in done.err
    assert ("shipped" in jettison.ok("images").out) == (status == 0)
    # What is not there: an error of its own after a build that went well, before anything ships.
    done = jettison(
        "build", "--progress", "plain", "-t", "more", "--artifact", f"tester:/nix={out}/nix", folder
    )
    assert done.code == 1 and "--artifact tester:/nix: nothing is there" in done.err
    assert "exit code: 3" in done.err if status else "jettison shell tester" in done.err
    assert "more" not in jettison.ok("images").out


def test_artifacts_that_cannot_be(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project(dockerfile="FROM busybox AS a\nRUN echo x > /x\n")
    (tmp_path / "file").write_text("mine")
    for text, said in (
        (f"b:/x={tmp_path}", "could not be found"), (f"a:/[={tmp_path}", "syntax error"),
        (f"a:/x={tmp_path}/file", "exists"), (f"a:/x={tmp_path}/file/more", "directory"),
    ):  # fmt: skip
        done = jettison("build", "--artifact", text, folder)
        assert done.code in (1, 2) and said in done.err and "internal error" not in done.err, done.err
    assert (tmp_path / "file").read_text() == "mine"


def test_artifacts_by_the_api_of_a_build_that_fails(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    folder = project(dockerfile="FROM busybox AS a\nRUN echo x > /x\nRUN echo y > /y; exit 1\n")
    wanted = [api.Artifact("a", "/x", str(tmp_path / "out")), api.Artifact("a", "/y", str(tmp_path / "out"))]
    with pytest.raises(api.StepFailed) as caught:
        api.build(folder, artifacts=wanted, root=jettison.root)
    assert caught.value.state in os.listdir(jettison.root / "failed")
    assert sorted(os.listdir(tmp_path / "out")) == ["x", "y"]
