"""Requests, results and errors as plain JSON data: what a worker process and its caller say to each other."""

from __future__ import annotations

from typing import Any

from jettison import errors
from jettison.dataclass import fields
from jettison.errors import DockerfileError, JettisonError, Problem, RegistryError, StepFailed
from jettison.progress.jsonl import location_from_json, location_to_json
from jettison.request import Artifact, BuildRequest, BuildResult, BuiltImage, Limits, Output, Secret
from jettison.verdict import Verdict


def request_to_json(request: BuildRequest) -> dict[str, Any]:
    """A request as plain data."""
    out: dict[str, Any] = {field.name: getattr(request, field.name) for field in fields(request)}
    out["outputs"] = [[item.type, item.dest, list(item.attributes)] for item in request.outputs]
    out["artifacts"] = [[item.stage, item.path, item.dest] for item in request.artifacts]
    out["limits"] = {field.name: getattr(request.limits, field.name) for field in fields(request.limits)}
    out["secrets"] = [[item.id, item.src, item.env, item.key] for item in request.secrets]
    if request.context_stream is not None:
        from base64 import b64encode

        from jettison.sources.tarball import Peeked

        given = request.context_stream
        data = given if isinstance(given, bytes) else Peeked(given).read()
        out["context_stream"] = b64encode(data).decode("ascii")
    return out


def request_from_json(data: dict[str, Any]) -> BuildRequest:
    """The request that `request_to_json` made this of."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    values["outputs"] = tuple(
        Output(kind, dest, tuple((key, value) for key, value in attributes))
        for kind, dest, attributes in data["outputs"]
    )
    values["artifacts"] = tuple(Artifact(*item) for item in data["artifacts"])
    values["limits"] = Limits(**data["limits"])
    values["secrets"] = tuple(Secret(*item) for item in data["secrets"])
    if data["context_stream"] is not None:
        from base64 import b64decode

        values["context_stream"] = b64decode(data["context_stream"])
    return BuildRequest(**values)


def result_to_json(result: BuildResult) -> dict[str, Any]:
    """A result as plain data."""
    images = [{field.name: getattr(image, field.name) for field in fields(image)} for image in result.images]
    counts = {name: getattr(result, name) for name in ("ran", "cached", "seconds", "build")}
    return {"images": images, **counts, "checks": _verdicts_to_json(result.checks)}


def result_from_json(data: dict[str, Any]) -> BuildResult:
    """The result that `result_to_json` made this of."""
    images = tuple(BuiltImage(**{**image, "tags": tuple(image["tags"])}) for image in data["images"])
    checks = _verdicts_from_json(data["checks"])
    return BuildResult(images, data["ran"], data["cached"], data["seconds"], data["build"], checks)


def _verdicts_to_json(verdicts: tuple[Verdict, ...]) -> list[dict[str, Any]]:
    return [{field.name: getattr(one, field.name) for field in fields(one)} for one in verdicts]


def _verdicts_from_json(data: list[dict[str, Any]]) -> tuple[Verdict, ...]:
    return tuple(Verdict(**{**one, "failing": tuple(one["failing"])}) for one in data)


def error_to_json(error: JettisonError) -> dict[str, Any]:
    """An error of ours as plain data."""
    out: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "location": location_to_json(error.location) if error.location else None,
        "temporary": error.temporary,
    }
    if isinstance(error, DockerfileError):
        out["problems"] = [
            [problem.message, location_to_json(problem.location) if problem.location else None, problem.hint]
            for problem in error.problems
        ]
    elif isinstance(error, StepFailed):
        out |= {"step": error.step, "exit_code": error.exit_code, "tail": list(error.tail)}
        out |= {"build": error.build, "number": error.number, "log": error.log, "state": error.state}
    elif isinstance(error, RegistryError):
        out["status"] = error.status
    out["others"] = [error_to_json(other) for other in error.others]
    out["checks"] = _verdicts_to_json(error.checks)
    return out


def error_from_json(data: dict[str, Any]) -> JettisonError:
    """The error that `error_to_json` made this of: the same class, the same fields."""
    error = _own_from_json(data)
    error.others = tuple(map(error_from_json, data["others"]))
    error.checks = _verdicts_from_json(data["checks"])
    return error


def _own_from_json(data: dict[str, Any]) -> JettisonError:
    kind: Any = getattr(errors, data["type"], JettisonError)
    if not (isinstance(kind, type) and issubclass(kind, JettisonError)):
        kind = JettisonError
    location = location_from_json(data["location"]) if data["location"] else None
    known: dict[str, Any] = {"hint": data["hint"], "location": location}
    if kind is DockerfileError:
        return DockerfileError(
            tuple(
                Problem(message, location_from_json(place) if place else None, hint)
                for message, place, hint in data["problems"]
            )
        )
    if kind is StepFailed:
        known |= {"step": data["step"], "exit_code": data["exit_code"], "tail": tuple(data["tail"])}
        failed = StepFailed(data["message"], **known)
        failed.build, failed.number = data["build"], data["number"]
        failed.log, failed.state = data["log"], data["state"]
        return failed
    known["temporary"] = data["temporary"]
    if kind is RegistryError:
        known["status"] = data["status"]
    made: JettisonError = kind(data["message"], **known)
    return made
