"""The bugs that builders had and users suffered from, end to end: paths, escapes, ignore files, parsing."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.conformance import imagetree
from tests.conftest import Jettison
from tests.e2e.test_ten_bugs import OLD, Builder, build, seen

__all__ = ["build"]

# 6. Symlinks at the destination


def test_a_root_filesystem_over_merged_usr(build: Builder) -> None:
    """The folders of the context go behind the image's links, which stay."""
    text = (
        "FROM busybox\nRUN mkdir -p /usr/lib64 /usr/sbin2 && ln -s usr/lib64 /lib64"
        " && ln -s /usr/sbin2 /sbin2\n"
        "COPY rootfs /\nRUN cat /lib64/a /sbin2/b >/out\n"
    )
    tree = build(text, rootfs__lib64__a="a", rootfs__sbin2__b="b", rootfs__etc__c="c")
    assert (tree["/lib64"]["link"], tree["/sbin2"]["link"]) == ("usr/lib64", "/usr/sbin2")
    assert seen(tree, "/usr/lib64/a", "/usr/sbin2/b", "/etc/c", "/out") == ["a", "b", "c", "ab"]


def test_links_on_the_way_are_resolved_inside_their_own_root(build: Builder, tmp_path: Path) -> None:
    """The links are absolute, and lead to a folder that this machine has as well."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("of the host")
    place = f"{tmp_path}/outside"
    text = (
        f"FROM busybox AS s\nRUN mkdir -p {place} /opt"
        f" && echo of the stage >{place}/f && ln -s {place} /opt/l\n"
        f"FROM busybox\nRUN mkdir -p /real /opt && ln -s /real /opt/way && ln -s ../../../real/made /opt/up\n"
        "COPY --from=s /opt/l/f /one\nCOPY --from=s /opt/l /two\nCOPY f /opt/way/deep/\n"
        "WORKDIR /opt/way/work\nCOPY f .\n"
    )
    tree = build(text, f="f")
    assert seen(tree, "/one", "/two/f") == ["of the stage"] * 2
    assert seen(tree, "/real/deep/f", "/real/work/f") == ["f", "f"]
    assert tree["/opt/way"]["type"] == "symlink"


def test_a_link_to_the_host_finds_nothing(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    stage = (
        f"FROM busybox AS s\nRUN ln -s {tmp_path} /l && ln -s /l/../../../../{tmp_path} /up\nFROM scratch\n"
    )
    build.project({"f": ""}, "FROM scratch\nCOPY l/secret /s\n")
    (build.context / "l").symlink_to(tmp_path)
    for text in ("FROM scratch\nCOPY l/secret /s\n", f"{stage}COPY --from=s /l/secret /s\n",
                 f"{stage}COPY --from=s /up/secret /s\n",
                 "FROM busybox\nRUN --mount=target=/m cat /m/l/secret\n"):  # fmt: skip
        done = build.jettison("build", build.project(dockerfile=text))
        assert done.code == 1 and "of the host" not in done.text and "Traceback" not in done.text


# 7. Ways out


def test_archives_reach_nothing_outside(build: Builder, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(victim)
        archive.addfile(link)
        for name in (f"../../../../../..{victim}/climbed", "way/through", f"{victim}/absolute"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    build.project({"x.tar": data.getvalue()}, "FROM busybox\nADD x.tar /deep/down/\nRUN echo ran\n")
    build.jettison("build", build.context)
    assert list(victim.iterdir()) == []
    done = build.jettison("build", build.project(dockerfile="FROM busybox\nCOPY x.tar /../../../../x.tar\n"))
    assert done.code == 0 and not Path("/x.tar").exists()


def test_triggers_write_into_their_image_only(build: Builder, tmp_path: Path) -> None:
    build.project({"f": "f"}, f"FROM busybox\nONBUILD COPY f ../../../../..{tmp_path}/planted\n")
    build.jettison.ok("build", "-t", "trap", build.context)
    assert seen(build("FROM trap\n"), f"{tmp_path}/planted") == ["f"]
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_an_ignore_file_that_leads_outside_is_not_read(build: Builder, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("geheim[\n")
    build.project({"f": "f"}, "FROM scratch\nCOPY . /\n")
    (build.context / name).symlink_to(tmp_path / "secret")
    done = build.jettison("build", build.context)
    assert done.code == 1 and name in done.err and "geheim" not in done.text


def test_steps_see_nothing_of_the_builder(build: Builder, tmp_path: Path) -> None:
    text = (
        f"FROM busybox\nRUN env >/env; ls {tmp_path} {build.jettison.root} >/ls 2>&1; ls -A /proc >/p; true\n"
    )
    folder = build.project({"f": ""}, text)
    words = ("-o", f"type=oci,dest={build.archive}", folder)
    build.jettison.ok("build", *words, env={"CI_TOKEN": "geheim", "JETTISON_X": "y"})
    tree = imagetree.facts(str(build.archive))["tree"]
    assert "geheim" not in str(tree) and "JETTISON" not in tree["/env"]["text"]
    assert tree["/ls"]["text"].count("No such file") == 2


# 8. Owners that follow from USER


def test_all_directories_that_workdir_makes_belong_to_the_user(build: Builder) -> None:
    tree = build("FROM busybox\nRUN mkdir /old\nUSER 1000:50\nWORKDIR /new/one/two\nWORKDIR /old/three\n")
    owners = {
        name: (tree[name]["uid"], tree[name]["gid"]) for name in tree if name.startswith(("/new", "/old"))
    }
    assert owners.pop("/old") == (0, 0)
    assert owners == dict.fromkeys(("/new", "/new/one", "/new/one/two", "/old/three"), (1000, 50))


def test_mount_points_do_not_stay(build: Builder) -> None:
    text = (
        "FROM busybox\nRUN mkdir /has && chmod 750 /has\nUSER 1000:50\n"
        "RUN --mount=type=cache,target=/a/b,uid=1000 --mount=type=tmpfs,target=/has/c"
        " --mount=type=bind,target=/d --mount=type=cache,target=/has/k touch /a/b/f\n"
    )
    tree = build(text)
    assert not {"/a", "/a/b", "/d", "/has/c", "/has/k"} & set(tree)
    assert (tree["/has"]["mode"], tree["/has"]["uid"]) == ("750", 0)


def test_user_group_and_home(build: Builder) -> None:
    text = (
        "FROM busybox\nRUN echo app:x:1000:1000::/home/app:/bin/sh >>/etc/passwd"
        " && printf 'app:x:1000:\\nextra:x:50:app\\nonly:x:60:\\n' >>/etc/group && mkdir -m 777 /w\n"
        "USER app\nRUN echo $HOME $(id -u) $(id -G) >/w/plain\n"
        "USER app:only\nRUN echo $HOME $(id -u) $(id -G) >/w/group\n"
        "USER 1000\nRUN echo $HOME $(id -u) $(id -G) >/w/number\n"
        "USER 4321\nRUN echo $HOME $(id -u) $(id -g) >/w/unknown\n"
    )
    tree = build(text)
    assert seen(tree, "/w/plain", "/w/group", "/w/unknown") == [
        "/home/app 1000 1000 50", "/home/app 1000 60", "/ 4321 0",
    ]  # fmt: skip
    assert seen(tree, "/w/number")[0].startswith("/home/app 1000 1000")


# 9. Ignore files


@pytest.mark.parametrize(
    ("patterns", "want"),
    [
        ("*\n!a/b", {"/c/a", "/c/a/b", "/c/a/b/f", "/c/a/b/x"}),
        ("**\n!./x", {"/c/x"}),
        ("**\n!a/*/f", {"/c/a", "/c/a/b", "/c/a/b/f"}),
        ("a\n!a/b/f", {"/c/a", "/c/a/b", "/c/a/b/f", "/c/x"}),
        ("**/x\n!a/b/x", {"/c/a", "/c/a/b", "/c/a/b/f", "/c/a/b/x", "/c/a/g"}),
        ("a/b/\n# a comment\n  x  \n", {"/c/a", "/c/a/g"}),
    ],
)
def test_ignore_files_bring_back_what_they_say(build: Builder, patterns: str, want: set[str]) -> None:
    """From the context only: a stage with the same names is copied whole. The context stays as it is."""
    text = (
        "FROM busybox AS s\nRUN mkdir -p /c/a/b && touch /c/x /c/a/b/x\n"
        "FROM scratch\nCOPY . /c/\nCOPY --from=s /c /s\n"
    )
    files = {"a/b/f": "f", "a/b/x": "x", "a/g": "g", "x": "x", ".git/HEAD": "ref"}
    folder = build.project({**files, "Dockerfile.dockerignore": f"{patterns}\nDocker*\n.git\n"}, text)
    before = listing(folder)
    tree = build()
    assert {name for name in tree if name.startswith("/c/")} == want
    assert {name for name in tree if name.startswith("/s/")} == {"/s/a", "/s/a/b", "/s/a/b/x", "/s/x"}
    assert listing(folder) == before


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    out = {}
    for path in [folder, *folder.rglob("*")]:
        there = path.lstat()
        out[str(path)] = (there.st_mode, there.st_mtime_ns, there.st_ctime_ns)
    return out


def test_a_changed_ignore_file_is_seen(build: Builder) -> None:
    text = "FROM scratch\nCOPY d /d\n"
    files = {"d/a": "a", "d/b": "b"}
    build.project({**files, ".dockerignore": "d/a\n"}, text)
    assert set(build()) == {"/d", "/d/b"}
    build.project({".dockerignore": "d/b\n"})
    assert set(build()) == {"/d", "/d/a"}


# 10. What the parser makes of it


def test_here_documents_run_and_expand_where_they_should(build: Builder) -> None:
    text = (
        "FROM busybox\nARG A=builder\nENV B=env\n"
        "RUN <<'EOF'\necho \"$A\" >/quoted\nEOF\n"
        'RUN <<EOF\nA=shell; echo "$A $B" >/plain\nEOF\n'
        'COPY <<EOF /expanded\n$A ${B}\nEOF\nCOPY <<"EOF" /literal\n$A ${B}\nEOF\n'
        'RUN echo "two  blanks" \'single "double"\' >/quotes\n'
        "RUN <<-EOF\n\texit 0\n\tEOF\n"
    )
    tree = build(text)
    assert seen(tree, "/quoted", "/plain", "/expanded", "/literal", "/quotes") == [
        "builder", "shell env", "builder env", "$A ${B}", 'two  blanks single "double"',
    ]  # fmt: skip


@pytest.mark.parametrize("script", ["RUN <<'EOF'\nexit 3\nEOF\n", "RUN <<EOF sh -e\nfalse\ntrue\nEOF\n"])
def test_a_failing_here_document_fails_the_build(build: Builder, script: str) -> None:
    done = build.jettison("build", build.project(dockerfile=f"FROM busybox\n{script}"))
    assert done.code == 1 and "Dockerfile:2" in done.err


def test_an_env_wins_over_an_argument_on_either_side(build: Builder) -> None:
    text = "FROM busybox\nENV V=env\nARG V=arg\nRUN echo $V >/after\n"
    text += "ARG W=arg\nENV W=env\nRUN echo $W >/before\n"
    assert (
        seen(build(text, "--build-arg", "V=given", "--build-arg", "W=given"), "/after", "/before")
        == ["env"] * 2
    )


def test_a_stage_name_means_the_latest_stage_before(build: Builder) -> None:
    text = (
        "FROM busybox AS Same\nRUN echo 1 >/f\nFROM same AS early\nFROM busybox AS SAME\nRUN echo 2 >/f\n"
        "FROM busybox\nCOPY --from=same /f /late\nCOPY --from=EARLY /f /early\n"
    )
    assert seen(build(text), "/late", "/early") == ["2", "1"]


# And more


def test_forms_of_copy_that_are_renames(build: Builder) -> None:
    text = "FROM scratch\nCOPY d/o*.txt /renamed\nCOPY d/. /dots\nCOPY fil[e] nosuc[h] /maybe/\n"
    build.project({"d/one.txt": "1", "file": "f"}, text)
    tree = build()
    assert seen(tree, "/renamed", "/dots/one.txt", "/maybe/file") == ["1", "1", "f"]
    done = build.jettison("build", build.project(dockerfile="FROM scratch\nCOPY file d/one.txt /both\n"))
    assert done.code == 1 and "/both" in done.err


def test_special_files_of_a_context(build: Builder) -> None:
    """A fifo is not read, a socket is left out, and a device is no reason to stop."""
    build.project({"d/f": "f"}, "FROM busybox\nCOPY d /d\nCOPY . /all\n")
    os.mkfifo(build.context / "d/pipe")
    os.mknod(build.context / "d/null", 0o020666, os.makedev(1, 3))
    place = os.open(build.context / "d", os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place}/sock")
        tree = build()
    os.close(place)
    assert tree["/d/pipe"]["type"] == "fifo" and "/d/sock" not in tree and tree["/d/f"]["text"] == "f"
    done = build.jettison("build", build.project(dockerfile="FROM scratch\nCOPY d/pipe /p\n"), timeout=30)
    assert "Traceback" not in done.text


def test_sparse_files_take_no_time_and_no_room(build: Builder) -> None:
    build.project({"d/f": ""}, "FROM busybox\nCOPY d /d\nRUN truncate -s 40M /e && echo end >>/e\n")
    with (build.context / "d/hole").open("wb") as file:
        file.truncate(40_000_000)
    tree = build()
    assert (tree["/d/hole"]["size"], tree["/e"]["size"]) == (40_000_000, 40 * (1 << 20) + 4)
    used = subprocess.run(["du", "-sk", build.jettison.root], capture_output=True, text=True, check=True)
    assert int(used.stdout.split()[0]) < 20_000


def test_a_volume_makes_no_directory(build: Builder) -> None:
    text = "FROM busybox\nVOLUME /data/new\nRUN ls /data/new 2>/dev/null; echo $? >/out\n"
    tree = build(text)
    assert "/data" not in tree and seen(tree, "/out") == ["1"]


def test_base_layers_are_not_rewritten(build: Builder, busybox_layout: Path) -> None:
    base = imagetree.Layout(str(busybox_layout))
    below, _ = imagetree.pick_manifest(base)
    build("FROM busybox\nCOPY f /f\n", "--build-arg", f"SOURCE_DATE_EPOCH={OLD}", f="f")
    made, _ = imagetree.pick_manifest(imagetree.Layout(str(build.archive)))
    assert [layer["digest"] for layer in made["layers"][:1]] == [layer["digest"] for layer in below["layers"]]


def test_nothing_of_a_step_outlives_it(build: Builder) -> None:
    """Neither a process in the background, nor children of a process that is gone."""
    text = (
        "FROM busybox\nRUN (sleep 31337 &) && sleep 31338 & echo started >/out\n"
        'RUN ["sh", "-c", "(sleep 31339 &); (exit 3) & exit 0"]\n'
    )
    began = time.monotonic()
    tree = build(text)
    assert time.monotonic() - began < 60 and seen(tree, "/out") == ["started"]
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 3133" not in shown


def test_parallel_steps_with_one_mount_point_that_is_not_there(build: Builder) -> None:
    stages = "".join(
        f"FROM base AS s{n}\nRUN --mount=type=cache,id=c{n},target=/new/point --mount=target=/m"
        f" sleep 0.3 && echo {n} >/out\n"
        for n in range(4)
    )
    copies = "".join(f"COPY --from=s{n} /out /out{n}\n" for n in range(4))
    tree = build(f"FROM busybox AS base\nRUN echo made >/base\n{stages}FROM s0\n{copies}", "--jobs", "4")
    assert seen(tree, *(f"/out{n}" for n in range(4))) == ["0", "1", "2", "3"]
    assert "/new" not in tree and "/m" not in tree


def test_a_stage_waits_for_its_base(jettison: Jettison, build: Builder) -> None:
    text = "FROM busybox AS slow\nRUN sleep 1 && echo done >/f\nFROM slow AS next\nRUN cat /f >/g\n"
    text += "FROM slow\nCOPY --from=next /g /g\n"
    assert seen(build(text, "--jobs", "4"), "/f", "/g") == ["done", "done"]
