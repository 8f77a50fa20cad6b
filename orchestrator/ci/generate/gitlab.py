"""GitLab CI: a pipeline that includes the component of hybrid-ci's own project."""

from __future__ import annotations

import json

from orchestrator.ci.generate import Application, made_by

FILE = ".gitlab-ci.yml"


def pipeline(application: Application) -> str:
    """The application's pipeline: a commit on the branch releases."""
    source = application.uses
    ref = source.ref if source.pinned else source.version
    lines = [
        f"# {made_by('gitlab', application.config)}",
        "stages: [build, handoff]",
        "",
        "include:",
        f"  - component: $CI_SERVER_FQDN/{source.repository}/release@{ref}",
        "    inputs:",
        f"      images: [{', '.join(json.dumps(image) for image in application.images)}]",
        f"      branch: {json.dumps(application.branch)}",
    ]
    if application.config != "hybrid-ci.yaml":
        lines.append(f"      config: {json.dumps(application.config)}")
    if not source.pinned:
        lines.append(f"      version: {json.dumps(source.version)}")
    return "\n".join(lines) + "\n"
