"""What is in a store is its owner's alone, whatever the umask; what is put out has the umask's modes."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Jettison

Project = Callable[..., Path]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

DOCKERFILE = """FROM busybox AS build
ARG V
COPY dir /dir
RUN --mount=type=secret,id=x --mount=type=cache,target=/cache echo $V | tee /cache/x /made \\
 && mkdir -m 1777 /wide
FROM busybox
COPY --from=build /made /dir /to/
ADD a.tar /unpacked/
"""


def modes(root: Path) -> dict[str, str]:
    """Modes of all that is the store's own, by path; what images and steps made is left out."""
    found = {"": f"{root.stat().st_mode & 0o7777:o}"}
    for above, folders, files in os.walk(root):
        inside = Path(above).relative_to(root)
        if inside.parts[:1] == ("cache-mounts",):
            folders.clear()
        if inside.parts[:1] == ("layers",) and len(inside.parts) == 2:
            folders.clear()
            files = [name for name in files if name != "tree"]
        for name in [*folders, *files]:
            if inside.parts[:1] != ("cache-mounts",):
                found[str(inside / name)] = f"{os.lstat(Path(above, name)).st_mode & 0o7777:o}"
    return found


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    old = os.umask(0o022)
    try:
        yield os.umask
    finally:
        os.umask(old)


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_store_is_private(
    jettison: Jettison, project: Project, umask: Callable[[int], int], tmp_path: Path, mask: int
) -> None:
    files = {f"dir/{number}": str(number) * 5000 for number in range(20)}
    folder = project(files, DOCKERFILE)
    subprocess.run(["tar", "cf", folder / "a.tar", "-C", folder, "dir"], check=True)
    umask(mask)
    (tmp_path / "out").mkdir()
    for value in "12":
        words = ["--build-arg", f"V={value}", "--iidfile", f"{tmp_path}/out/iid"]
        words += ["-o", f"type=oci,dest={tmp_path}/out/a.tar", "-o", f"type=local,dest={tmp_path}/out/l"]
        jettison.ok("build", "--secret", "id=x,src=/dev/null,key=content", *words, folder)
    jettison.ok("build", "-t", "app", "--build-arg", "V=2", folder)
    jettison.ok("save", "-o", f"{tmp_path}/out/b.tar", "app")
    found = modes(jettison.root)
    assert {path: mode for path, mode in found.items() if mode not in ("600", "700")} == {}
    assert {path.partition("/")[0] for path in found} >= {
        "blobs",
        "layers",
        "memo",
        "listings",
        "salt",
        "version",
    }
    put_out = {name: (tmp_path / "out" / name).stat().st_mode & 0o777 for name in ("a.tar", "b.tar", "iid")}
    assert put_out == dict.fromkeys(put_out, 0o666 & ~mask)
    assert jettison.ok("run", "app", "sh", "-c", "stat -c %a / /to /to/made; umask").out.split() == [
        "755", "755", "644", "0022",
    ]  # fmt: skip
    assert "all sound" in jettison.ok("check-store").out


def test_what_was_opened_is_found_and_closed(jettison: Jettison, project: Project) -> None:
    jettison.ok("build", "-t", "app", project(dockerfile="FROM busybox\nRUN true\n"))
    blob = next((jettison.root / "blobs/sha256").iterdir())
    for path, mode in ((jettison.root, 0o775), (blob, 0o644), (jettison.root / "layers", 0o755)):
        path.chmod(mode)
    done = jettison("check-store")
    assert done.code == 1
    assert f"mode blobs/sha256/{blob.name}: its mode 644 lets others use it\n" in done.out
    assert "mode layers: its mode 755 lets others use it\n" in done.out
    assert stat.S_IMODE(jettison.root.stat().st_mode) == 0o700, "closed by whoever opens the store"
    jettison.ok("check-store", "--repair")
    assert set(modes(jettison.root).values()) == {"600", "700"}
    assert "all sound" in jettison.ok("check-store").out


def test_a_store_of_somebody_else_is_refused(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project(dockerfile="FROM busybox\nRUN true\n")
    jettison.ok("build", folder)
    new = tmp_path / "new"
    new.mkdir()
    for root in (jettison.root, new):
        os.chown(root, 4321, 4321)
        before = modes(root)
        done = jettison("build", "--root", root, folder)
        assert done.code == 1
        assert f"the store {root} belongs to another user (4321)" in done.text
        assert f"chown -R 0 {root}" in done.text
        assert modes(root) == before
    os.chown(jettison.root, 0, 0)
    jettison.ok("build", folder)


def test_a_folder_with_other_things_keeps_its_mode(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "shared/mine").mkdir(parents=True)
    (tmp_path / "shared").chmod(0o1777)
    done = jettison("build", "--root", tmp_path / "shared", project(dockerfile="FROM busybox\nRUN true\n"))
    assert "holds other things and is no store" in done.text
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o1777
