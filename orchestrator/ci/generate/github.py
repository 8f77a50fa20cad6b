"""GitHub Actions: short workflows that call the reusable ones of hybrid-ci's own repository."""

from __future__ import annotations

import json
from collections.abc import Iterable

from orchestrator.ci.generate import Application, Environments, Source, made_by

RELEASE_FILE = ".github/workflows/release.yml"
PROMOTE_FILE = ".github/workflows/promote.yml"
_GITHUB_REGISTRY = "ghcr.io"
# Named by the caller, also where they are kept in the environment that the called job runs in: GitHub leaves a called
# workflow without those that nobody names. Of token and App, whichever is not there is empty.
_LOGIN = ("GITOPS_TOKEN", "GITOPS_APP_ID", "GITOPS_APP_KEY")


def release_workflow(application: Application) -> str:
    """The application's workflow: a push to the branch releases."""
    own = any(registry != _GITHUB_REGISTRY for registry in application.registries)
    inputs = [f"config: {json.dumps(application.config)}"] if application.config != "hybrid-ci.yaml" else []
    inputs += ["registry-username: ${{ vars.REGISTRY_USERNAME }}"] if own else []
    lines = [
        f"# {made_by('github', application.config)}",
        "name: release",
        "",
        "on:",
        "  push:",
        f"    branches: [{json.dumps(application.branch)}]",
        "",
        "permissions: {}",
        "",
        "jobs:",
        "  release:",
        "    name: release",
        *_uses(application.uses, "release.yml"),
        "    permissions:",
        "      contents: read",
        "      packages: write # the build jobs push to ghcr.io; the handoff reads",
    ]
    if inputs:
        lines += ["    with:", *(f"      {line}" for line in inputs)]
    lines += ["    secrets:", *_secrets([*_LOGIN, *(["REGISTRY_PASSWORD"] if own else [])])]
    if application.secrets:
        lines += [
            "      BUILD_SECRETS: |",
            *(f"        {name}=${{{{ secrets.{name} }}}}" for name in application.secrets),
        ]
    return "\n".join(lines) + "\n"


def promote_workflow(environments: Environments) -> str:
    """The GitOps repository's workflow: a person chooses what goes where."""
    lines = [
        f"# {made_by('github --gitops', '.hybrid-ci/environments.yaml')}",
        "name: promote",
        "",
        "on:",
        "  workflow_dispatch:",
        "    inputs:",
        *_choice("application", "What is promoted.", environments.applications),
        *_choice("from", "The environment that runs the images.", environments.names),
        *_choice("to", "The environment that they go to.", environments.names),
        "      images:",
        "        description: Only these images; empty for all together.",
        "        type: string",
        '        default: ""',
        "",
        "permissions: {}",
        "",
        "jobs:",
        "  promote:",
        "    name: promote",
        *_uses(environments.uses, "promote.yml"),
        "    permissions:",
        "      contents: read",
        "      packages: read",
        "    with:",
        *(f"      {name}: ${{{{ inputs.{name} }}}}" for name in ("application", "from", "to", "images")),
        "    secrets:",
        *_secrets(_LOGIN),
    ]
    return "\n".join(lines) + "\n"


def _uses(source: Source, workflow: str) -> list[str]:
    address = f"    uses: {source.repository}/.github/workflows/{workflow}@{source.ref}"
    if source.pinned:
        return [f"{address} # v{source.version}"]
    reason = "a tag can move: `--uses OWNER/REPOSITORY@COMMIT` pins it"
    return [f"    # zizmor: ignore[unpinned-uses] {reason}", address]


def _secrets(names: Iterable[str]) -> list[str]:
    return [f"      {name}: ${{{{ secrets.{name} }}}}" for name in names]


def _choice(name: str, description: str, options: tuple[str, ...]) -> list[str]:
    lines = [f"      {name}:", f"        description: {description}"]
    if not options:
        return [*lines, "        type: string", "        required: true"]
    return [
        *lines,
        "        type: choice",
        "        required: true",
        f"        options: [{', '.join(json.dumps(option) for option in options)}]",
    ]
