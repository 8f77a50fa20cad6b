"""JSON Schemas of the configuration files, for editors."""

from __future__ import annotations

from typing import Any

from orchestrator.config.application import ApplicationConfig
from orchestrator.config.policy import PolicyConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def application_schema() -> dict[str, Any]:
    """The schema of ``hybrid-ci.yaml``."""
    return {"$schema": _DIALECT, **ApplicationConfig.model_json_schema()}


def policy_schema() -> dict[str, Any]:
    """The schema of ``.hybrid-ci/environments.yaml``."""
    return {"$schema": _DIALECT, **PolicyConfig.model_json_schema()}
