"""Rules of our own: where they speak, and where they keep quiet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jettison.errors import JettisonError
from tests.unit.lint.checked import findings, found


def own(text: str, rule: str, **facts: object) -> list[int]:
    """The lines in which one rule finds something."""
    return [line for line, name in found(text, own_rules=True, **facts) if name == rule]


APT = "apt-get update && apt-get install -y curl"


@pytest.mark.parametrize(
    ("run", "left"),
    [
        (APT, True),
        (f"{APT} && rm -rf /var/lib/apt/lists/*", False),
        (f"--mount=type=cache,target=/var/lib/apt --mount=type=cache,target=/var/cache/apt {APT}", False),
        (f"--mount=type=tmpfs,target=/tmp {APT}", True),
        ("apk add curl", True),
        ("apk add --no-cache curl", False),
        ("set -e; dnf install -y curl; dnf clean all", False),
        ("yum -y install curl", True),
        ("pip install flask", True),
        ("python3 -m pip install --no-cache-dir flask", False),
        ("PIP_NO_CACHE_DIR=1 pip install flask", False),
        ("--mount=type=cache,target=/root/.cache pip install flask", False),
        ("npm ci --omit=dev && npm cache clean --force", False),
        ("npm ci --omit=dev", True),
        ('["apk", "add", "curl"]', True),
        ("echo apt-get", False),
    ],
)
def test_package_caches(run: str, left: bool) -> None:
    text = f"FROM a:1\nRUN {run}\n"
    assert own(text, "PackageCacheLeft") == ([2] if left else [])


def test_a_script_in_a_here_document_is_read() -> None:
    text = "FROM a:1\nRUN <<E\nset -e\napk add gcc\nE\n"
    assert own(text, "PackageCacheLeft") == own(text, "BuildToolsShipped") == [2]


def test_size_is_of_no_matter_in_a_stage_that_is_not_shipped() -> None:
    build = "FROM a:1 AS build\nRUN apk add gcc musl-dev\nCOPY x /x\nRUN chmod +x /x\n"
    assert found(build + "FROM scratch\nCOPY --from=build /x /\n", own_rules=True) == []
    shipped = {rule for _, rule in found(build + "FROM build\n", own_rules=True)}
    assert shipped == {"PackageCacheLeft", "BuildToolsShipped", "OwnershipLayer"}


@pytest.mark.parametrize(
    ("run", "ships"),
    [
        ("apk add --no-cache build-base", True),
        ("apk add --no-cache --virtual .deps gcc && make && apk del .deps", False),
        ("apk add --no-cache curl", False),
        ("npm ci", True),
        ("npm ci --omit=dev", False),
        ("NODE_ENV=production npm ci", False),
        ("npm install -g serve", False),
        ("composer install --no-dev", False),
        ("poetry install", True),
        ("pip install -r requirements-dev.txt", True),
        ("pip install -r requirements.txt", False),
    ],
)
def test_tools_in_the_image(run: str, ships: bool) -> None:
    assert own(f"FROM a:1\nRUN {run}\n", "BuildToolsShipped") == ([2] if ships else [])


@pytest.mark.parametrize(
    ("base", "ships"),
    [
        ("golang:1.22", True),
        ("docker.io/library/golang:1.22", True),
        ("x/my-golang:1", False),
        ("node:20", False),
    ],
)
def test_an_image_with_compilers_as_the_base_of_what_ships(base: str, ships: bool) -> None:
    assert own(f"FROM {base}\n", "BuildToolsShipped") == ([1] if ships else [])


def test_an_earlier_installation_of_the_same_kind_is_the_good_order() -> None:
    text = "FROM a:1\nCOPY package.json ./\nRUN npm ci\nCOPY . .\nRUN npm ci && pip install -r r.txt\n"
    assert own(text, "InstallAfterCopy") == [5]
    assert own(text.replace(" && pip install -r r.txt", ""), "InstallAfterCopy") == []


def test_a_whole_stage_is_no_build_context() -> None:
    text = "FROM a:1 AS x\nFROM a:1\nCOPY --from=x . .\nRUN npm ci\n"
    assert own(text, "InstallAfterCopy") == []


@pytest.mark.parametrize(
    ("base", "pinned"),
    [
        ("alpine", False),
        ("alpine:latest", False),
        ("alpine:3.20", True),
        (f"alpine@sha256:{'0' * 64}", True),
        ("scratch", True),
        ("localhost:5000/x", False),
    ],
)
def test_versions_of_images(base: str, pinned: bool) -> None:
    assert own(f"FROM {base}\n", "BaseUnpinned") == ([] if pinned else [1])
    if base != "scratch":
        assert own(f"FROM a:1\nCOPY --from={base} /x /\n", "BaseUnpinned") == ([] if pinned else [2])


@pytest.mark.parametrize(
    ("rest", "lines"),
    [
        ('CMD ["x"]\n', [1]),
        ('USER app\nCMD ["x"]\n', []),
        ('USER 0:0\nCMD ["x"]\n', [2]),
        ('USER app\nUSER root\nCMD ["x"]\n', [3]),
        ('ARG U\nUSER $U\nCMD ["x"]\n', []),
        ("USER root\n", []),
        ("RUN x\n", []),
    ],
)
def test_the_user_of_what_runs(rest: str, lines: list[int]) -> None:
    assert own(f"FROM a:1\n{rest}", "RootUser") == lines


def test_the_user_may_come_from_the_base() -> None:
    text = 'FROM a:1\nCMD ["x"]\n'
    assert own(text, "RootUser", bases={"a:1": {"User": "app"}}) == []
    assert own('FROM x/static:nonroot\nCMD ["x"]\n', "RootUser") == []
    assert own('FROM a:1 AS b\nUSER app\nFROM b\nCMD ["x"]\n', "RootUser") == []


@pytest.mark.parametrize(
    ("run", "twice"),
    [
        ("chown -R app /data", True),
        ("chown -R app /data/sub", True),
        ("chmod 755 /data", True),
        ("chown -R app .", True),
        ("chown -R app /", False),
        ("chown app /other", False),
        ("chmod 755 $HOME", False),
    ],
)
def test_owners_and_modes_in_a_layer_of_their_own(run: str, twice: bool) -> None:
    text = f"FROM a:1\nWORKDIR /data\nCOPY x ./\nRUN {run}\n"
    assert own(text, "OwnershipLayer") == ([4] if twice else [])


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("ENV A=AKIA" + "A" * 16, True),
        ("ENV A=ghp_" + "a" * 36, True),
        ("LABEL a=glpat-" + "a" * 20, True),
        ("ENV URL=postgres://app:hunter2@db/app", True),
        ("ENV URL=postgres://app:$PASS@db/app", False),
        ("ENV URL=https://example.com/a:b@c", False),
        ("RUN curl https://user:pass@example.com", True),
        ("ENV A=akia", False),
    ],
)
def test_what_looks_like_a_secret(line: str, secret: bool) -> None:
    text = f"FROM scratch\n{line}\n"
    assert own(text, "SecretValue") == ([2] if secret else [])
    for finding in findings(text, own_rules=True):
        assert "hunter2" not in finding.message and "AAAA" not in finding.message


def test_what_is_used_as_a_secret() -> None:
    text = "FROM a:1\nARG LOGIN\nRUN npm config set //r/:_authToken=$LOGIN\nRUN echo $LOGIN\n"
    assert own(text, "SecretValue") == [2]
    assert own(text.replace("_authToken=", "level="), "SecretValue") == []


def test_misspelt_build_arguments() -> None:
    (got,) = findings("FROM scratch\nARG VERSION\n", arguments={"VERSOIN": "1"}, own_rules=True)
    assert got.rule == "ArgUnconsumed" and "did you mean VERSION?" in got.message
    assert found("FROM scratch\nARG VERSION\n", arguments={"VERSION": "1"}, own_rules=True) == []


def test_only_the_last_of_stages_that_nothing_needs_is_told_of() -> None:
    text = "FROM scratch AS a\nFROM a AS b\nFROM scratch AS c\n"
    assert own(text, "StageUnused") == [2]
    assert own(text, "StageUnused", targets=("c",)) == []


WORDS = st.sampled_from(
    [
        *("FROM a:1", "FROM a AS b", "FROM b", "COPY . .", "COPY --from=b / /x", "RUN npm ci", "ARG A=$B"),
        *(
            "ENV A $A",
            "ENV A=${A:-$B}",
            "WORKDIR $A",
            "USER $A",
            "EXPOSE $A/TCP",
            "CMD x",
            "# check=skip=all",
        ),
        *(
            "RUN chmod 1",
            "RUN chown -R",
            "RUN apt-get install",
            "RUN ''",
            "COPY --from=0 . .",
            "onbuild run x",
        ),
        *("RUN a \\", "", "RUN <<E", "E", "LABEL a b", "VOLUME $A", "ADD https://x/y /", 'SHELL ["a"]'),
    ]
)


@given(st.lists(WORDS, max_size=12))
def test_no_file_that_can_be_read_breaks_the_rules(lines: list[str]) -> None:
    text = "FROM scratch AS b\n" + "\n".join(lines) + "\n"
    try:
        got = findings(text, own_rules=True, ignore="x\n!y\n")
    except JettisonError:
        return
    last = text.count("\n")
    assert all(1 <= f.location.first_line <= f.location.last_line <= last for f in got)
