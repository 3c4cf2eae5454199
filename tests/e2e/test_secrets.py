"""The value of a secret is nowhere but in the step that mounts it: not after success, failure, or a kill."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import Jettison
from tests.leaks import files_with, found_in, processes_with
from tests.site import Site, served

Project = Callable[..., Path]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

DOCKERFILE = """FROM busybox AS build
RUN --mount=type=secret,id=token --mount=type=secret,id=key,env=KEY,target=/key \\
 cat /run/secrets/token && echo " then: $KEY" >&2 && base64 -w0 /run/secrets/token && echo \\
 && printf 'user:%s' "$(cat /run/secrets/token)" | base64 -w0 && echo && set -x && test -n "$KEY" \\
 && cat /key /key && echo made >/made
FROM busybox
RUN --mount=type=secret,id=key true
COPY --from=build /made /made
CMD cat /made
"""


class Given:
    """Two secrets with values of this test alone: one in a file, and one with lines in a variable."""

    def __init__(self, folder: Path) -> None:
        self.token = f"tok/{secrets.token_hex(12)}"
        self.key = f"key+{secrets.token_hex(12)}\nsecond-{secrets.token_hex(12)}"
        self.values = [self.token, self.key]
        self.file = folder / "token.txt"
        self.file.write_text(self.token + "\n")
        self.folder = folder / "tmp"
        self.folder.mkdir()
        self.words = ("--secret", f"id=token,src={self.file}", "--secret", "id=key,env=OUR_KEY")
        self.env = {"OUR_KEY": self.key, "TMPDIR": str(self.folder)}


@pytest.fixture
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("secrets"))


def nowhere(jettison: Jettison, given: Given, *more: Path) -> None:
    for folder in (jettison.root, given.folder, *more):
        assert files_with(folder, given.values) == []


def test_the_search_finds_what_is_there(given: Given, tmp_path: Path) -> None:
    """Else the tests below could not fail."""
    (tmp_path / "plain").write_text("x" * 100 + given.token)
    (tmp_path / given.key[-20:]).write_text("")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "plain", "inside")
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        database.execute("CREATE TABLE t (data BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (zlib.compress(given.token.encode()),))
        database.commit()
    found = "\n".join(files_with(tmp_path, [given.token, given.key[-20:]]))
    assert all(name in found for name in ("/plain: ", "/a.tar.gz: ", "/db: ")) and given.key[-20:] in found
    code = "import time; print('there', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, given.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"X": given.key}) as process:
        try:
            process.stdout.readline()
            assert len(processes_with("cmdline", [given.token])) == 1
            assert len(processes_with("environ", [given.key])) == 1
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["plain", "tty", "jsonl", "quiet"])
def test_a_value_is_masked_in_all_output(
    jettison: Jettison, project: Project, given: Given, mode: str
) -> None:
    words = (*given.words, "--progress", mode, "--explain", project(dockerfile=DOCKERFILE))
    done = jettison.ok("build", "-t", "app", *words, env=given.env)
    assert found_in(done.text.encode(), given.values) == []
    if mode in ("plain", "jsonl"):
        assert "then: ****" in done.text
        assert done.text.count("****") >= 8
    if mode == "jsonl":
        assert jettison.ok("run", "app").out == "made\n"
        nowhere(jettison, given)


def test_a_value_is_in_no_archive_record_or_explanation(
    jettison: Jettison, project: Project, given: Given, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    outputs = [
        f"type=oci,dest={out}/oci.tar",
        f"type=docker,dest={out}/docker.tar",
        f"type=local,dest={out}/l",
    ]
    words = [word for output in outputs for word in ("-o", output)]
    folder = project(dockerfile=DOCKERFILE)
    jettison.ok("build", *given.words, *words, "-t", "app", folder, env=given.env)
    counted = (given.words[0], given.words[1] + ",key=content", *given.words[2:])
    for value in ("", "more"):
        given.file.write_text(given.token + value + "\n")
        words = (*counted, "--progress", "jsonl", "-t", "app", folder)
        ran = [jettison.ok("build", *words, env=given.env).events("BuildFinished")[0]["ran"] for _ in "12"]
        assert ran[0] >= 1 and ran[1] == 0
    why = jettison.ok("why", "-C", folder)
    assert "the secret token changed" in why.text
    said = [why, jettison.ok("why", "-C", folder, "--format", "json"), jettison.ok("history", "app")]
    said.append(jettison.ok("inspect", "app"))
    assert [found_in(done.text.encode(), given.values) for done in said] == [[]] * len(said)
    assert (out / "l/made").read_text() == "made\n"
    nowhere(jettison, given, out)


def test_a_value_is_not_in_what_a_failure_says(jettison: Jettison, project: Project, given: Given) -> None:
    dockerfile = (
        "FROM busybox\nRUN --mount=type=secret,id=token,required --mount=type=secret,id=key,env=KEY"
        ' cat /run/secrets/token; echo "$KEY"; cat /run/secrets/token >&2; exit 3\n'
    )
    for mode in ("plain", "jsonl"):
        done = jettison(
            "build", *given.words, "--progress", mode, project(dockerfile=dockerfile), env=given.env
        )
        assert done.code == 1
        assert "****" in done.text
        assert found_in(done.text.encode(), given.values) == []
    nowhere(jettison, given)


@pytest.mark.parametrize("isolation", ["root", "builtin"])
def test_nothing_is_left_when_the_builder_is_killed(
    jettison: Jettison, project: Project, given: Given, isolation: str
) -> None:
    """While it runs, a value is in no command line; as a variable it is the step's only."""
    dockerfile = (
        "FROM busybox\nRUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=key"
        " cat /run/secrets/key && echo begun && sleep 1000\n"
    )
    words = ("--isolation", isolation, "--progress", "jsonl", project(dockerfile=dockerfile))
    process = jettison.start(
        "build", *given.words, *words, env=given.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        seen = b""
        for line in process.stdout:
            seen += line
            if b"begun" in line and b"StepOutput" in line:
                break
        assert processes_with("cmdline", given.values) == []
        assert {line.split()[0] for line in processes_with("environ", [given.token])} <= {"/bin/sh", "sleep"}
        nowhere(jettison, given)
    finally:
        process.kill()
        process.wait()
    rest, _ = process.communicate()
    assert found_in(seen + (rest or b""), given.values) == []
    nowhere(jettison, given)
    jettison.ok("build", project(dockerfile="FROM busybox\nRUN true\n"))
    nowhere(jettison, given)


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("how", ["GIT_AUTH_TOKEN", "GIT_AUTH_TOKEN.HOST", "GIT_AUTH_HEADER", "address"])
def test_what_opens_a_repository_is_in_no_command_line(
    jettison: Jettison, project: Project, site: Site, given: Given, how: str
) -> None:
    repository = site.repository()
    repository.commit({"f": "opened\n"})
    basic = b64encode(f"x-access-token:{given.token}".encode()).decode()
    shown, seen = (given.token if how == "GIT_AUTH_HEADER" else f"Basic {basic}"), []

    def may_clone(handler: BaseHTTPRequestHandler) -> bool:
        seen.extend(processes_with("cmdline", [given.token, basic]))
        return handler.headers.get("Authorization") == shown

    site.may_clone = may_clone
    host = site.url.removeprefix("http://")
    url, words = repository.url, ("--secret", f"id={how.replace('HOST', host)},src={given.file}")
    if how == "address":
        url = url.replace("http://", f"http://x-access-token:{quote(given.token, safe='')}@")
        # The caller's own words are for the caller to keep; here they are in the Dockerfile.
        words = ("--build-arg", "X")
    folder = project(dockerfile=f"FROM busybox\nADD --keep-git-dir {url} /r\nCMD cat /r/f\n")
    done = jettison("build", folder)
    assert done.code == (how != "address")
    if how != "address":
        assert "the secret GIT_AUTH_TOKEN opens private repositories" in done.text
    jettison.ok("build", "--no-cache", "-t", "app", *words, folder)
    assert jettison.ok("run", "app").out == "opened\n"
    assert seen == []
    assert given.token not in jettison.ok("run", "app", "cat", "/r/.git/config").out
    if how != "address":
        nowhere(jettison, given)
        assert jettison(
            "build", "--no-cache", "--secret", f"id=GIT_AUTH_TOKEN.x,src={given.file}", folder
        ).code


def test_an_agent_is_only_where_it_is_mounted(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    """A step that runs at the same time sees no socket anywhere."""
    wait = "for i in $(seq 300); do test -e /c/$FOR && break; sleep 0.1; done; test -e /c/$FOR"
    shared = "RUN --mount=type=cache,id=c,target=/c"
    dockerfile = (
        f"FROM busybox AS with\n{shared} --mount=type=ssh"
        f" test -S $SSH_AUTH_SOCK && touch /c/begun && FOR=looked && {wait}\n"
        f"FROM busybox\n{shared} FOR=begun && {wait} &&"
        ' test -z "$SSH_AUTH_SOCK" && find / -type s 2>/dev/null >/sockets; touch /c/looked\n'
        "COPY --from=with /bin/busybox /b\nCMD cat /sockets && echo end\n"
    )
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        words = ("--jobs", "2", "--ssh", f"default={tmp_path}/agent", project(dockerfile=dockerfile))
        jettison.ok("build", "-t", "app", *words)
    assert jettison.ok("run", "app").out == "end\n"


def test_a_secret_that_no_variable_can_hold(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"one\0two and three")
    words = ("--secret", f"id=s,src={tmp_path}/s", "--progress", "plain")
    done = jettison(
        "build", *words, project(dockerfile="FROM busybox\nRUN --mount=type=secret,id=s,env=S true\n")
    )
    assert done.code == 1
    assert "Dockerfile:2: the secret s holds a zero byte" in done.text and "leave out env" in done.text
    whole = "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s && wc -c </run/secrets/s\n"
    done = jettison.ok("build", *words, project(dockerfile=whole))
    assert " ****17\n" in done.text and "two and three" not in done.text
