from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from jettison.cli.build import COMMAND, metadata, request_of
from jettison.cli.console import Console
from jettison.cli.options import parse
from jettison.errors import UsageError
from jettison.request import BuildRequest, BuildResult, BuiltImage, Output, Secret
from jettison.sources.tarball import Peeked


def console(stdin: bytes = b"", **environment: str) -> Console:
    return Console(environment, io.TextIOWrapper(io.BytesIO(stdin)), io.StringIO(), io.StringIO())


def request(argv: list[str], stdin: bytes = b"", **environment: str) -> BuildRequest:
    return request_of(parse(COMMAND, argv), console(stdin, **environment))


def test_nothing_but_a_context(tmp_path: Path) -> None:
    assert request([str(tmp_path)]) == BuildRequest(context=str(tmp_path))


def test_every_option_arrives(tmp_path: Path) -> None:
    line = f"""-t app=a:1 -t worker=b --target app --target worker,tools --build-arg A=1 --build-arg B
        --build-context base=docker-image://alpine --label k=v --label bare --annotation o=p
        --secret id=t,env=T --ssh default -o type=oci,dest=x.tar --push --load --pull --jobs 3
        --network none --add-host db:10.0.0.5 --add-host v6=[::1] --platform linux/arm64
        --runtime runc -f /elsewhere/Dockerfile {tmp_path}"""
    got = request(
        line.split(),
        T="secret",
    )
    assert got == BuildRequest(
        context=str(tmp_path),
        file="/elsewhere/Dockerfile",
        tags=("app=a:1", "worker=b"),
        targets=("app", "worker", "tools"),
        build_args={"A": "1", "B": None},
        build_contexts={"base": "docker-image://alpine"},
        labels={"k": "v", "bare": ""},
        annotations={"o": "p"},
        secrets=(Secret("t", env="T"),),
        ssh=("default",),
        outputs=(Output("oci", "x.tar"),),
        platform="linux/arm64",
        pull=True,
        jobs=3,
        network="none",
        hosts=("db:10.0.0.5", "v6:::1"),
        environment={"T": "secret"},
        runtime="runc",
        push=True,
        load=True,
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ()),
        (["--no-cache"], ("*",)),
        (["--no-cache=true"], ("*",)),
        (["--no-cache", "--no-cache=false"], ()),
        (["--no-cache=a,b"], ("a", "b")),
        (["--no-cache-filter", "a,b", "--no-cache-filter=c"], ("a", "b", "c")),
        (["--no-cache=a", "--no-cache"], ("*",)),
    ],
)
def test_no_cache(tmp_path: Path, argv: list[str], expected: tuple[str, ...]) -> None:
    assert request([*argv, str(tmp_path)]).no_cache == expected


def test_context_from_standard_input() -> None:
    got = request(["-"], b"FROM scratch\n")
    assert (got.context, got.context_stream, got.file) == ("-", b"FROM scratch\n", "")


def test_dockerfile_from_standard_input(tmp_path: Path) -> None:
    got = request(["-f", "-", str(tmp_path)], b"FROM scratch\n")
    assert (got.file, got.file_text, got.context_stream) == ("", "FROM scratch\n", None)


def test_a_file_of_the_context_is_found_when_the_working_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "other.Dockerfile").write_text("FROM scratch")
    assert request(["-f", "other.Dockerfile", str(tmp_path)]).file == str(tmp_path / "other.Dockerfile")


def test_docker_output_without_a_file_means_the_daemon(tmp_path: Path) -> None:
    got = request(["-o", "type=docker", str(tmp_path)])
    assert (got.load, got.outputs) == (True, ())


def test_harmless_docker_options_are_noted(tmp_path: Path) -> None:
    parsed = parse(
        COMMAND,
        ["--rm", "--provenance=false", "--sbom=false", "--builder", "x", "--cache-from=gha", str(tmp_path)],
    )
    assert [note.split()[0] for note in parsed.notes] == ["--rm", "--builder", "--cache-from"]


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["-f", "-", "-"], "both"),
        (["nowhere"], "does not exist"),
        (["ftp://example.org/x.tar"], "does not exist"),
        (["--jobs", "0", "."], "--jobs"),
        (["--jobs", "many", "."], "--jobs"),
        (["--network", "bridge", "."], "bridge"),
        (["--add-host", "db", "."], "--add-host"),
        (["--add-host", "db:nonsense", "."], "db:nonsense"),
        (["--build-arg", "=1", "."], "no name"),
        (["--build-context", "x", "."], "NAME=VALUE"),
        (["--platform", "linux/arm64,linux/amd64", "."], "several platforms"),
        (["--provenance", "."], "not supported yet"),
        (["--cache-to", "type=gha", "."], "not supported yet"),
        (["-o", "-", "-o", "type=oci", "."], "only one"),
    ],
)
def test_what_is_wrong_is_named(argv: list[str], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        request(argv)
    assert part in caught.value.message


def test_an_archive_on_standard_input_stays_a_stream() -> None:
    data = gzip.compress(bytes(100_000))
    where = console(data)
    stream = request_of(parse(COMMAND, ["-"]), where).context_stream
    assert stream is not None and not isinstance(stream, bytes)
    assert Peeked(stream).read() == data


def test_metadata_has_the_keys_of_buildx() -> None:
    one = BuiltImage("final", "sha256:c", "sha256:m", ("docker.io/library/a:1", "b:2"), 5)
    two = BuiltImage("other", "sha256:d", "sha256:n", (), 5)
    assert metadata(BuildResult((one,), 1, 0, 0.1)) == {
        "containerimage.config.digest": "sha256:c",
        "containerimage.digest": "sha256:m",
        "image.name": "docker.io/library/a:1,b:2",
    }
    both = metadata(BuildResult((one, two), 1, 0, 0.1))
    assert both["other"] == {"containerimage.config.digest": "sha256:d", "containerimage.digest": "sha256:n"}
