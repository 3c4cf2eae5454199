"""What the Dockerfile reference says and a case of the corpus cannot show.

Caches over several builds, the network, and what an image does when it is run.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import imagetree
from tests.conftest import Done, Jettison
from tests.e2e.test_build import ran
from tests.site import Site, served

Project = Callable[..., Path]


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


def build(jettison: Jettison, folder: Path, *words: object) -> Done:
    return jettison.ok("build", "--progress", "jsonl", "-t", "app", *words, folder)


def commands(done: Done) -> list[str]:
    """The RUNs that had to run."""
    return [name.partition("RUN ")[2] for name in ran(done)]


def config_of(archive: Path) -> Any:
    layout = imagetree.Layout(str(archive))
    manifest, _ = imagetree.pick_manifest(layout)
    return layout.json(manifest["config"])


def test_an_image_is_named_by_its_digest(jettison: Jettison, project: Project) -> None:
    done = build(jettison, project(dockerfile="FROM busybox\nRUN echo one >/f\n"))
    digest = done.events("Exported")[0]["digest"]
    build(jettison, project(dockerfile="FROM busybox\nRUN echo two >/f\n"))
    text = f"FROM app@{digest} AS one\nFROM app\nCOPY --from=one /f /one\nCMD cat /one /f\n"
    build(jettison, project(dockerfile=text))
    assert jettison.ok("run", "app").out == "one\ntwo\n"
    wrong = digest[:-4] + ("0000" if digest[-4:] != "0000" else "1111")
    assert jettison("build", project(dockerfile=f"FROM localhost:1/app@{wrong}\n")).code == 1


def test_no_cache_runs_steps_again(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo one\n")
    build(jettison, folder)
    assert commands(build(jettison, folder)) == []
    assert commands(build(jettison, folder, "--no-cache")) == ["echo one"]


def test_what_a_base_image_hands_on(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    base = (
        "FROM busybox\nLABEL a=base b=base\nENV E=1\nUSER 7:8\nWORKDIR /w\nEXPOSE 80\nVOLUME /v\n"
        'STOPSIGNAL SIGINT\nHEALTHCHECK CMD ["x"]\nSHELL ["/bin/sh", "-ec"]\nENTRYPOINT ["e"]\n'
        "ONBUILD COPY f /one\nONBUILD RUN cat /one >/w/two && id -u >>/w/two\n"
    )
    jettison.ok("build", "-t", "base", project(dockerfile=base))
    out = tmp_path / "out.tar"
    folder = project({"f": "file\n"}, "FROM base\nLABEL b=own\nRUN cat /w/two >/w/three\n")
    jettison.ok("build", "-o", f"type=oci,dest={out}", folder)
    config = config_of(out)["config"]
    assert config["Labels"] == {"a": "base", "b": "own"}
    assert "E=1" in config["Env"] and config["User"] == "7:8" and config["WorkingDir"] == "/w"
    assert config["ExposedPorts"] == {"80/tcp": {}} and config["Volumes"] == {"/v": {}}
    assert config["StopSignal"] == "SIGINT" and config["Healthcheck"] == {"Test": ["CMD", "x"]}
    assert config["Shell"] == ["/bin/sh", "-ec"] and config["Entrypoint"] == ["e"]
    assert not config.get("OnBuild")
    tree = imagetree.facts(str(out))["tree"]
    assert tree["/w/three"]["text"] == "file\n7\n"


MEET = "touch /r/$ME && for n in $(seq 100); do [ -e /r/$YOU ] && break; sleep 0.1; done && [ -e /r/$YOU ]"


def two_steps(command: str) -> str:
    """Two stages whose steps run side by side and meet in a shared cache."""
    stage = "FROM busybox AS {0}\nENV ME={0} YOU={1}\nRUN --mount=type=cache,id=meeting,target=/r {2}\n"
    return (
        stage.format("a", "b", command)
        + stage.format("b", "a", command)
        + "FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n"
    )


def test_a_shared_cache_is_used_by_two_steps_at_once(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    folder = project(dockerfile=two_steps(f"{MEET} && ls /r >/out"))
    jettison.ok("build", "--jobs", "2", "-o", tmp_path / "out", folder)
    assert (tmp_path / "out/a").read_text() == (tmp_path / "out/b").read_text() == "a\nb\n"


def test_a_second_writer_of_a_private_cache_gets_another(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    both = f"--mount=type=cache,target=/k,sharing=private touch /k/$ME && {MEET} && ls /k >/out"
    jettison.ok("build", "--jobs", "2", "-o", tmp_path / "out", project(dockerfile=two_steps(both)))
    assert ((tmp_path / "out/a").read_text(), (tmp_path / "out/b").read_text()) == ("a\n", "b\n")


def test_a_locked_cache_is_waited_for(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    use = "mkdir /k/busy && sleep 1 && rmdir /k/busy && touch /out"
    locked = f"--mount=type=cache,target=/k,sharing=locked {use}"
    folder = project(dockerfile=two_steps(locked))
    jettison.ok("build", "--jobs", "2", "-o", tmp_path / "out", folder)
    shared = locked.replace("locked", "shared").replace("/k", "/l")
    assert jettison("build", "--jobs", "2", project(dockerfile=two_steps(shared))).code == 1


def test_a_cache_outlives_builds_and_is_in_no_key(jettison: Jettison, project: Project) -> None:
    first = "FROM busybox\nRUN --mount=type=cache,target=/k echo first >/k/f\n"
    build(jettison, project(dockerfile=first))
    use = "cat /k/f >/out && echo second >/k/f"
    second = f"FROM busybox\nRUN --mount=type=cache,target=/k {use}\nCMD cat /out\n"
    build(jettison, project(dockerfile=second))
    assert jettison.ok("run", "app").out == "first\n"
    assert commands(build(jettison, project(dockerfile=first))) == []
    assert commands(build(jettison, project(dockerfile=second))) == []


def test_a_namespace_keeps_caches_apart(jettison: Jettison, project: Project) -> None:
    for space, seen in (("one", "0\n"), ("two", "0\n"), ("one", "1\n")):
        use = "ls /k | wc -l >/out; touch /k/f"
        text = f"FROM busybox\nRUN --mount=type=cache,target=/k {use}; : {seen}CMD cat /out\n"
        build(jettison, project(dockerfile=text), "--build-arg", f"BUILDKIT_CACHE_MOUNT_NS={space}")
        assert jettison.ok("run", "app").out == seen


def test_the_network_of_the_host(jettison: Jettison, project: Project, site: Site) -> None:
    url = site.file("/f", b"from the host\n")
    text = f"FROM busybox\nRUN --network=host busybox wget -q -O /f {url}\nCMD cat /f\n"
    folder = project(dockerfile=text)
    refused = jettison("build", folder)
    assert refused.code == 1
    assert "--allow network.host" in refused.err
    for allowed in ("--allow=network.host", "--network=host"):
        build(jettison, folder, allowed)
        assert jettison.ok("run", "app").out == "from the host\n"
    none = text.replace("--network=host", "--network=none")
    assert jettison("build", project(dockerfile=none)).code == 1


def test_an_insecure_step_has_all_capabilities(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
    text = (
        "FROM busybox AS made\nRUN --security=insecure grep CapEff /proc/self/status >/insecure\n"
        "RUN grep CapEff /proc/self/status >/sandbox\nFROM scratch\nCOPY --from=made /insecure /sandbox /\n"
    )
    folder = project(dockerfile=text)
    refused = jettison("build", "-o", tmp_path / "out", folder)
    assert refused.code == 1
    assert "Dockerfile:2" in refused.err
    assert "--allow security.insecure" in refused.err
    jettison.ok("build", "--allow=security.insecure", "-o", tmp_path / "out", folder)
    assert (tmp_path / "out/insecure").read_text().strip() == own
    assert (tmp_path / "out/sandbox").read_text().strip() != own


def test_entrypoint_and_cmd_together(jettison: Jettison, project: Project) -> None:
    stages = {
        "exec-exec": ('ENTRYPOINT ["/say", "e"]\nCMD ["c", "d"]', "/say:e c d", "/say:e x y"),
        "exec-shell": ('ENTRYPOINT ["/say", "e"]\nCMD c d', "/say:e /bin/sh -c c d", "/say:e x y"),
        "exec-none": ('ENTRYPOINT ["/say", "e"]', "/say:e", "/say:e x y"),
        "shell-exec": ('ENTRYPOINT /say e\nCMD ["c", "d"]', "/say:e", "/say:e"),
        "shell-shell": ("ENTRYPOINT /say e\nCMD c d", "/say:e", "/say:e"),
        "none-exec": ('CMD ["/say", "c"]', "/say:c", None),
        "none-shell": ("CMD /say c", "/say:c", None),
    }
    text = 'FROM busybox AS base\nCOPY --chmod=755 <<"EOF" /say\n#!/bin/sh\necho "$0:$*"\nEOF\n'
    text += "".join(f"FROM base AS {name}\n{lines}\n" for name, (lines, _, _) in stages.items())
    tags = [word for name in stages for word in ("-t", f"{name}=img-{name}")]
    jettison.ok("build", *tags, project(dockerfile=text))
    for name, (_, plain, with_arguments) in stages.items():
        assert jettison.ok("run", f"img-{name}").out == plain + "\n", name
        if with_arguments:
            assert jettison.ok("run", f"img-{name}", "x", "y").out == with_arguments + "\n", name
    assert jettison.ok("run", "img-none-exec", "/say", "x").out == "/say:x\n"


def test_user_and_working_directory_at_run_time(jettison: Jettison, project: Project) -> None:
    text = "FROM busybox\nWORKDIR /made/here\nUSER 1234:56\nCMD pwd; id -u; id -g\n"
    build(jettison, project(dockerfile=text))
    assert jettison.ok("run", "app").out == "/made/here\n1234\n56\n"


def test_proxies_are_in_no_key_and_no_history(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo $HTTP_PROXY\n")
    assert len(ran(build(jettison, folder, "--build-arg", "HTTP_PROXY=http://user:geheim@one"))) == 1
    out = tmp_path / "out.tar"
    done = jettison.ok(
        "build", "--progress", "jsonl", "--build-arg", "HTTP_PROXY=http://user:geheim@two",
        "-o", f"type=oci,dest={out}", folder,
    )  # fmt: skip
    assert ran(done) == []
    assert "geheim" not in json.dumps(config_of(out))


def test_a_declared_proxy_is_in_the_key(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project(dockerfile="FROM busybox\nARG HTTP_PROXY\nRUN echo hello\n")
    for value in ("http://one", "http://two"):
        assert commands(build(jettison, folder, "--build-arg", f"HTTP_PROXY={value}")) == ["echo hello"]
    out = tmp_path / "out.tar"
    jettison.ok("build", "--build-arg", "HTTP_PROXY=http://two", "-o", f"type=oci,dest={out}", folder)
    assert any("HTTP_PROXY=http://two" in item["created_by"] for item in config_of(out)["history"])


def test_an_argument_counts_from_its_first_use(jettison: Jettison, project: Project) -> None:
    text = "FROM busybox\nRUN echo before\nARG VER\nCOPY f /f\nRUN echo hello\nRUN echo $VER\n"
    folder = project({"f": ""}, text)
    build(jettison, folder, "--build-arg", "VER=1")
    done = build(jettison, folder, "--build-arg", "VER=2")
    assert commands(done) == ["echo hello", "echo $VER"]
    assert [e["name"] for e in done.events("StepFinished") if "COPY" in e["name"] and not e["cached"]] == []


def test_an_env_hands_a_changed_argument_on(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nARG VER\nENV KEPT=$VER\nRUN echo hello\n")
    build(jettison, folder, "--build-arg", "VER=1")
    assert commands(build(jettison, folder, "--build-arg", "VER=2")) == ["echo hello"]


def test_an_env_that_hides_an_argument_keeps_it_out_of_the_key(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nARG VER\nENV VER=hello\nRUN echo $VER\n")
    build(jettison, folder, "--build-arg", "VER=1")
    assert commands(build(jettison, folder, "--build-arg", "VER=2")) == []


def test_linked_files_are_known_although_what_is_below_changed(jettison: Jettison, project: Project) -> None:
    """Neither another step below nor another base image makes a layer of --link anew."""
    text = "FROM {}\nRUN echo {} >/below\nCOPY --link d /d\nCOPY --link --from=made /m /m\n"
    made = "FROM busybox AS made\nRUN echo made >/m\n"

    def copied(done: Done) -> list[str]:
        return [e["name"] for e in done.events("StepFinished") if "COPY" in e["name"] and not e["cached"]]

    jettison.ok("build", "-t", "other", project(dockerfile="FROM busybox\nRUN echo other >/o\n"))
    assert len(copied(build(jettison, project({"d/f": "f"}, made + text.format("busybox", 1))))) == 2
    assert copied(build(jettison, project(dockerfile=made + text.format("busybox", 2)))) == []
    assert copied(build(jettison, project(dockerfile=made + text.format("other", 2)))) == []
    assert jettison.ok("run", "app", "cat", "/o", "/below", "/d/f", "/m").out == "other\n2\nfmade\n"


def test_an_epoch_is_the_time_of_everything(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    folder = project({"d/f": "f"}, "FROM busybox\nRUN mkdir /made && echo 1 >/made/f\nCOPY d /d\n")
    arguments = ("--build-arg", "SOURCE_DATE_EPOCH=1000000000")
    jettison.ok("build", *arguments, "-o", f"type=oci,dest={out}", folder)
    config = config_of(out)
    assert config["created"] == "2001-09-09T01:46:40Z"
    assert {item["created"] for item in config["history"][-2:]} == {"2001-09-09T01:46:40Z"}
    jettison.ok("build", *arguments, "-o", f"type=tar,dest={tmp_path}/files.tar", folder)
    with tarfile.open(tmp_path / "files.tar") as archive:
        times = {m.name: m.mtime for m in archive}
    assert [times[name] for name in ("made/f", "d/f")] == [1_000_000_000] * 2
