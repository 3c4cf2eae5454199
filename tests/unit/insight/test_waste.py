"""Every kind of waste: what counts, how many bytes, who is to blame, and what to write in its place."""

from __future__ import annotations

import pytest

from jettison.insight.advice import advice
from jettison.insight.report import Report
from jettison.store.base import Entry
from jettison.store.store import Store
from tests.unit.insight.images import file, gone, link, measured

BIG = 20_000
pytestmark = pytest.mark.parametrize("blobs", [False, True], ids=["trees", "blobs"])


def told(report: Report) -> list[tuple[str, int, int, int, int]]:
    return [(w.why, w.owner, w.culprit, w.files, w.size) for w in report.waste]


def test_an_image_without_waste(store: Store, blobs: bool) -> None:
    report = measured(store, [("COPY a", [file("a", BIG)]), ("COPY b", [file("b", BIG)])], blobs=blobs)
    assert (told(report), report.wasted, report.waste_percent) == ([], 0, 0)
    assert report.size == 2 * BIG


def test_a_file_that_a_later_layer_replaces(store: Store, blobs: bool) -> None:
    layers = [("COPY a", [file("d/a", BIG)]), ("RUN make", [file("d/a", BIG + 1)])]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("overwritten", 0, 1, 1, BIG)]
    assert [part.wasted for part in report.parts] == [BIG, 0]
    assert "Dockerfile:1" in advice(report, report.waste[0])


def test_equal_size_and_time_but_other_content_is_overwritten(store: Store, blobs: bool) -> None:
    old, new = file("a", b"x" * BIG), file("a", b"y" * BIG)
    assert told(measured(store, [("COPY a", [old]), ("RUN x", [new])], blobs=blobs))[0][0] == "overwritten"


def test_files_that_are_deleted_one_by_one_with_their_folder_or_by_a_file(store: Store, blobs: bool) -> None:
    lower = [file("a", 100), file("d/b", 200), file("d/e/c", 300), file("kept", 400), file("o/f", 500)]
    upper: list[tuple[Entry, bytes | None]] = [
        gone("a"),
        (Entry("d", "symlink", 0o777, link="kept"), None),
        (Entry("o", "opaque"), None),
    ]
    report = measured(store, [("RUN make", lower), ("RUN rm", upper)], blobs=blobs)
    assert told(report) == [("deleted", 0, 1, 4, 1100)]
    assert "same RUN (Dockerfile:0)" in advice(report, report.waste[0])


def test_deleting_from_the_base_image_is_told_to_be_in_vain(store: Store, blobs: bool) -> None:
    report = measured(store, [("base", [file("a", 100)]), ("RUN rm", [gone("a")])], 1, blobs)
    assert told(report) == [("deleted", 0, 1, 1, 100)]
    assert "smaller base image" in advice(report, report.waste[0])


def test_chown_stores_files_again(store: Store, blobs: bool) -> None:
    layers = [
        ("COPY . /app", [file("app/a", BIG), file("app/small", 50)]),
        ("RUN chown -R 7:7 /app", [file("app/a", BIG, uid=7), file("app/small", 50, uid=7)]),
    ]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("stored again", 0, 1, 2, BIG + 50)]
    assert report.waste[0].changes == ("owner",)
    assert advice(report, report.waste[0]) == "COPY --chown=7:7 in Dockerfile:0, instead of Dockerfile:1"


def test_a_list_of_packages_is_compared_as_any_file(store: Store, blobs: bool) -> None:
    layers = [
        ("COPY . /app", [file("app/package.json", BIG)]),
        ("RUN chown", [file("app/package.json", BIG, uid=7, when=11)]),
    ]
    assert told(measured(store, layers, blobs=blobs)) == [("stored again", 0, 1, 1, BIG)]


def test_chmod_stores_files_again(store: Store, blobs: bool) -> None:
    layers = [("ADD a /", [file("a", BIG)]), ("RUN chmod 755 /a", [file("a", BIG, mode=0o755)])]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("stored again", 0, 1, 1, BIG)]
    assert advice(report, report.waste[0]) == "ADD --chmod=755 in Dockerfile:0, instead of Dockerfile:1"


def test_chown_of_what_a_run_made_belongs_into_that_run(store: Store, blobs: bool) -> None:
    layers = [("RUN make", [file("a", BIG)]), ("RUN chown 7 /a", [file("a", BIG, uid=7)])]
    report = measured(store, layers, blobs=blobs)
    assert advice(report, report.waste[0]) == "do it in the RUN that makes them (Dockerfile:0)"


def test_touch_stores_large_files_again(store: Store, blobs: bool) -> None:
    layers = [("COPY a", [file("a", BIG)]), ("RUN touch /a", [file("a", BIG, when=99)])]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("stored again", 0, 1, 1, BIG)]
    assert report.waste[0].changes == ("time",)


def test_one_name_of_a_hard_link_that_is_changed_stores_the_file_again(store: Store, blobs: bool) -> None:
    lower = [file("a", BIG), link("b", "a"), link("c", "a")]
    layers = [("RUN ln", lower), ("RUN chmod", [file("b", lower[0][1] or b"", 0o755)])]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("stored again", 0, 1, 1, BIG)]


def test_a_hard_link_is_no_second_copy_and_survives_its_other_name(store: Store, blobs: bool) -> None:
    layers = [("RUN ln", [file("a", BIG), link("b", "a")]), ("RUN rm /a", [gone("a")])]
    report = measured(store, layers, blobs=blobs)
    assert (told(report), report.size) == ([], BIG)


def test_contents_that_are_there_twice(store: Store, blobs: bool) -> None:
    same = b"same" * 5000
    layers = [
        ("base", [file("base/x", same)]),
        ("COPY a", [file("a", same), file("b", same), file("other", b"else" * 5000), file("tiny", b"1")]),
        ("COPY c", [file("c", same), file("tiny2", b"1")]),
    ]
    report = measured(store, layers, 1, blobs)
    assert told(report) == [("duplicate", 0, 1, 2, 2 * len(same)), ("duplicate", 0, 2, 1, len(same))]
    assert (report.waste[0].paths, report.waste[0].same_as) == (("a", "b"), ("base/x", "base/x"))
    assert [part.wasted for part in report.parts] == [0, 2 * len(same), len(same)]


def test_what_the_base_image_wastes_by_itself_is_not_counted(store: Store, blobs: bool) -> None:
    same = b"same" * 5000
    layers = [
        ("base", [file("a", 100), file("b", 200), file("x", same), file("y", same)]),
        ("base", [file("a", 300), gone("b")]),
        ("COPY c", [file("c", 400)]),
    ]
    report = measured(store, layers, 2, blobs)
    assert (told(report), report.base_waste) == ([], 300)


def test_what_is_written_three_times_is_wasted_twice(store: Store, blobs: bool) -> None:
    layers = [("RUN 1", [file("a", 100)]), ("RUN 2", [file("a", 200)]), ("RUN 3", [file("a", 300)])]
    report = measured(store, layers, blobs=blobs)
    assert told(report) == [("overwritten", 1, 2, 1, 200), ("overwritten", 0, 1, 1, 100)]
    assert report.waste_percent == 50
