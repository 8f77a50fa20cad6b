"""JUnit reports come out of a tested container: they are counted, not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.release import CaseCounts
from orchestrator.images.junit import JUnitReport, ReportRefused, read_reports

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="tests.test_a" name="test_one" time="0.1" />
<testcase classname="tests.test_a" name="test_two"><failure message="no">assert 0</failure></testcase>
<testcase classname="tests.test_a" name="test_three"><error message="no"/></testcase>
<testcase classname="tests.test_a" name="test_four"><skipped/></testcase>
</testsuite></testsuites>"""


def read(content: bytes) -> JUnitReport:
    return read_reports({"junit.xml": content}, "/out/junit.xml")


def test_cases_are_counted_by_their_outcome() -> None:
    report = read(PYTEST)
    assert report.cases == CaseCounts(4, 1, 1, 1)
    assert report.failed == ("tests.test_a.test_two", "tests.test_a.test_three")
    assert not report.passed


def test_totals_of_the_report_are_not_believed() -> None:
    report = read(b'<testsuite tests="9" failures="0"><testcase name="a"><failure/></testcase></testsuite>')
    assert report.cases == CaseCounts(1, 1)


def test_a_report_without_cases_did_not_pass() -> None:
    assert not read(b'<testsuite tests="5"/>').passed


def test_nested_suites_are_counted() -> None:
    report = read(b"<testsuites><testsuite><testsuite><testcase name='a'/></testsuite></testsuite></testsuites>")
    assert report.cases == CaseCounts(1)
    assert report.passed


def test_a_case_with_two_failures_counts_once() -> None:
    report = read(b"<testsuite><testcase name='a'><failure/><failure/><error/></testcase></testsuite>")
    assert report.cases == CaseCounts(1, 1)


def test_the_reports_of_a_folder_are_added_up() -> None:
    one = b"<testsuite><testcase name='a'/></testsuite>"
    report = read_reports({"out/a.xml": one, "out/b.xml": one, "out/readme.txt": b"no xml"}, "/out")
    assert report.cases == CaseCounts(2)


def test_one_file_may_have_any_name() -> None:
    assert read_reports({"report": b"<testsuite><testcase/></testsuite>"}, "/report").cases == CaseCounts(1)


@pytest.mark.parametrize("files", [{}, {"out/a.txt": b"", "out/b.txt": b""}])
def test_a_missing_report_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(ReportRefused, match="left no"):
        read_reports(files, "/out")


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>
<testsuite><testcase name="&lol2;"/></testsuite>"""
EXTERNAL = b"""<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&e;"/></testsuite>"""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(BOMB, id="entities"),
        pytest.param(EXTERNAL, id="external entity"),
        pytest.param(b'<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><testsuite/>', id="external type"),
        pytest.param(b'\xff\xfe' + BOMB.decode().replace("1.0\"", "1.0\" encoding=\"utf-16\"").encode("utf-16-le"), id="entities in UTF-16"),  # noqa: E501
        pytest.param(b"<testsuite>&undefined;</testsuite>", id="unknown entity"),
        pytest.param(b"<html/>", id="a web page"),
        pytest.param(b"<testsuite>", id="not closed"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(b"\x00\x01\x02", id="noise"),
        pytest.param(b'<?xml version="1.0" encoding="nonsense"?><testsuite/>', id="unknown encoding"),
        pytest.param(b'<?xml version="1.0" encoding="utf-7"?><testsuite/>', id="odd encoding"),
        pytest.param(b"<testsuite>" * 100, id="deep"),
        pytest.param(b"<a>" * 200_000, id="very deep"),
        pytest.param(b"<testsuite>" + b"<testcase/>" * 200_001 + b"</testsuite>", id="many cases"),
        pytest.param(b"<testsuite>" + b" " * (16 << 20) + b"</testsuite>", id="large"),
    ],
)  # fmt: skip
def test_a_hostile_or_broken_report_is_refused(content: bytes) -> None:
    with pytest.raises(ReportRefused):
        read(content)


def test_names_are_shortened_and_harmless() -> None:
    content = f"<testsuite><testcase name='{'n' * 500}&#13;&#10;\u202eevil'><failure/></testcase></testsuite>".encode()
    (name,) = read(content).failed
    assert len(name) == 200
    assert name.isprintable()


def test_only_the_first_names_are_kept() -> None:
    report = read(b"<testsuite>" + b"<testcase><failure/></testcase>" * 500 + b"</testsuite>")
    assert report.cases.failures == 500
    assert len(report.failed) == 50


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with pytest.raises(ReportRefused):
        read(content)
    with pytest.raises(ReportRefused):
        read(b"<testsuite>" + content)
