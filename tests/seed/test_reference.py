"""The comparison itself: it must see what it is there to see."""

from __future__ import annotations

from typing import Any

from tests.seed.reference import differences


def image(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "status": "ok",
        "layers": 2,
        "config": {"Cmd": ["sh"]},
        "layer_sizes": [5000, 1_000_000],
    }
    facts |= changes
    return {**facts, "compressed": sum(facts["layer_sizes"])}


def test_equal_images_agree_though_the_base_has_another_size() -> None:
    assert list(differences(image(layer_sizes=[9000, 1_010_000]), image(), {9000})) == []


def test_every_difference_is_told() -> None:
    assert len(list(differences(image(layers=3), image(), set()))) == 1
    assert len(list(differences(image(config={"Cmd": ["ash"]}), image(), set()))) == 1
    assert len(list(differences(image(layer_sizes=[5000, 1_050_000]), image(), {5000}))) == 1
    assert list(differences(image(status="failed"), image(), set())) == ["ended as failed, not ok"]
