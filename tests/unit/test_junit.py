"""Test reports: what they count, and files that are none, broken or hostile."""

from __future__ import annotations

import io

import pytest

from jettison.junit import MOST_FAILING, NotReadable, Report, read

SURE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="all" time="99">
  <testsuite name="one" tests="7" failures="9">
    <properties><property name="a" value="b"/></properties>
    <testcase classname="a.B" name="good" time="0.25"><system-out>said</system-out></testcase>
    <testcase classname="a.B" name="bad" time="1,000.5"><failure message="&#10; 1 != 2&#10;more" type="E"/>
      <failure message="second"/></testcase>
    <testcase name="text"><failure type="AssertionError">
      Traceback: first
      second</failure></testcase>
    <testcase classname="a.C" name="boom" time="nan"><skipped/><error type="ValueError"/></testcase>
    <testcase classname="a.C" name="later" time="-3"><skipped message="not now"/></testcase>
  </testsuite>
  <testsuite name="two"><testsuite name="inner">
    <testcase name="flaky"><flakyFailure message="once"/></testcase>
    <testcase><failure/></testcase>
  </testsuite></testsuite>
</testsuites>
"""


def report(text: str | bytes, most: int = 1 << 20) -> Report | None:
    return read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), most)


def test_test_cases_are_counted_by_what_became_of_them() -> None:
    assert report(SURE) == Report(
        1, 7, 3, 1, 1, 1000.75,
        ["a.B.bad: 1 != 2", "text: Traceback: first", "a.C.boom: ValueError", "failure"],
    )  # fmt: skip


def test_one_suite_may_be_the_root_and_names_may_have_a_namespace() -> None:
    text = (
        '<j:testsuite xmlns:j="urn:j"><j:testcase name="x"><j:error message="no"/></j:testcase></j:testsuite>'
    )
    assert report(text) == Report(1, 1, errors=1, failing=["x: no"])
    assert report("<testsuites/>") == Report(1)
    latin = '<?xml version="1.0" encoding="iso-8859-1"?>'
    latin += '<testsuite><testcase name="\xe4"><error/></testcase></testsuite>'
    assert report(latin.encode("latin-1")) == Report(1, 1, errors=1, failing=["\xe4"])


@pytest.mark.parametrize("text", ["<html><body/></html>", "<coverage><testsuite/>", '<a b="c"/><oops'])
def test_other_xml_is_no_report(text: str) -> None:
    assert report(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no element found"),
        ("no xml", "line 1"),
        ("<testsuite><testcase></testsuite>", "mismatched tag"),
        ("<testsuite>\n<testcase>", "line 2: no element found"),
        ("<testsuite>" + "<x>" * 100, "more elements"),
        ("<testsuite>" + "<x/>" * 300_000, "more elements"),
        ("<testsuite>&nbsp;</testsuite>", "undefined entity"),
        ('<!DOCTYPE t [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite>&b;</testsuite>', "document type"),
        ('<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuite/>', "document type"),
        ('<?xml version="1.0" encoding="none"?><testsuite/>', "encoding"),
        (f"<testsuite>{'<x/>' * 99}<testcase name='{'x' * (1 << 21)}'/></testsuite>", "a tag of more than"),
        (f"<testsuite><!-- {'x' * (1 << 21)} --></testsuite>", "a tag of more than"),
        (f"<testsuite>{'x' * (5 << 20)}</testsuite>", "more than 5 MiB"),
    ],
)
def test_broken_and_hostile_files_are_named(text: str, said: str) -> None:
    with pytest.raises(NotReadable) as caught:
        report(text, 5 << 20)
    assert said in str(caught.value)


def test_what_is_kept_is_bounded() -> None:
    case = f'<testcase name="{"n" * 5000}"><failure message="{"m" * 5000}"/></testcase>'
    found = report(f"<testsuite>{case * 50}</testsuite>")
    assert found is not None and found.failures == 50
    assert len(found.failing) == MOST_FAILING and max(map(len, found.failing)) < 500
    text = report(
        f"<testsuite><testcase><system-out>{'x' * (3 << 20)}</system-out></testcase></testsuite>", 4 << 20
    )
    assert text == Report(1, 1)
    cdata = f"<![CDATA[{'x' * (3 << 20)}]]>"
    assert report(f"<testsuite><testcase><error>{cdata}</error></testcase></testsuite>", 4 << 20) == Report(
        1, 1, errors=1, failing=["x" * 200]
    )
    deep = report("<testsuite>" + "<x>" * 90 + "</x>" * 90 + "</testsuite>")
    assert deep == Report(1)
    found.add(found)
    assert found.failures == 100 and len(found.failing) == MOST_FAILING
