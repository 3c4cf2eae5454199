from __future__ import annotations

from typing import Any

import pytest

from jettison.dockerfile import parse
from jettison.dockerfile.expand import expand_instruction
from jettison.dockerfile.instructions import Mount, Run
from jettison.errors import DockerfileError


def mount(options: str, **variables: str) -> Mount:
    run = parse(f"FROM x\nRUN --mount={options} true".encode()).stages[0].instructions[0]
    run = expand_instruction(run, variables.get)
    assert isinstance(run, Run)
    return run.mounts[0]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("target=/a", {"type": "bind", "target": "/a", "read_only": True, "pending": False}),
        ("type=bind,src=s,dst=/a,from=b", {"source": "s", "target": "/a", "from_": "b"}),
        ("target=/a,rw", {"read_only": False}),
        ("target=/a,readwrite=false", {"read_only": True}),
        ("TYPE=Cache,destination=/a", {"type": "cache", "read_only": False, "sharing": "shared"}),
        (
            "type=cache,target=/a,ro=true,sharing=LOCKED,id=k",
            {"read_only": True, "sharing": "locked", "id": "k"},
        ),
        ("type=cache,target=/a,mode=0750,uid=1,gid=2", {"mode": 0o750, "uid": 1, "gid": 2}),
        ("type=tmpfs,target=/a,size=1.5k", {"size": 1536, "read_only": False}),
        ("type=tmpfs,target=/a,size=64MiB", {"size": 64 << 20}),
        ("type=secret,id=t,env=T,required", {"type": "secret", "id": "t", "env": "T", "required": True}),
        ("type=ssh,required=true,mode=0666", {"type": "ssh", "required": True, "mode": 0o666}),
        ('type=bind,\\"source=a,b\\",target=/c', {"source": "a,b", "target": "/c"}),
        ('"type=bind,source=s,target=/c"', {"source": "s", "target": "/c"}),
        ("target=/a,source=a\\\\\\ b", {"source": "a b"}),
    ],
)
def test_options(options: str, fields: dict[str, Any]) -> None:
    found = mount(options)
    assert {name: getattr(found, name) for name in fields} == fields


def test_variables_wait_for_expansion() -> None:
    source = b"FROM x\nRUN --mount=type=$T,target=$D,from=s true"
    run = parse(source).stages[0].instructions[0]
    assert isinstance(run, Run)
    assert run.mounts[0].pending and run.mounts[0].from_ == "s"
    expanded = expand_instruction(run, {"T": "cache", "D": "/k"}.get)
    assert isinstance(expanded, Run)
    found = expanded.mounts[0]
    assert (found.type, found.target, found.from_, found.pending) == ("cache", "/k", "s", False)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ("type=floppy,target=/a", "floppy"),
        ("type=bind,target=/a,colour=red", "colour"),
        ("target=/", "target '/'"),
        ("target=/a/..", "target"),
        ("target", "needs a value"),
        ("target=/a,ro=maybe", "maybe"),
        ("target=/a,mode=755", "mode is not allowed"),
        ("type=cache,target=/a,mode=9", "mode"),
        ("target=/a,sharing=locked", "sharing"),
        ("type=cache,target=/a,sharing=mine", "mine"),
        ("type=cache,target=/a,size=1", "size"),
        ("type=tmpfs,target=/a,size=big", "big"),
        ("type=secret", "id or a target"),
        ("type=secret,id=a,source=b", "not both"),
        ("type=secret,id=a,from=b", "no from"),
        ("target=/a,required", "required"),
        ("target=/a,env=B", "env"),
        ('target=/a,source=x\\"b', "quote"),
    ],
)
def test_bad_options(options: str, word: str) -> None:
    with pytest.raises(DockerfileError, match=word):
        mount(options)


def test_bad_values_behind_variables_are_found_when_expanded() -> None:
    with pytest.raises(DockerfileError, match="floppy") as caught:
        mount("type=$T,target=/a", T="floppy")
    assert caught.value.location and caught.value.location.first_line == 2
