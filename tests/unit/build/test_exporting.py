"""Outputs: what is refused before a build, and the times in an image's configuration."""

from __future__ import annotations

import pytest

from jettison.errors import UsageError
from jettison.exporting import check_outputs, dated, rfc3339, wants_images
from jettison.graph.vertex import HistoryStep, Target
from jettison.oci.config import History, ImageConfig
from jettison.request import BuildRequest, Output
from jettison.solver.solve import Solution

BASE = (History(created="2020-01-01T00:00:00Z", created_by="base"),)
STEPS = (
    HistoryStep(History(created_by="ENV", empty_layer=True)),
    HistoryStep(History(created_by="RUN"), "v1"),
    HistoryStep(History(created_by="COPY"), "v2"),
)


def target(steps: tuple[HistoryStep, ...] = STEPS) -> Target:
    return Target("t", "v2", ImageConfig("linux", "amd64"), BASE, steps, 1)


def test_times_are_those_of_the_steps() -> None:
    config = dated(target(), Solution({}, {"v1": 1000.0, "v2": 500.0}), None)
    assert config.created == rfc3339(1000)
    times = [entry.created for entry in config.history]
    assert times == ["2020-01-01T00:00:00Z", rfc3339(1000), rfc3339(1000), rfc3339(500)]


def test_an_epoch_is_the_time_of_everything_but_the_base() -> None:
    config = dated(target(), Solution({}, {"v1": 1000.0, "v2": 500.0}), 42)
    assert [entry.created for entry in config.history] == ["2020-01-01T00:00:00Z", *[rfc3339(42)] * 3]
    assert config.created == rfc3339(42)


def test_without_steps_of_its_own_an_image_is_as_old_as_its_base() -> None:
    assert dated(target(()), Solution({}), None).created == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "request_",
    [
        BuildRequest(outputs=(Output("zip", "x"),)),
        BuildRequest(outputs=(Output("oci"),)),
        BuildRequest(outputs=(Output("local", "x", (("colour", "red"),)),)),
        BuildRequest(push=True),
        BuildRequest(outputs=(Output("registry"),)),
        BuildRequest(tags=("Not Valid",)),
        BuildRequest(tags=("stage=UPPER",)),
    ],
    ids=["type", "destination", "attribute", "push", "registry", "tag", "stage-tag"],
)
def test_what_cannot_work_is_refused_before_anything_is_built(request_: BuildRequest) -> None:
    with pytest.raises(UsageError):
        check_outputs(request_)


def test_files_alone_need_no_image() -> None:
    assert not wants_images(BuildRequest(outputs=(Output("local", "x"), Output("tar", "y"))))
    assert wants_images(BuildRequest(outputs=(Output("local", "x"),), push=True))
    assert wants_images(BuildRequest())
