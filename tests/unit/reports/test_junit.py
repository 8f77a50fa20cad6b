"""The JUnit report: what it says, and what it keeps to itself."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from orchestrator.ci.redact import redactor
from orchestrator.core.release import TestResult
from orchestrator.core.secret import Secret
from orchestrator.reports.junit import as_junit


@pytest.mark.parametrize("value", ["canary<with&marks>", 'canary"with"quotes', "canary-plain-value"])
def test_a_secret_in_a_name_is_masked_however_xml_would_write_it(value: str) -> None:
    redactor.add(Secret(value, "the test"))
    text = as_junit([TestResult("api", f"logs in with {value}", False, 1.0)])
    case = ElementTree.fromstring(text).find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == "logs in with ***"


def test_each_image_is_a_suite_and_each_test_a_case() -> None:
    tests = [
        TestResult("web", "smoke", True, 0.5),
        TestResult("api", "unit", False, 1.0),
        TestResult("api", "x", True, 0),
    ]
    suites = ElementTree.fromstring(as_junit(tests)).findall("testsuite")
    assert [(one.get("name"), one.get("tests"), one.get("failures")) for one in suites] == [
        ("api", "2", "1"),
        ("web", "1", "0"),
    ]
