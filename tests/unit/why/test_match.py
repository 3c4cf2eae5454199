"""Which step of an earlier build is meant, and what is said of listings: pure logic."""

from __future__ import annotations

import pytest

from jettison.store.listings import Listed
from jettison.why.base import Build, Step, from_plain, to_plain
from jettison.why.explain import explain
from jettison.why.files import changes
from jettison.why.match import pairs
from jettison.why.ops import short


def build(generation: int = 1, state: str = "ran", /, **stages: list[str]) -> Build:
    steps = []
    for stage, texts in stages.items():
        for number, text in enumerate(texts, 1):
            kind = {"RUN": "run", "COPY": "copy"}[text.split()[0]]
            op = {"type": kind, "args": [text], "env": []}
            key = f"{text} of generation {generation}"
            name = f"[{stage} {number}/{len(texts)}] {text}"
            steps.append(Step(f"{stage}{number}", stage, name, (number, number), op, key, (), state, "r"))
    return Build(1.0, "/f", "/f/Dockerfile", generation, {}, tuple(steps))


def paired(new: Build, old: Build) -> dict[str, str]:
    return {new.by_id[mine].text: step.text for mine, step in pairs(new.steps, old.steps).items()}


def test_an_inserted_instruction_shifts_nothing() -> None:
    found = paired(build(a=["RUN 1", "RUN new", "RUN 2"]), build(a=["RUN 1", "RUN 2"]))
    assert found == {"RUN 1": "RUN 1", "RUN 2": "RUN 2"}


def test_a_changed_instruction_is_the_one_in_its_place() -> None:
    found = paired(build(a=["RUN 1", "RUN make", "RUN 3"]), build(a=["RUN 1", "RUN ninja -C out", "RUN 3"]))
    assert found["RUN make"] == "RUN ninja -C out"


def test_of_several_the_most_alike_is_taken() -> None:
    old = build(a=["RUN apt-get install curl", "RUN 3"])
    found = paired(build(a=["RUN echo hello there", "RUN apt-get install curl git", "RUN 3"]), old)
    assert found == {"RUN apt-get install curl git": "RUN apt-get install curl", "RUN 3": "RUN 3"}


def test_a_renamed_stage_is_known_by_its_instructions() -> None:
    new = build(**{"stage-1": ["RUN x", "RUN y"], "builder": ["RUN a", "RUN b"]})
    old = build(**{"stage-0": ["RUN x", "RUN y"], "build": ["RUN a", "RUN c"]})
    assert paired(new, old) == {t: t for t in ("RUN x", "RUN y", "RUN a")} | {"RUN b": "RUN c"}


def test_another_kind_of_instruction_is_no_pair() -> None:
    assert paired(build(a=["COPY 1"]), build(a=["RUN 1"])) == {}


def test_a_build_survives_being_kept() -> None:
    made = build(a=["RUN 1"])
    assert from_plain(to_plain(made)) == made


def test_an_earlier_generation_is_named() -> None:
    [item] = explain(build(2, a=["RUN 1"]), [build(1, a=["RUN 1"])], lambda digest: None)
    assert item.reasons[0].text == "an earlier jettison made its record (cache generation 1 → 2)"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("ran", "its record was removed from the cache"),
        ("failed", "it failed the last time"),
        ("unsure", "its files changed while they were copied the last time"),
        ("", "new step: the build before ended before it was reached"),
    ],
)
def test_an_equal_key_is_explained_by_what_became_of_it(state: str, sentence: str) -> None:
    [item] = explain(build(1, a=["RUN 1"]), [build(1, state, a=["RUN 1"])], lambda digest: None)
    assert item.reasons[0].text == sentence


def listed(path: str, digest: str = "d", **more: object) -> Listed:
    values = {"kind": "file", "mode": 0o644, "owner": "", "link": "", **more}
    return Listed(path, digest=digest, **values)  # type: ignore[arg-type]


def test_an_owner() -> None:
    old, new = listed("a", owner="0:0"), listed("a", owner="5:6")
    assert changes([old], [new]) == "a owner 0:0 → 5:6"


def test_equal_listings_say_nothing() -> None:
    assert changes([listed("a")], [listed("a")]) == ""


def test_a_path_that_is_ignored_now_is_not_called_removed() -> None:
    assert changes([listed("a"), listed("b")], [], {"a": "x:1"}.get) == "a is excluded by x:1; b removed"  # type: ignore[arg-type]


def test_passwords_are_left_out_and_long_texts_cut() -> None:
    assert short("ADD https://me:word@host/x  /y") == "ADD https://…@host/x /y"
    assert len(short("x" * 500)) == 80
