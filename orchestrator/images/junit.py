"""Reads JUnit XML that came out of a container: hostile until proven otherwise.

There is no one standard; this follows what Surefire, pytest and go-junit-report agree on: ``testcase`` elements, each
with ``failure``, ``error`` or ``skipped`` inside it. The cases are counted, a report's own totals are not believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from orchestrator.core.errors import WorkFailed
from orchestrator.core.release import CaseCounts
from orchestrator.core.text import printable
from orchestrator.images.base import MEBIBYTE

_MAX_BYTES = 16 * MEBIBYTE
_MAX_DEPTH = 64
_MAX_CASES = 200_000
_MAX_NAMED = 50
_MAX_NAME = 200


class ReportRefused(WorkFailed):
    """A test report is missing, broken or hostile."""


@dataclass(frozen=True, slots=True)
class JUnitReport:
    """What the reports say together: counts, and the names of the cases that failed (the first fifty)."""

    cases: CaseCounts
    failed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing failed and something ran."""
        return self.cases.tests > 0 and not self.cases.failures and not self.cases.errors


def read_reports(files: Mapping[str, bytes], where: str) -> JUnitReport:
    """Add up the reports in these files (of a folder: those that end in ``.xml``). Raises ReportRefused."""
    chosen = dict(files) if len(files) == 1 else {path: files[path] for path in files if path.endswith(".xml")}
    if not chosen:
        raise ReportRefused(
            "the test left no JUnit report", where=where, hint="let it write one there, or remove `junit` from the test"
        )
    return _sum(_read(content, f"{where} ({path})") for path, content in sorted(chosen.items()))


def _sum(reports: Iterable[JUnitReport]) -> JUnitReport:
    tests = failures = errors = skipped = 0
    failed: list[str] = []
    for report in reports:
        tests += report.cases.tests
        failures += report.cases.failures
        errors += report.cases.errors
        skipped += report.cases.skipped
        failed += report.failed
    return JUnitReport(CaseCounts(tests, failures, errors, skipped), tuple(failed[:_MAX_NAMED]))


def _read(content: bytes, where: str) -> JUnitReport:
    if len(content) > _MAX_BYTES:
        raise ReportRefused(f"the JUnit report is larger than {_MAX_BYTES // MEBIBYTE} MiB", where=where)
    counter = _Counter(where)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = counter.doctype
    parser.StartElementHandler = counter.start
    parser.EndElementHandler = counter.end
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ReportRefused(
            f"the JUnit report is not well-formed XML: {expat.ErrorString(error.code)}",
            where=f"{where}:{error.lineno}",
        ) from None
    except (ValueError, LookupError):
        raise ReportRefused("the JUnit report has an encoding that is not known", where=where) from None
    if not counter.is_report:
        raise ReportRefused("the file is not a JUnit report: it has no testsuite", where=where)
    return counter.report


@dataclass
class _Counter:
    """Sees the document's events; keeps counts and a few names, no tree."""

    where: str
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    is_report: bool = False
    _depth: int = 0
    _case: str | None = None
    _verdict: str | None = None

    @property
    def report(self) -> JUnitReport:
        return JUnitReport(CaseCounts(self.tests, self.failures, self.errors, self.skipped), tuple(self.failed))

    def doctype(self, *_: object) -> None:
        # Without a document type there are no entities, so neither expansion bombs nor files of ours in a report.
        raise ReportRefused("the JUnit report declares a document type; that is not read", where=self.where)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ReportRefused(f"the JUnit report is nested deeper than {_MAX_DEPTH}", where=self.where)
        if self._depth == 1:
            self.is_report = name in ("testsuites", "testsuite")
        if name == "testcase" and self._case is None:
            self._begin_case(attributes)
        elif self._case is not None and self._verdict is None and name in ("failure", "error", "skipped"):
            self._verdict = name

    def end(self, name: str) -> None:
        self._depth -= 1
        if name != "testcase" or self._case is None:
            return
        self.failures += self._verdict == "failure"
        self.errors += self._verdict == "error"
        self.skipped += self._verdict == "skipped"
        if self._verdict in ("failure", "error") and len(self.failed) < _MAX_NAMED:
            self.failed.append(self._case)
        self._case = self._verdict = None

    def _begin_case(self, attributes: dict[str, str]) -> None:
        self.tests += 1
        if self.tests > _MAX_CASES:
            raise ReportRefused(f"the JUnit report has more than {_MAX_CASES} cases", where=self.where)
        parts = (attributes.get("classname", ""), attributes.get("name", ""))
        self._case = printable(".".join(filter(None, parts)))[:_MAX_NAME] or "(no name)"
