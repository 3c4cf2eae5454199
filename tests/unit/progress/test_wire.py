from __future__ import annotations

import json
from io import BytesIO

import pytest

from jettison import errors
from jettison.errors import (
    DockerfileError,
    JettisonError,
    Problem,
    RegistryError,
    StepFailed,
)
from jettison.location import Location
from jettison.progress import wire
from jettison.request import Artifact, BuildRequest, BuildResult, BuiltImage, Limits, Output, Secret
from jettison.verdict import Verdict

PLACE = Location("Dockerfile", 3, 4)
PASSED = Verdict("lint", True, 0.0, True)
FAILED = Verdict("tester", False, 2.5, False, "exit code: 1", 1, 4, 1, 0, 1, 2.25, ("a: b", "c"))
FULL = BuildRequest(
    context="/c",
    context_stream=b"\x00\xff",
    file="f",
    file_text="FROM a",
    tags=("a", "s=b"),
    targets=("s",),
    build_args={"A": "1", "B": None},
    build_contexts={"base": "/x"},
    labels={"k": "v"},
    annotations={"o": "p"},
    secrets=(Secret("i", "s", "e"),),
    ssh=("default",),
    outputs=(Output("oci", "x", (("tar", "false"), ("name", "n"))), Output("local", "d")),
    artifacts=(Artifact("s", "/reports", "out"),),
    platform="linux/arm64",
    no_cache=("s",),
    pull=True,
    jobs=3,
    limits=Limits(1 << 30, 99, 1.5, 90.0),
    retries=2,
    network="none",
    hosts=("a:1.2.3.4",),
    environment={"P": "\udcff"},
    runtime="crun",
    checks=("a", "b"),
    push=True,
    load=True,
)


@pytest.mark.parametrize("request_", [BuildRequest(), FULL])
def test_requests_come_back(request_: BuildRequest) -> None:
    text = json.dumps(wire.request_to_json(request_))
    assert wire.request_from_json(json.loads(text)) == request_


def test_results_come_back() -> None:
    image = BuiltImage("final", "sha256:a", "sha256:b", ("x:1",), 5)
    result = BuildResult((image, image), 1, 2, 0.5, "b3", (PASSED, FAILED))
    assert wire.result_from_json(json.loads(json.dumps(wire.result_to_json(result)))) == result


EVERY: list[JettisonError] = [
    *(
        kind("message", hint="hint", location=PLACE, temporary=True)
        for kind in (
            errors.UsageError,
            errors.ConfigError,
            errors.GraphError,
            errors.SourceError,
            errors.NotFound,
            errors.StoreError,
            errors.SandboxError,
            errors.ExportError,
            errors.Cancelled,
            errors.JettisonError,
        )
    ),
    RegistryError("message", status=503, temporary=True),
    StepFailed("message", step="[a 1/1] RUN x", exit_code=7, tail=("one", "two"), location=PLACE),
    DockerfileError((Problem("one", PLACE, "hint"), Problem("two"))),
]
KEPT = StepFailed("message", step="x", exit_code=1)
KEPT.build, KEPT.number, KEPT.log, KEPT.state = "b3", 4, "/logs/b3/4.log", "5fa4ed41443c"


@pytest.mark.parametrize("error", [*EVERY, KEPT], ids=lambda error: type(error).__name__)
def test_errors_come_back_as_the_same_class(error: JettisonError) -> None:
    got = wire.error_from_json(json.loads(json.dumps(wire.error_to_json(error))))
    assert type(got) is type(error)
    assert got.__dict__ == error.__dict__
    assert str(got) == str(error)


def test_further_errors_and_the_verdicts_come_with_an_error() -> None:
    error = StepFailed("message", step="[a 1/1] RUN x", exit_code=7)
    error.others = (errors.StoreError("full", hint="prune"),)
    error.checks = (PASSED, FAILED)
    got = wire.error_from_json(json.loads(json.dumps(wire.error_to_json(error))))
    assert got.checks == error.checks and isinstance(got, StepFailed)
    (other,) = got.others
    assert type(other) is errors.StoreError and other.__dict__ == error.others[0].__dict__


def test_no_error_class_is_forgotten() -> None:
    def below(kind: type[JettisonError]) -> set[type[JettisonError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {kind for kind in below(JettisonError) if kind.__module__ == "jettison.errors"}
    assert {type(error) for error in EVERY} == ours


def test_an_unknown_class_is_at_least_an_error_of_ours() -> None:
    data = wire.error_to_json(JettisonError("m")) | {"type": "Location"}
    assert type(wire.error_from_json(data)) is JettisonError


def test_a_stream_is_sent_whole() -> None:
    request = BuildRequest(context="-", context_stream=BytesIO(b"x" * 5000))
    assert wire.request_from_json(wire.request_to_json(request)).context_stream == b"x" * 5000
