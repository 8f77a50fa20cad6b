"""The plan of a release as a document: what ``plan --out`` writes and ``release --plan`` holds the world against."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, ValidationError

from orchestrator import __version__
from orchestrator.core.errors import ConfigurationError
from orchestrator.reports.records import Document, Part, SourceRecord

SCHEMA: Final = "hybrid-ci.plan/v1"
_LARGEST = 64 * 1024 * 1024


class StagePlan(Part):
    """One stage of the graph."""

    name: str
    kind: str
    needs: list[str]
    action: Literal["run", "skip"]
    reason: str | None = Field(description="Why it is skipped.")


class ImagePlan(Part):
    """One image, and what would be done about it."""

    name: str
    repository: str
    tag: str
    action: Literal["build", "skip"]
    reason: str
    tests: str = Field(description="Whether it would be tested, and why.")
    digest: str | None = Field(description="What the registry serves under this tag now, if anything.")
    key: str | None = Field(description="Content key; null where nobody looked, or it is not known before the build.")
    key_digest: str | None = Field(description="What the registry serves under the content key now, if anything.")
    bases: dict[str, str] = Field(
        description="What it would be built upon: names in its Dockerfile, each with the digest that it has now, or "
        "with the content key of an image of this application."
    )


class PinPlan(Part):
    """One pin that the handoff would move."""

    path: str
    line: int
    place: str
    before: str
    repository: str
    tag: str | None
    digest: str | None = Field(description="Null where only the push gives it.")


class PlanDocument(Document):
    """Everything that a release with this plan does, and everything that the plan stands on."""

    noun: ClassVar[str] = "plan"
    lost: ClassVar[str] = "name a file in a folder that we may write"

    schema_: Literal["hybrid-ci.plan/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that made the plan.")
    created: datetime
    application: str
    environment: str
    only: list[str] = Field(description="Images that were asked for; empty for all.")
    no_skip: bool = Field(description="Build and test again what is released already.")
    source: SourceRecord
    configuration: str = Field(description="sha256 of hybrid-ci.yaml.")
    policy: str = Field(description="sha256 of the policy on the base branch.")
    base: str = Field(description="Commit of the base branch that was looked at.")
    stages: list[StagePlan]
    images: list[ImagePlan]
    pins: list[PinPlan]
    files: dict[str, str] = Field(description="Files that the handoff edits, and the sha256 of what they hold now.")
    diff: str = Field(description="The edits as a unified diff.")


def read_plan(file: Path) -> PlanDocument:
    """Read what ``plan --out`` wrote. Raises ConfigurationError for what is no plan, or one of another version."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST)
        return PlanDocument.model_validate_json(content)
    except OSError as error:
        reason = error.strerror or "unknown reason"
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    raise ConfigurationError(
        f"the plan can't be read: {reason}", where=str(file), hint="make one with hybrid-ci plan --out FILE"
    )


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PlanDocument.model_json_schema()}
