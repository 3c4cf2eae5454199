from __future__ import annotations

import pytest

from jettison.cli.outputs import fields, parse_artifact, parse_output, parse_secret
from jettison.errors import UsageError
from jettison.request import Artifact, Output, Secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        ('type=local,"dest=a,b"', ["type=local", "dest=a,b"]),
        ('"say ""hi""",x', ['say "hi"', "x"]),
        ("a,", ["a", ""]),
        ('""', [""]),
    ],
)
def test_fields_are_csv(text: str, expected: list[str]) -> None:
    assert fields(text, "--output") == expected


@pytest.mark.parametrize("text", ['"a', '"a"b', 'a"b'])
def test_broken_quotes_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        fields(text, "--output")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output("local", "out")),
        ("./a=b", Output("local", "./a=b")),
        ("-", Output("tar", "-")),
        ("type=oci,dest=x.tar", Output("oci", "x.tar")),
        ("dest=x.tar,type=docker", Output("docker", "x.tar")),
        ("type=oci", Output("oci", "-")),
        ('type=local,"dest=a,b"', Output("local", "a,b")),
        ("type=image,name=a,push=true", Output("image", "", (("name", "a"), ("push", "true")))),
        ("type=oci,dest=d,tar=false", Output("oci", "d", (("tar", "false"),))),
    ],
)
def test_outputs(text: str, expected: Output) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no value"),
        ("type=ocl,dest=x", "unknown type 'ocl'"),
        ("dest=x,tar=false", "no type"),
        ("type=local", "needs dest"),
        ("type=oci,x.tar", "'x.tar' is not KEY=VALUE"),
    ],
)
def test_bad_outputs_are_named(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(text)
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=t,src=f", Secret("t", src="f")),
        ("id=t,source=f", Secret("t", src="f")),
        ("id=t,env=E", Secret("t", env="E")),
        ("id=t,type=env,src=E", Secret("t", env="E")),
        ("type=file,id=t,src=f", Secret("t", src="f")),
        ("id=SET", Secret("SET", env="SET")),
        ("id=unset", Secret("unset", src="unset")),
        ("id=t,type=env", Secret("t", env="t")),
    ],
)
def test_secrets(text: str, expected: Secret) -> None:
    assert parse_secret(text, {"SET": "1"}) == expected


@pytest.mark.parametrize("text", ["src=f", "id=t,src=f,env=E", "id=t,colour=red", "id=t,type=magic", "t"])
def test_bad_secrets_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_secret(text, {})


def test_an_artifact_names_stage_path_and_folder() -> None:
    assert parse_artifact("tester:/src/r*=out/a=b") == Artifact("tester", "/src/r*", "out/a=b")


@pytest.mark.parametrize("text", ["", "tester", "tester:/a", "tester:/a=", ":/a=b", "tester:a=b", "/a=b"])
def test_an_artifact_that_says_too_little_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--artifact"):
        parse_artifact(text)
