"""The tests of images as a JUnit report, for CI systems that show such.

What GitLab and Jenkins read of it: https://docs.gitlab.com/ci/testing/unit_test_reports/
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from xml.sax.saxutils import quoteattr

from orchestrator.ci.redact import redactor
from orchestrator.core.release import TestResult
from orchestrator.core.text import printable


def as_junit(tests: Iterable[TestResult]) -> str:
    """One suite for each image, one case for each of its tests."""
    suites = [_suite(image, list(results)) for image, results in groupby(sorted(tests, key=_image_of), key=_image_of)]
    return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n' + "".join(suites) + "</testsuites>\n"


def _image_of(test: TestResult) -> str:
    return test.image


def _suite(image: str, tests: list[TestResult]) -> str:
    failed = sum(not test.passed for test in tests)
    cases = "".join(_case(test) for test in tests)
    return f'  <testsuite name={_quoted(image)} tests="{len(tests)}" failures="{failed}">\n{cases}  </testsuite>\n'


def _case(test: TestResult) -> str:
    opening = f'    <testcase classname={_quoted(test.image)} name={_quoted(test.name)} time="{test.seconds:.3f}"'
    if test.passed:
        return f"{opening}/>\n"
    counted = (
        f"{test.cases.failures + test.cases.errors} of {test.cases.tests} cases failed" if test.cases else "it failed"
    )
    return f"{opening}><failure message={_quoted(counted)}/></testcase>\n"


def _quoted(text: str) -> str:
    return quoteattr(redactor(printable(text)))  # what is quoted first would be no spelling of a secret that we know
