from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from jettison.errors import NotFound, SourceError
from jettison.sources.git import GitAccess, GitSource, parse_git, pin_git, write_git
from tests.unit.executor.layers import Recorder

LOCAL = GitAccess(protocols=("file",))
WHO = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
for name in ("AUTHOR", "COMMITTER"):
    WHO |= {f"GIT_{name}_NAME": "n", f"GIT_{name}_EMAIL": "e", f"GIT_{name}_DATE": "@1000000000 +0000"}


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", *words]
    return subprocess.run(
        command, cwd=folder, env=WHO, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "r.git"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "f").write_text("one")
    (folder / "sub/run").write_text("#!/bin/sh")
    (folder / "sub/run").chmod(0o755)
    (folder / "link").symlink_to("f")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    git(folder, "branch", "old")
    (folder / "f").write_text("two")
    git(folder, "commit", "-q", "-a", "-m", "two")
    return folder


def layer(url: str, tmp_path: Path, *, keep: bool = False) -> Recorder:
    writer = Recorder()
    work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
    work.mkdir()
    write_git(pin_git(url, keep_git_dir=keep, access=LOCAL), writer, str(work), threading.Event(), LOCAL)
    return writer


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("https://h/x.git", GitSource("https://h/x.git")),
        ("https://h/x.git#main:sub/dir", GitSource("https://h/x.git", "main", "sub/dir")),
        ("https://h/x.git#:/sub/", GitSource("https://h/x.git", "", "sub")),
        ("git@h:o/x.git#v1", GitSource("git@h:o/x.git", "v1")),
        ("git@h:o/x", GitSource("git@h:o/x")),
        ("ssh://git@h/o/x", GitSource("ssh://git@h/o/x")),
        ("git://h/x", GitSource("git://h/x")),
        ("github.com/o/x", GitSource("https://github.com/o/x.git")),
        ("https://h/x.git?branch=b&subdir=s", GitSource("https://h/x.git", "refs/heads/b", "s")),
        (
            "https://h/x.git?tag=v1&checksum=abc1234",
            GitSource("https://h/x.git", "refs/tags/v1", checksum="abc1234"),
        ),
        ("https://h/x.git?ref=r&keep-git-dir=true", GitSource("https://h/x.git", "r", keep_git_dir=True)),
        ("https://h/x.git#b:../../etc", GitSource("https://h/x.git", "b", "etc")),
        ("https://h/x.tar.gz", None),
        ("https://h/x", None),
        ("dir/x.git", None),
        ("a.txt", None),
    ],
)
def test_sources(text: str, want: GitSource | None) -> None:
    assert parse_git(text) == want


@pytest.mark.parametrize(
    "text", ["https://h/x.git?nosuch=1", "https://h/x.git?branch=a&tag=b", "https://h/x.git?ref=a#b"]
)
def test_sources_with_mistakes(text: str) -> None:
    with pytest.raises(SourceError):
        parse_git(text)


def test_refs_are_pinned_to_commits(repository: Path) -> None:
    url = f"file://{repository}"
    new, old = git(repository, "rev-parse", "HEAD"), git(repository, "rev-parse", "HEAD~1")
    assert pin_git(url, access=LOCAL).commit == new
    for ref in ("v1", "old", "refs/heads/old", old):
        assert pin_git(f"{url}#{ref}", access=LOCAL).commit == old
    assert pin_git(f"{url}?tag=v1", access=LOCAL).commit == old
    with pytest.raises(NotFound, match="nosuch"):
        pin_git(f"{url}#nosuch", access=LOCAL)
    with pytest.raises(NotFound) as error:
        pin_git(f"{url}#{old[:10]}", access=LOCAL)
    assert error.value.hint is not None and "40" in error.value.hint


def test_a_checksum_is_verified(repository: Path) -> None:
    url = f"file://{repository}#main"
    commit = git(repository, "rev-parse", "HEAD")
    assert pin_git(url, commit, access=LOCAL).commit == commit
    for prefix in (commit[:12], commit[:1], commit[:7].upper()):
        assert pin_git(url, prefix, access=LOCAL).commit == commit
    with pytest.raises(SourceError, match="checksum"):
        pin_git(url, "0" if commit[0] != "0" else "1", access=LOCAL)
    with pytest.raises(SourceError, match="checksum"):
        pin_git(url, "0" * 40, access=LOCAL)


def test_the_layer_of_a_repository(repository: Path, tmp_path: Path) -> None:
    got = layer(f"file://{repository}", tmp_path)
    assert list(got.entries) == ["f", "link", "sub", "sub/run"]
    assert got.text("f") == "two" and got.entries["link"].link == "f"
    assert got.modes() == {"f": "644", "link": "777", "sub": "755", "sub/run": "755"}
    assert {entry.mtime_ns for entry in got.entries.values()} == {1_000_000_000_000_000_000}
    assert layer(f"file://{repository}#v1", tmp_path).text("f") == "one"
    assert list(layer(f"file://{repository}#main:sub", tmp_path).entries) == ["run"]
    assert ".git/HEAD" in layer(f"file://{repository}", tmp_path, keep=True).entries
    with pytest.raises(NotFound, match="nosuch"):
        layer(f"file://{repository}#main:nosuch", tmp_path)


def test_a_folder_that_is_a_symlink_to_outside(repository: Path, tmp_path: Path) -> None:
    (repository / "out").symlink_to("/etc")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "out")
    with pytest.raises(NotFound):
        layer(f"file://{repository}#main:out", tmp_path)


def test_submodules(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.git"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "submodule", "--quiet", "add", f"file://{repository}", "inner")
    git(outer, "commit", "-q", "-m", "with a submodule")
    got = layer(f"file://{outer}", tmp_path)
    assert got.text("inner/f") == "two" and not any(
        ".git/" in path or path.endswith(".git") for path in got.entries
    )


def test_nothing_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    (repository / ".gitattributes").write_text("f filter=evil\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "evil")
    git(repository, "config", "filter.evil.smudge", f"touch {marker}")
    layer(f"file://{repository}", tmp_path)
    assert not marker.exists()


def test_local_repositories_are_not_reached_by_default(repository: Path) -> None:
    with pytest.raises(SourceError, match="not allowed"):
        pin_git(f"file://{repository}")


def test_refs_are_no_options(repository: Path) -> None:
    with pytest.raises(SourceError, match="dash"):
        pin_git(f"file://{repository}#--upload-pack=touch", access=LOCAL)


def test_a_machine_without_git() -> None:
    with pytest.raises(SourceError, match="no git program"):
        pin_git("https://host.invalid/x.git", access=GitAccess(program="/nonexistent/git"))
