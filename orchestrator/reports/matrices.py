"""The build matrix as a document, and in the forms that CI systems read.

GitHub reads ``strategy.matrix`` from JSON (https://docs.github.com/actions/reference/workflows-and-actions/contexts,
fromJSON); GitLab runs a child pipeline from a file that a job made, or takes variables from a dotenv report.
"""

from __future__ import annotations

import json
import shlex
from typing import Any, Final, Literal

from pydantic import Field

from orchestrator import __version__
from orchestrator.reports.records import Part

SCHEMA: Final = "hybrid-ci.matrix/v1"


class MatrixImage(Part):
    """One image, and why it is to be built, or is not."""

    name: str
    repository: str = Field(description="Registry and path.")
    tag: str
    reason: str


class MatrixDocument(Part):
    """Which images a commit changes."""

    schema_: Literal["hybrid-ci.matrix/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that made it.")
    application: str
    commit: str
    base: str | None = Field(description="Commit that it was compared with; null when there was none.")
    reason: str | None = Field(description="Why there was nothing to compare with, so that all images are in it.")
    images: list[MatrixImage] = Field(description="To be built, each on a runner of its own.")
    held: list[MatrixImage] = Field(description="Changed, and in the registry already; the handoff takes them there.")
    unchanged: list[MatrixImage]

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"

    def for_github(self) -> str:
        """One line for ``fromJSON``. Its ``include`` is empty when there is nothing to build: GitHub calls an empty
        matrix an error, so the job that uses it needs a condition."""
        return json.dumps({"include": [{"image": one.name} for one in self.images]}) + "\n"

    def for_dotenv(self) -> str:
        """Variables for a dotenv report."""
        names = " ".join(one.name for one in self.images)
        return f"HYBRID_CI_IMAGES={names}\nHYBRID_CI_IMAGE_COUNT={len(self.images)}\n"

    def for_gitlab(self, config: str) -> str:
        """A child pipeline: a job an image, and one that joins their records. JSON, which YAML is a superset of.

        The handoff is told what to wait for: a child pipeline does not know what its parent was started by. It runs in
        the environment that the component's does, to which the GitOps token is scoped.
        """
        command = ["hybrid-ci", *(["--config", config] if config != "hybrid-ci.yaml" else [])]
        jobs: dict[str, Any] = {"stages": ["build", "handoff"], "variables": {"GIT_DEPTH": "0"}}
        for image in self.images:
            record = f"records/{image.name}.json"
            jobs[f"build {image.name}"] = {
                "stage": "build",
                "script": [shlex.join([*command, "build", "--image", image.name, "--record", record])],
                "artifacts": {"paths": [record]},
            }
        only = [word for image in (*self.images, *self.held) for word in ("--only", image.name)]
        if only:
            script = shlex.join([*command, "handoff", "--records", "records/*.json", *only])
            environment = {"name": "gitops", "action": "access"}
            jobs["hand off"] = {"stage": "handoff", "environment": environment, "script": [script]}
        else:
            jobs["hand off"] = {"stage": "handoff", "script": ["echo 'this commit changes no image'"]}
        return json.dumps(jobs, indent=2) + "\n"


def matrix_schema() -> dict[str, Any]:
    """The JSON Schema of the matrix."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MatrixDocument.model_json_schema()}
