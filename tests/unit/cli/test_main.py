from __future__ import annotations

import errno
import io
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jettison.cli import failure
from jettison.cli.console import Console
from jettison.cli.main import COMMANDS, main
from jettison.errors import (
    DockerfileError,
    JettisonError,
    Problem,
    StepFailed,
    StoreError,
    UsageError,
)
from jettison.location import Location


def call(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main(list(argv), {}, io.StringIO(), out, err)
    return status, out.getvalue(), err.getvalue()


def told(error: JettisonError, file: str = "", text: str | None = None) -> tuple[int, str]:
    err = io.StringIO()
    console = Console({}, io.StringIO(), io.StringIO(), err)
    console.dockerfile(file, text)
    return failure.tell(console, error), err.getvalue()


def test_version() -> None:
    status, out, _ = call("--version")
    assert status == 0 and out.startswith("jettison ")


def test_help_names_every_command() -> None:
    status, out, _ = call("--help")
    assert status == 0
    assert all(f"  {name} " in out for name in COMMANDS)


def test_help_of_a_command_three_ways() -> None:
    texts = {call("build", "--help")[1], call("help", "build")[1], call("build", "-h")[1]}
    assert len(texts) == 1
    assert "jettison build -t shop/web ." in texts.pop()


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        status, out, err = call(name, "--help")
        assert (status, err) == (0, ""), name
        assert f"Usage: jettison {name}" in out


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["biuld", "."], "did you mean jettison build?"),
        (["build", "--taget", "x", "."], "did you mean --target?"),
        (["--tag", "x"], "unknown option --tag"),
        (["build"], "jettison build ."),
        (["build", "--progress", "plian", "."], "did you mean plain?"),
    ],
)
def test_wrong_usage_gives_2_and_the_nearest_name(argv: list[str], part: str) -> None:
    status, out, err = call(*argv)
    assert (status, out) == (2, "")
    assert err.startswith("ERROR: ") and part in err


def test_excerpt_marks_the_lines() -> None:
    text = "FROM a\nRUN one \\\n  two\nRUN three\nRUN four\nRUN five\n"
    lines = failure.excerpt(Location("Dockerfile", 2, 3), text.splitlines())
    assert lines == [
        "Dockerfile:2",
        "--------------------",
        "   1 |     FROM a",
        "   2 | >>> RUN one \\",
        "   3 | >>>   two",
        "   4 |     RUN three",
        "   5 |     RUN four",
        "--------------------",
    ]


def test_excerpt_of_what_is_not_there_is_empty() -> None:
    assert failure.excerpt(Location("Dockerfile", 9, 9), ["FROM a"]) == []
    assert failure.excerpt(Location("Dockerfile", 0, 0), ["FROM a"]) == []


def test_excerpt_of_a_long_range_leaves_out_the_middle_and_control_characters() -> None:
    lines = failure.excerpt(Location("D", 1, 400), ["x\x1b[2J"] * 400)
    assert len(lines) < 40 and "     | ..." in lines
    assert "\x1b" not in "".join(lines)


def test_a_failed_step_shows_its_tail_its_lines_and_its_exit_code() -> None:
    error = StepFailed(
        'process "/bin/sh -c make" did not complete successfully: exit code: 2',
        step="[builder 2/2] RUN make",
        exit_code=2,
        tail=tuple(f"line {n}" for n in range(30)),
        location=Location("Dockerfile", 2, 2),
    )
    status, err = told(error, text="FROM a AS builder\nRUN make\n")
    assert status == 1
    assert " > [builder 2/2] RUN make:\nline 10\n" in err and "line 9\n" not in err
    assert "   2 | >>> RUN make\n" in err
    assert "Dockerfile:2: process" in err and "exit code: 2" in err


def test_all_problems_of_a_dockerfile_are_told() -> None:
    error = DockerfileError(
        (
            Problem("unknown instruction RUNN", Location("Dockerfile", 1, 1), "did you mean RUN?"),
            Problem("COPY needs two arguments", Location("Dockerfile", 2, 2)),
        )
    )
    status, err = told(error, text="RUNN x\nCOPY x\n")
    assert status == 1
    assert "ERROR: Dockerfile:1: unknown instruction RUNN\nhint: did you mean RUN?\n" in err
    assert "ERROR: Dockerfile:2: COPY needs two arguments\n" in err


def test_a_thousand_problems_are_not_a_thousand_excerpts() -> None:
    problems = tuple(Problem("bad", Location("Dockerfile", n, n)) for n in range(1, 1001))
    _, err = told(DockerfileError(problems), text="x\n" * 1000)
    assert "and 980 more problems" in err and err.count("ERROR") == 21


def test_the_lines_come_from_the_file_that_the_location_names(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM nowhere\n")
    _, err = told(UsageError("x", location=Location(str(path), 1, 1)))
    assert ">>> FROM nowhere" in err
    _, err = told(UsageError("x", location=Location("Dockerfile", 1, 1)), file=str(path))
    assert ">>> FROM nowhere" in err


def test_system_errors_become_ours() -> None:
    full = failure.as_ours(OSError(errno.ENOSPC, "No space left on device", "/store/x"))
    assert isinstance(full, StoreError) and "no space left" in full.message and "/store/x" in full.message
    assert isinstance(failure.as_ours(sqlite3.OperationalError("database or disk is full")), StoreError)
    assert isinstance(failure.as_ours(PermissionError(errno.EACCES, "Permission denied", "/x")), StoreError)
    assert failure.as_ours(KeyError("x")) is None
    assert failure.as_ours(sqlite3.OperationalError("no such table: x")) is None


def test_a_bug_is_one_line_and_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for environment, report in (({}, True), ({"JETTISON_DEBUG": "1"}, False)):
        err = io.StringIO()
        console = Console(environment, io.StringIO(), io.StringIO(), err)
        try:
            raise KeyError("surprise")
        except KeyError as error:
            assert failure.internal(console, error) == 1
        assert "internal error: KeyError: 'surprise'" in err.getvalue()
        assert ("Traceback" in err.getvalue()) is not report
    (path,) = tmp_path.iterdir()
    assert "Traceback" in path.read_text()


def test_a_reader_that_went_away_is_no_traceback() -> None:
    line = f"{sys.executable} -m jettison build --help | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_the_build_command_imports_nothing_heavy() -> None:
    code = (
        "import sys, jettison.cli.main, jettison.cli.build, jettison.progress.plain, jettison.config;"
        "print(*[m for m in ('argparse','logging','pathlib','subprocess','urllib','tempfile','traceback',"
        "'asyncio','tarfile','sqlite3','jettison.api','jettison.cli.run') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("", "")
