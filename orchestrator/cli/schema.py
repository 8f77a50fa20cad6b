"""``hybrid-ci schema``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli.app import command_app, examples

app = command_app()


class Document(StrEnum):
    """What a schema can be printed of."""

    CONFIG = "config"
    POLICY = "policy"
    RECORD = "record"
    PLAN = "plan"
    BUILD = "build"
    MATRIX = "matrix"
    DIAGNOSIS = "diagnosis"
    PROMOTION = "promotion"


@app.command(epilog=examples("hybrid-ci schema policy > environments.schema.json"))
def schema(
    document: Annotated[
        Document,
        typer.Argument(help="Which document: config, policy, record, plan, build, matrix, diagnosis or promotion."),
    ] = Document.CONFIG,
) -> None:
    """Print the JSON Schema of a configuration file or a record."""
    import json

    from orchestrator.config.schema import application_schema, policy_schema
    from orchestrator.reports.built import build_schema
    from orchestrator.reports.diagnosis import diagnosis_schema
    from orchestrator.reports.matrices import matrix_schema
    from orchestrator.reports.plans import plan_schema
    from orchestrator.reports.promotions import promotion_schema
    from orchestrator.reports.records import record_schema

    make = {
        Document.CONFIG: application_schema,
        Document.POLICY: policy_schema,
        Document.RECORD: record_schema,
        Document.PLAN: plan_schema,
        Document.BUILD: build_schema,
        Document.MATRIX: matrix_schema,
        Document.DIAGNOSIS: diagnosis_schema,
        Document.PROMOTION: promotion_schema,
    }
    typer.echo(json.dumps(make[document](), indent=2))
