"""Bad input: a clear message with file and line, a status other than 0, no traceback, nothing lost."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.registry import free_port

Project = Callable[..., Path]


def assert_clear(done: Done, *words: str, status: tuple[int, ...] = (1, 2)) -> None:
    """The command failed and said why: every one of `words` stands in its message."""
    assert done.code in status, done.text[-2000:]
    assert "Traceback" not in done.text
    assert "internal error" not in done.text
    assert "ERROR" in done.err
    for word in words:
        assert word in done.err, f"{word!r} is not in:\n{done.err[-2000:]}"


@pytest.fixture
def with_image(jettison: Jettison, tmp_path: Path) -> Iterator[Jettison]:
    """A store with an image that was built earlier; at the end it must still be whole and usable."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo kept >/kept\n")
    jettison.ok("build", "-t", "earlier", folder)
    yield jettison
    assert "earlier" in jettison.ok("images").out
    assert jettison.ok("run", "earlier", "cat", "/kept").out == "kept\n"
    jettison.ok("build", "--build-context", "busybox=docker-image://earlier", "-t", "later", folder)


def test_an_empty_file(with_image: Jettison, project: Project) -> None:
    assert_clear(with_image("build", project(dockerfile="")), "Dockerfile", "empty")


def test_only_comments(with_image: Jettison, project: Project) -> None:
    assert_clear(with_image("build", project(dockerfile="# nothing\n\n# here\n")), "Dockerfile")


def test_no_dockerfile(jettison: Jettison, project: Project) -> None:
    assert_clear(jettison("build", project({"main.c": ""})), "Dockerfile")


def test_an_unknown_instruction(with_image: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nWORKDIR /app\nRUNN make\nCOPPY . .\n")
    done = with_image("build", folder)
    assert_clear(done, "Dockerfile:3", "RUNN", "RUN", "Dockerfile:4", "COPPY")


def test_an_unknown_flag_of_the_command(with_image: Jettison, project: Project) -> None:
    done = with_image("build", "--no-cahce", project(dockerfile="FROM busybox\n"))
    assert_clear(done, "--no-cahce", "--no-cache", status=(2,))


def test_an_unknown_flag_of_an_instruction(with_image: Jettison, project: Project) -> None:
    done = with_image("build", project({"a": ""}, "FROM busybox\nCOPY --chwon=1 a /\n"))
    assert_clear(done, "Dockerfile:2", "chwon")


def test_an_unknown_command(jettison: Jettison) -> None:
    assert_clear(jettison("biuld", "."), "biuld", "build", status=(2,))


def test_a_missing_stage_in_copy(with_image: Jettison, project: Project) -> None:
    dockerfile = "FROM busybox AS builder\nRUN touch /a\nFROM scratch\nCOPY --from=bilder /a /a\n"
    done = with_image("build", project(dockerfile=dockerfile))
    assert_clear(done, "Dockerfile:4", "bilder")


def test_a_missing_target(with_image: Jettison, project: Project) -> None:
    done = with_image("build", "--target", "tster", project(dockerfile="FROM busybox AS tester\n"))
    assert_clear(done, "tster", "tester")


def test_a_cycle(with_image: Jettison, project: Project) -> None:
    done = with_image("build", project(dockerfile="FROM busybox AS one\nCOPY --from=one /bin /b\n"))
    assert_clear(done, "Dockerfile:2", "one")


def test_a_missing_file_in_copy(with_image: Jettison, project: Project) -> None:
    done = with_image("build", project({"server.js": ""}, "FROM busybox\nCOPY sever.js /app/\n"))
    assert_clear(done, "Dockerfile:2", "sever.js")


def test_a_missing_file_of_a_stage(with_image: Jettison, project: Project) -> None:
    dockerfile = "FROM busybox AS b\nRUN touch /main\nFROM scratch\nCOPY --from=b /mian /\n"
    assert_clear(with_image("build", project(dockerfile=dockerfile)), "Dockerfile:4", "/mian")


def test_an_ignored_file_is_named_as_such(with_image: Jettison, project: Project) -> None:
    files = {"dist/app.js": "", ".dockerignore": "# built files\ndist\n"}
    done = with_image("build", project(files, "FROM busybox\nCOPY dist/app.js /\n"))
    assert_clear(done, "Dockerfile:2", "dist/app.js", ".dockerignore")


def test_a_base_image_that_is_not_there(with_image: Jettison, project: Project) -> None:
    from tests.registry import running_registry

    folder = project(dockerfile="FROM nosuchbase:1\n")
    with running_registry(folder.parent / "registry") as address:
        done = with_image("build", folder, env={"JETTISON_REGISTRY_MIRRORS": f"docker.io=http://{address}"})
    assert_clear(done, "Dockerfile:1", "nosuchbase:1")


def test_a_registry_that_is_down(with_image: Jettison, project: Project) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = with_image("build", project(dockerfile=f"FROM busybox AS b\nFROM {address}/team/base:1\n"))
    assert_clear(done, "Dockerfile:2", address)


def test_a_megabyte_of_noise(with_image: Jettison, project: Project) -> None:
    noise = random.Random(7).randbytes(1 << 20)
    assert_clear(with_image("build", project(dockerfile=noise)), "Dockerfile")


def test_a_megabyte_of_lines(with_image: Jettison, project: Project) -> None:
    text = "FROM busybox\n" + "".join(f"WORD{n % 977} some arguments\n" for n in range(40_000))
    done = with_image("build", project(dockerfile=text))
    assert_clear(done, "Dockerfile:2", "WORD0")
    assert len(done.err.splitlines()) < 500


def test_the_context_is_not_there(jettison: Jettison, tmp_path: Path) -> None:
    assert_clear(jettison("build", tmp_path / "nowhere"), "nowhere")


def test_a_failing_step(with_image: Jettison, project: Project) -> None:
    dockerfile = "FROM busybox\nRUN echo first\nRUN echo about to fail && exit 7\n"
    done = with_image("build", "-t", "broken", project(dockerfile=dockerfile))
    assert_clear(done, "Dockerfile:3", "about to fail", "7")
    assert "broken" not in with_image.ok("images").out


def test_a_program_that_is_not_there(with_image: Jettison, project: Project) -> None:
    done = with_image("build", project(dockerfile='FROM busybox\nRUN ["/no/such/program"]\n'))
    assert_clear(done, "Dockerfile:2", "/no/such/program")


@pytest.mark.parametrize("kind", ["layers", "export"])
def test_a_full_disk(kind: str, busybox_layout: Path, project: Project, tmp_path: Path) -> None:
    """The store, or the file written, lies on a file system of 24 MB."""
    if os.geteuid():
        pytest.skip("mounting a small file system takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    try:
        jettison = Jettison(disk / "store" if kind == "layers" else tmp_path / "store")
        jettison.ok("load", busybox_layout, "busybox")
        small = project(dockerfile="FROM busybox\nRUN echo kept >/kept\n")
        jettison.ok("build", "-t", "earlier", small)
        random_bytes = "FROM busybox\nRUN head -c 40000000 /dev/urandom >/big || exit 1\n"
        if kind == "layers":
            large = project({"big": os.urandom(40_000_000)}, "FROM busybox\nCOPY big /big\n")
            done = jettison("build", "-t", "large", large)
        else:
            done = jettison("build", "-o", f"type=oci,dest={disk}/out.tar", project(dockerfile=random_bytes))
            assert not (disk / "out.tar").exists()
        assert_clear(done, "space")
        assert jettison.ok("run", "earlier", "cat", "/kept").out == "kept\n"
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
