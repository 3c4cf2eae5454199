"""Where an image's layers come from: noted for images with a name, guessed for others."""

from __future__ import annotations

from jettison.exporters.image import ImageDocument
from jettison.exporters.store import tag_image
from jettison.insight.base import base_layers
from jettison.insight.origins import Origins, Step, recall, remember
from jettison.insight.report import UNKNOWN, subject
from jettison.location import Location
from jettison.oci.config import History
from jettison.store.base import Layer
from jettison.store.store import Store
from tests.unit.exporters.conftest import document, file, layer

STEPS = (
    Step("COPY --from=build /a\udcff /a", "final", "build", Location("Dockerfile", 7, 9)),
    Step("RUN make", "final", "final"),
)
ORIGINS = Origins("base:1", 2, STEPS, (("build", ("aa", "bb")),))
LAYERS = [Layer(name) for name in "abcd"]


def tagged(store: Store, layers: list[str], name: str) -> ImageDocument:
    image = document(store, layers)
    tag_image(store, image, [name])
    return image


def test_what_is_remembered_comes_back(store: Store) -> None:
    image = tagged(store, [layer(store, [file("a", b"1")])], "app")
    assert recall(store.db, image.manifest_digest) is None
    remember(store.db, image.manifest_digest, ORIGINS)
    assert recall(store.db, image.manifest_digest) == ORIGINS


def test_it_is_forgotten_when_no_name_leads_to_the_image(store: Store) -> None:
    old = tagged(store, [layer(store, [file("a", b"1")])], "app")
    remember(store.db, old.manifest_digest, ORIGINS)
    new = tagged(store, [layer(store, [file("a", b"2")])], "app")
    remember(store.db, new.manifest_digest, ORIGINS)
    assert recall(store.db, old.manifest_digest) is None
    assert recall(store.db, new.manifest_digest) == ORIGINS


def test_only_a_new_name_is_worth_noting(store: Store) -> None:
    image = document(store, [layer(store, [file("a", b"1")])])
    calls: list[int] = []
    for names in (["app"], ["app"], ["app", "other"]):
        tag_image(store, image, names, lambda: calls.append(1))
    assert len(calls) == 2


def test_the_base_image_is_the_largest_one_below(store: Store) -> None:
    ids = [layer(store, [file(name, b"1")]) for name in "abcd"]
    tagged(store, ids[:1], "small")
    tagged(store, ids[:2], "large:2")
    tagged(store, ids[1:3], "other")
    image = tagged(store, ids[:3], "app")
    assert base_layers(store, image.config.diff_ids) == ("large:2", 2)
    assert base_layers(store, document(store, ids[3:]).config.diff_ids) == ("", 0)


def test_an_image_with_origins_is_described_by_them() -> None:
    history = [History(created_by="base 1"), History(created_by="ENV", empty_layer=True), History()]
    image = subject("app", LAYERS, history, ORIGINS)
    assert [step.text for step in image.steps] == ["base 1", UNKNOWN, *(step.text for step in STEPS)]
    assert (image.base, image.base_layers, image.origins_known) == ("base:1", 2, True)


def test_an_image_without_origins_or_with_those_of_another_by_its_history() -> None:
    history = [History(created_by="RUN   a\n b"), *[History()] * 9]
    for origins in (None, Origins("base:1", 1, STEPS)):
        image = subject("app", LAYERS, history, origins, 1, "near:1")
        assert [step.text for step in image.steps] == ["RUN a b", UNKNOWN, UNKNOWN, UNKNOWN]
        assert (image.base, image.base_layers, image.origins_known) == ("near:1", 1, False)
