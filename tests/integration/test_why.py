"""Every kind of input is changed once, and the sentence that says so is read. These are builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jettison
from jettison.errors import StepFailed
from jettison.events import Event, StepExplained
from jettison.request import Secret
from jettison.store.store import Store
from tests.site import served

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Why = dict[str, tuple[str, ...]]


@pytest.fixture(scope="module")
def loaded(session_folder: Path, busybox_layout: Path) -> Path:
    folder = session_folder / "why-store"
    command = [
        sys.executable,
        "-m",
        "jettison",
        "load",
        "--root",
        str(folder),
        str(busybox_layout),
        "busybox",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


class Project:
    """A build context with a store of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        folder.mkdir()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def why(self, dockerfile: str = "", **arguments: Any) -> Why:
        """Build, and give the reasons of each step that ran, by its instruction."""
        if dockerfile:
            # Beside the context, so that COPY . does not see it.
            (self.folder.parent / "Dockerfile").write_text(dockerfile)
        events: list[Event] = []
        file = self.folder.parent / "Dockerfile"
        jettison.build(
            self.folder, file=file, root=self.root, explain=True, on_event=events.append, **arguments
        )
        found = [event for event in events if isinstance(event, StepExplained)]
        return {event.name.partition("] ")[2]: event.reasons for event in found}


@pytest.fixture
def project(loaded: Path, tmp_path: Path) -> Iterator[Project]:
    root = tmp_path / "store"
    shutil.copytree(loaded, root, symlinks=True)
    yield Project(root, tmp_path / "context")
    shutil.rmtree(root, ignore_errors=True)


COPY = "FROM scratch\nCOPY . /app\n"
FILES = {"src/a.py": "a", "src/b.py": "b", "run.sh": "go", "Z": "z"}


def link(project: Project, target: str) -> None:
    path = project.folder / "link"
    path.unlink(missing_ok=True)
    path.symlink_to(target)


FILE_CHANGES: dict[str, tuple[Callable[[Project], object], str]] = {
    "content": (lambda p: p.write({"src/a.py": "A"}), "src/a.py content changed"),
    "content of several, and a mode": (
        lambda p: (p.write({"src/a.py": "A", "src/b.py": "B"}), (p.folder / "run.sh").chmod(0o755)),
        "src/a.py content changed (and 1 more); run.sh mode 644 → 755",
    ),
    "added": (lambda p: p.write({"new": "n"}), "new added"),
    "a hostile name": (lambda p: p.write({"x\x1b[31m\ny": "n"}), "x\\x1b[31m\\ny added"),
    "removed": (lambda p: (p.folder / "Z").unlink(), "Z removed"),
    "renamed": (lambda p: (p.folder / "Z").rename(p.folder / "Y"), "Z renamed to Y"),
    "symlink": (lambda p: link(p, "src"), "link symlink run.sh → src"),
    "kind": (
        lambda p: ((p.folder / "Z").unlink(), (p.folder / "Z").mkdir()),
        "Z was a file, is a folder",
    ),
    "ignored": (
        lambda p: p.write({".dockerignore": "Z\n.dockerignore\n"}),
        'Z is excluded by .dockerignore:1 ("Z")',
    ),
}


@pytest.mark.parametrize("name", FILE_CHANGES)
def test_a_change_of_files(project: Project, name: str) -> None:
    change, sentence = FILE_CHANGES[name]
    project.write(FILES)
    for path in project.folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    link(project, "run.sh")
    assert project.why(COPY) == {"COPY . /app": ("new step: no earlier build has it",)}
    change(project)
    assert project.why() == {"COPY . /app": (sentence,)}
    assert project.why() == {}


RUN = "RUN true"
CHANGES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str, str]] = {
    "command": (
        "RUN echo 1", "RUN echo 2", {}, {}, "RUN echo 2", "the command changed: RUN echo 1 → RUN echo 2",
    ),
    "ARG": ("ARG V=1.2\nRUN true", "ARG V=1.3\nRUN true", {}, {}, RUN, "ARG V 1.2 → 1.3"),
    "--build-arg": (
        "ARG V\nRUN true", "", {"build_args": {"V": "1"}}, {"build_args": {"V": "2"}}, RUN, "ARG V 1 → 2",
    ),
    "an ARG that COPY reads": (
        "ARG V=a\nCOPY $V /x", "ARG V=b\nCOPY $V /x", {}, {}, "COPY $V /x", "ARG V a → b",
    ),
    "ENV": ("ENV V=1\nRUN true", "ENV V=2\nRUN true", {}, {}, RUN, "ENV V 1 → 2"),
    "ENV set": ("RUN true", "ENV V=2\nRUN true", {}, {}, RUN, "ENV V set to 2"),
    "ENV gone": ("ENV V=1\nRUN true", "RUN true", {}, {}, RUN, "ENV V no longer set (was 1)"),
    "a secret ARG": (
        "ARG NPM_TOKEN=hunter1\nRUN true", "ARG NPM_TOKEN=hunter2\nRUN true", {}, {}, RUN,
        "ARG NPM_TOKEN changed (its value is not shown)",
    ),
    "a secret ARG in a path": (
        "ARG KEY_TOKEN=a\nCOPY $KEY_TOKEN /x", "ARG KEY_TOKEN=b\nCOPY $KEY_TOKEN /x", {}, {},
        "COPY $KEY_TOKEN /x", "sources changed (its value is not shown)",
    ),
    "USER": ("RUN true", "USER 7\nRUN true", {}, {}, RUN, "USER root → 7"),
    "SHELL": (
        "RUN true", 'SHELL ["/bin/sh", "-ec"]\nRUN true', {}, {}, RUN, "SHELL /bin/sh -c → /bin/sh -ec",
    ),
    "WORKDIR": (
        "WORKDIR /a", "WORKDIR /b", {}, {}, "WORKDIR /b", "the command changed: WORKDIR /a → WORKDIR /b",
    ),
    "network": ("RUN true", "", {}, {"network": "none"}, RUN, "network default → none"),
    "hosts": ("RUN true", "", {}, {"hosts": ["a:1.2.3.4"]}, RUN, "--add-host none → a:1.2.3.4"),
    "here-document": (
        "RUN <<E\necho 1\ntrue\nE", "RUN <<E\necho 1\nfalse || true\nE", {}, {}, "RUN <<E",
        "the here-document changed: line 2: true → false || true",
    ),
    "here-document of COPY": (
        "COPY <<E /x\none\nE", "COPY <<E /x\ntwo\nE", {}, {}, "COPY <<E /x",
        "the here-document E changed: line 1: one → two",
    ),
    "chmod by ARG": (
        "ARG M=644\nCOPY --chmod=$M a /x", "", {}, {"build_args": {"M": "600"}}, "COPY --chmod=$M a /x",
        "ARG M 644 → 600",
    ),
    "a secret's id": (
        "RUN --mount=type=secret,id=a,target=/s cat /s >/dev/null",
        "RUN --mount=type=secret,id=b,target=/s cat /s >/dev/null",
        {"secrets": [Secret("a", env="S")], "environment": {"S": "hunter2"}},
        {"secrets": [Secret("b", env="S")], "environment": {"S": "hunter2"}},
        "RUN --mount=type=secret,id=b,target=/s cat /s >/dev/null",
        "the secret mount at /s: id a → b",
    ),
    "--no-cache": ("RUN true", "", {}, {"no_cache": True}, RUN, "forced by --no-cache"),
    "--no-cache=STAGE": ("RUN true", "", {}, {"no_cache": ["one"]}, RUN, "forced by --no-cache=one"),
    "--no-cache=STAGE:LINE": (
        "RUN \\\n  true", "", {}, {"no_cache": ["one:3"]}, "RUN   true", "forced by --no-cache=one:3",
    ),
    "new": ("", "RUN true", {}, {}, RUN, "new step: no earlier build has it"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_instructions(project: Project, name: str) -> None:
    first, then, before, after, step, sentence = CHANGES[name]
    project.write({"a": "same", "b": "same"})
    start = "FROM busybox AS one\n"
    project.why(start + "RUN echo below\n" * (name == "new") + first, **before)
    found = project.why((start + "RUN echo below\n" * (name == "new") + then) if then else "", **after)
    assert sentence in found[step]
    assert "hunter" not in str(found)


def test_a_base_image_that_moved_is_named_before_its_variables(project: Project) -> None:
    def base(text: str) -> None:
        jettison.build(project.folder, dockerfile=f"FROM busybox\n{text}", tags="base", root=project.root)

    base("ENV NODE=1")
    project.why("FROM base\nRUN true\nRUN echo 2\n")
    base("ENV NODE=2")
    assert project.why()["RUN true"] == ("ENV NODE 1 → 2 (of the base image)",)
    base("ENV NODE=3\nRUN touch /new")
    found = project.why()
    for step in ("RUN true", "RUN echo 2"):
        assert found[step][0].startswith("base image moved: docker.io/library/base:latest: sha256:")
        assert found[step][1] == "ENV NODE 2 → 3 (of the base image)"


def test_another_base_image(project: Project) -> None:
    jettison.build(project.folder, dockerfile="FROM busybox\nRUN touch /x", tags="base", root=project.root)
    project.why("FROM busybox\nRUN true\n")
    found = project.why("FROM base\nRUN true\n")
    change = "docker.io/library/busybox:latest → docker.io/library/base:latest"
    assert found == {"RUN true": (f"base image changed: {change}",)}


CHAIN = """\
FROM busybox AS one
COPY a /
RUN cat a
RUN cat /proc/uptime >/up
FROM busybox
COPY --from=one /up /
RUN true
"""


def test_the_step_to_blame_is_named(project: Project) -> None:
    project.write({"a": "1"})
    project.why(CHAIN)
    project.write({"a": "2"})
    assert project.why() == {
        "COPY a /": ("a content changed",),
        "RUN cat a": ("its base changed: [one 2/4] COPY a / ran again with another result",),
        "RUN cat /proc/uptime >/up": ("its base changed: [one 2/4] COPY a / ran again with another result",),
        "COPY --from=one /up /": ("up content changed (from the stage one)",),
        "RUN true": ("its base changed: [stage-1 2/3] COPY --from=one /up / ran again with another result",),
    }


def test_an_instruction_above_does_not_confuse(project: Project) -> None:
    project.write({"a": "1"})
    project.why(CHAIN)
    found = project.why(CHAIN.replace("COPY a", "RUN echo new\nCOPY a"))
    assert found["RUN echo new"] == ("new step: no earlier build has it",)
    assert found["COPY a /"] == ("its base changed: [one 2/5] RUN echo new is new",)
    assert found["RUN cat a"] == ("its base changed: [one 2/5] RUN echo new ran again with another result",)


def test_the_nearest_earlier_build_counts_not_the_last(project: Project) -> None:
    dockerfile = "FROM busybox\nARG A\nARG B\nRUN true\n"
    project.why(dockerfile, build_args={"A": "1", "B": "1"})
    project.why(build_args={"A": "2", "B": "2"})
    assert project.why(build_args={"A": "1", "B": "3"}) == {"RUN true": ("ARG B 1 → 3",)}


def test_mounted_files_that_changed(project: Project) -> None:
    project.write({"src/a": "1"})
    step = "RUN --mount=type=bind,source=src,target=/s cat /s/a"
    project.why(f"FROM busybox\n{step}\n")
    project.write({"src/a": "2"})
    found = project.why()
    assert found[step] == ("the mount at /s: src/a content changed",)


def test_what_is_mounted_from_a_stage(project: Project) -> None:
    project.write({"a": "1", "b": "1"})
    step = "RUN --mount=from=one,source=/x,target=/s cat /s/a"
    project.why(f"FROM scratch AS one\nCOPY a /x/\nCOPY b /y/\nFROM busybox\n{step}\n")
    project.write({"b": "2"})
    assert step not in project.why()
    project.write({"a": "2"})
    assert project.why()[step] == ("the mount at /s: x/a content changed (from the stage one)",)


def test_what_an_address_serves_changed(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    with served(folder) as site:
        step = f"ADD {site.file('/f', b'one', ETag='one')} /f"
        project.why(f"FROM scratch\n{step}\n")
        site.file("/f", b"two", ETag="two")
        found = project.why()
        assert found[step][0].startswith(f"{site.url}/f changed on the server: ")
        repository = site.repository()
        commits = [repository.commit({"a": "1"})]
        step = f"ADD {repository.url}#main /r"
        project.why(f"FROM scratch\n{step}\n")
        commits.append(repository.commit({"a": "2"}))
        found = project.why()
    assert found[step] == (f"{repository.url} moved: commit {commits[0][:12]} → {commits[1][:12]}",)


def test_records_that_are_gone_and_steps_that_failed(project: Project) -> None:
    project.why("FROM busybox\nRUN true\n")
    with Store.open(str(project.root)) as store:
        store.db.write("DELETE FROM records")
    assert project.why() == {"RUN true": ("its record was removed from the cache",)}
    failing = "FROM busybox\nRUN --mount=type=cache,target=/c ls /c/x || { touch /c/x; exit 1; }\n"
    with pytest.raises(StepFailed):
        project.why(failing)
    assert list(project.why().values()) == [("it failed the last time",)]


def test_another_platform(project: Project) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH/\n"
    project.write({"a": "1"})
    project.why(dockerfile, platform="linux/amd64")
    found = project.why(platform="linux/arm64")
    assert found["COPY a /$TARGETARCH/"] == ("destination /amd64 → /arm64",)


def test_a_folder_that_was_checked_out_anew(project: Project) -> None:
    project.write({"a": "1"})
    project.why(COPY)
    moved = Project(project.root, project.folder.parent / "elsewhere")
    moved.write({"a": "2"})
    assert moved.why(COPY) == {"COPY . /app": ("a content changed",)}
