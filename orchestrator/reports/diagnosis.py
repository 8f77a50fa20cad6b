"""What ``doctor`` found, as a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import Field

from orchestrator import __version__
from orchestrator.core.findings import Finding, Severity
from orchestrator.reports.records import Part

SCHEMA: Final = "hybrid-ci.diagnosis/v1"


class FindingRecord(Part):
    """One thing that was found."""

    check: str = Field(description="What was looked at.")
    severity: Literal["ok", "unknown", "warning", "refusal"]
    what: str
    why: str = Field(description="Why it matters; empty where there is nothing to fix.")
    fix: str


class Diagnosis(Part):
    """All findings, in a fixed order of checks."""

    schema_: Literal["hybrid-ci.diagnosis/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that looked.")
    application: str
    environment: str
    refused: bool = Field(description="A release would be refused, or fail.")
    findings: list[FindingRecord]

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"


def diagnosis(application: str, environment: str, findings: Sequence[Finding]) -> Diagnosis:
    """The findings as a document."""
    return Diagnosis(
        application=application,
        environment=environment,
        refused=any(one.severity is Severity.REFUSAL for one in findings),
        findings=[
            FindingRecord(check=one.check, severity=one.severity.value, what=one.what, why=one.why, fix=one.fix)
            for one in findings
        ],
    )


def diagnosis_schema() -> dict[str, Any]:
    """The JSON Schema of the diagnosis."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Diagnosis.model_json_schema()}
