from __future__ import annotations

import pytest

from jettison.errors import UsageError
from jettison.exporters.attributes import annotations_of, check_attributes, flag
from jettison.request import Output


def test_known_ones() -> None:
    output = Output(
        "oci", "x", (("tar", "false"), ("name", "a"), ("annotation.k", "v"), ("annotation-manifest.l", "w"))
    )
    check_attributes(output)
    assert not flag(output, "tar", True) and flag(Output("oci"), "tar", True)
    assert annotations_of(output) == {"k": "v", "l": "w"}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Output("oci", "x", (("tra", "false"),)), "'tra' is not supported"),
        (Output("oci", "x", (("tar", "no"),)), "true or false"),
        (Output("docker", "x", (("tar", "false"),)), "archives only"),
        (Output("local", "x", (("annotation.k", "v"),)), "not supported"),
    ],
)
def test_wrong_ones(output: Output, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_attributes(output)
