"""Lowering: vertices, image configurations and history of whole Dockerfiles."""

from __future__ import annotations

from typing import Any

import pytest

from jettison.dockerfile import parse
from jettison.errors import GraphError
from jettison.graph.lower import lower
from jettison.graph.ops import CopyOp, MkdirOp, RunOp, SourceOp
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import build_stage_graph
from jettison.graph.state import ResolvedImage, Settings
from jettison.graph.vertex import BuildGraph
from jettison.oci.config import History, ImageConfig
from jettison.platforms import Platform

AMD64 = Platform("linux", "amd64")
PATH = "PATH=/usr/bin:/bin"
ALPINE = ImageConfig(
    "linux",
    "amd64",
    config={"Env": [PATH], "Cmd": ["sh"]},
    diff_ids=("sha256:" + "a" * 64,),
    history=(History(created_by="root"),),
)


def lowered(
    text: str, target: str = "", base: ImageConfig = ALPINE, contexts: tuple[str, ...] = (), **settings: Any
) -> BuildGraph:
    dockerfile = parse(text.encode())
    scope = GlobalScope(settings.pop("build_args", {}), platform_args(AMD64, AMD64, ""))
    stages = build_stage_graph(dockerfile, scope, contexts, AMD64)
    goal = stages.find(target) if target else stages.plans[-1]
    needed = stages.needed([goal.stage.index], {})
    images = {
        (plan.base.name, "linux/amd64"): ResolvedImage("docker.io/library/" + plan.base.name, base)
        for plan in stages.plans
        if plan.base.kind == "image"
    }
    options = Settings(dockerfile.escape, scope, AMD64, **settings)
    return lower(stages, [goal], needed, images, ("", *contexts), options)


def names(graph: BuildGraph) -> list[str]:
    return [vertex.name for vertex in graph.vertices.values()]


def runs(graph: BuildGraph) -> list[RunOp]:
    return [vertex.op for vertex in graph.vertices.values() if isinstance(vertex.op, RunOp)]


def test_steps_are_named_and_numbered_by_stage() -> None:
    graph = lowered("FROM a AS b\nRUN make\nWORKDIR /w\nENV X=1\nFROM scratch\nCOPY --from=b /x /\n")
    assert names(graph) == [
        "[b 1/3] FROM docker.io/library/a",
        "[b 2/3] RUN make",
        "[b 3/3] WORKDIR /w",
        "[stage-1 1/1] COPY --from=b /x /",
    ]


def test_equal_steps_of_two_stages_are_one_vertex() -> None:
    graph = lowered("FROM a AS x\nRUN make\nFROM a AS y\nRUN make\nFROM x\nCOPY --from=y /1 /2\n")
    assert len(runs(graph)) == 1


def test_a_shared_step_counts_in_both_stages() -> None:
    graph = lowered("FROM a AS x\nRUN 1\nFROM a AS y\nRUN 2\nFROM x\nCOPY --from=y /1 /2\n")
    assert "[y 2/2] RUN 2" in names(graph)


def test_what_is_left_out_is_named() -> None:
    assert lowered("FROM a AS x\nFROM a AS test\nFROM a\nFROM x AS end\n").skipped == ("test", "stage-2")


def test_configuration_and_history() -> None:
    graph = lowered(
        'FROM a\nENV A=1 B="$PATH"\nLABEL l=$A\nEXPOSE 80\nUSER me\nVOLUME /v\nSTOPSIGNAL 9\nCMD run me\n'
        'ENTRYPOINT ["e"]\nWORKDIR /x/\nMAINTAINER m\n'
    )
    target = graph.targets[0]
    assert target.config.config == {
        "Env": [PATH, "A=1", "B=/usr/bin:/bin"],
        "Cmd": ["/bin/sh", "-c", "run me"],
        "Entrypoint": ["e"],
        "Labels": {"l": "1"},
        "ExposedPorts": {"80/tcp": {}},
        "User": "me",
        "Volumes": {"/v": {}},
        "StopSignal": "9",
        "WorkingDir": "/x/",
    }
    assert target.config.author == "m"
    assert target.base_history == ALPINE.history
    texts = [step.entry.created_by for step in target.history]
    assert texts[0] == "ENV A=1 B=/usr/bin:/bin"
    assert 'CMD ["/bin/sh" "-c" "run me"]' in texts
    layers = [step.entry.created_by for step in target.history if not step.entry.empty_layer]
    assert layers == ["WORKDIR /x/"]


def test_a_run_sees_env_before_arg_and_its_history_names_the_arguments() -> None:
    graph = lowered("FROM a\nARG A=1\nARG B=2\nENV A=env\nRUN make\n", build_args={"B": "cli"})
    assert runs(graph)[0].env == ("A=env", "B=cli", PATH)
    assert graph.targets[0].history[-1].entry.created_by == "RUN |2 A=1 B=cli /bin/sh -c make # buildkit"


def test_the_entrypoint_drops_a_command_of_the_base_only() -> None:
    assert "Cmd" not in lowered('FROM a\nENTRYPOINT ["e"]\n').targets[0].config.config
    own = lowered('FROM a\nCMD ["c"]\nENTRYPOINT ["e"]\n').targets[0].config.config
    assert own["Cmd"] == ["c"]


def test_child_stages_inherit_and_do_not_write_back() -> None:
    text = "FROM a AS p\nENV A=1\nLABEL l=p\nFROM p AS c\nENV A=2\nLABEL l=c\n"
    assert lowered(text, "p").targets[0].config.config["Labels"] == {"l": "p"}
    child = lowered(text, "c").targets[0].config.config
    assert (child["Labels"], child["Env"]) == ({"l": "c"}, [PATH, "A=2"])


def test_triggers_of_an_image_run_first_and_are_gone_from_the_child() -> None:
    base = ImageConfig("linux", "amd64", config={"OnBuild": ["RUN early", "ENV T=1"]}, diff_ids=())
    graph = lowered("FROM a\nRUN late $T\n", base=base)
    assert [op.args[-1] for op in runs(graph)] == ["early", "late $T"]
    assert "T=1" in runs(graph)[1].env
    assert "OnBuild" not in graph.targets[0].config.config


def test_copies_say_where_their_files_come_from() -> None:
    graph = lowered("FROM a AS x\nFROM scratch\nWORKDIR /w\nCOPY a b/ .\nCOPY --from=x /e f\nADD t.tar /t\n")
    copies = [v for v in graph.vertices.values() if isinstance(v.op, CopyOp)]
    own, stage, add = (v.op for v in copies)
    assert isinstance(own, CopyOp) and isinstance(stage, CopyOp) and isinstance(add, CopyOp)
    assert (own.context, own.paths, own.dest, own.dest_is_dir, own.keep_owner) == (
        "",
        ("a", "b/"),
        "/w",
        True,
        False,
    )
    assert (stage.context, stage.dest, stage.dest_is_dir, stage.keep_owner) == (None, "/w/f", False, True)
    assert (own.unpack, add.unpack) == (False, True)
    source = graph.vertices[copies[1].inputs[1]].op
    assert isinstance(source, SourceOp)
    assert isinstance(graph.vertices[copies[0].base].op, MkdirOp)


def test_mounts_become_inputs() -> None:
    graph = lowered(
        "FROM a AS x\nRUN make\nFROM a\n"
        "RUN --mount=from=x,source=/s,target=/t --mount=type=cache,target=c y\n"
    )
    vertex = list(graph.vertices.values())[-1]
    assert isinstance(vertex.op, RunOp)
    bind, cache = vertex.op.mounts
    assert (bind.input, bind.source, bind.read_only) == (1, "/s", True)
    assert (cache.input, cache.id, cache.target) == (-1, "/c", "/c")
    assert graph.vertices[vertex.inputs[1]].name == "[x 2/2] RUN make"


def test_no_cache_forces_steps_but_not_bases() -> None:
    text = "FROM a AS x\nRUN 1\nFROM x AS y\nRUN 2\n"
    everything = lowered(text, no_cache=frozenset("*"))
    assert [v.forced for v in everything.vertices.values()] == [False, True, True]
    one = lowered(text, no_cache=frozenset("y"))
    assert [v.forced for v in one.vertices.values()] == [False, False, True]


def test_a_script_with_a_shebang_becomes_a_file() -> None:
    op = runs(lowered("FROM a\nRUN <<EOF\n#!/bin/awk -f\nx\nEOF\n"))[0]
    assert op.args == ("/bin/sh", "-c", "/dev/pipes/EOF")
    assert op.files[0].data == "#!/bin/awk -f\nx\n"


def test_labels_of_the_request_come_last() -> None:
    graph = lowered("FROM a\nLABEL a=file b=file\n", labels={"a": "flag"})
    assert graph.targets[0].config.config["Labels"] == {"a": "flag", "b": "file"}


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=bind,target=.. true",
        "RUN --mount=type=tmpfs true",
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(GraphError) as caught:
        lowered(f"FROM a\n{line}\n")
    assert caught.value.location is not None
    assert caught.value.location.first_line == 2


def test_a_namespace_keeps_the_caches_of_builds_apart() -> None:
    text = "FROM a\nRUN --mount=type=cache,target=/k --mount=type=cache,target=/l,id=x true\n"
    plain, apart = (
        [mount.id for mount in runs(lowered(text, build_args=given))[0].mounts]
        for given in ({}, {"BUILDKIT_CACHE_MOUNT_NS": "team"})
    )
    assert plain == ["/k", "x"] and apart == ["team//k", "team/x"]


def test_several_remote_sources_need_a_directory() -> None:
    with pytest.raises(GraphError, match="must be a directory") as caught:
        lowered("FROM a\nADD http://h/x http://h/y /one\n")
    assert caught.value.location is not None and caught.value.location.first_line == 2
