"""Which token of a job's environment reaches which GitLab."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.forges.base import Forge, OpensByPush
from orchestrator.wiring import open_ports
from tests.unit.test_wiring import CONFIG, _Options

HOST = "https://gitlab.example.com"
JOB = {"CI_JOB_TOKEN": "glcbt-canary-64_7c2a9d0e", "CI_SERVER_URL": HOST}
OWN = {"HYBRID_CI_FORGE_TOKEN": "glpat-canary-5f1d0c7e9b"}


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, None),
        (JOB, "by push"),
        (OWN, "by calls"),
        ({**OWN, **JOB}, "by calls"),
        ({**JOB, "HYBRID_CI_GIT_TOKEN": JOB["CI_JOB_TOKEN"]}, "by push"),
        ({**JOB, "CI_SERVER_URL": "https://gitlab.com"}, None),
        ({**JOB, "CI_SERVER_URL": f"{HOST}.evil.example"}, None),
        ({"CI_JOB_TOKEN": JOB["CI_JOB_TOKEN"]}, None),
    ],
)
def test_a_job_s_token_is_for_its_own_gitlab_and_for_pushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], kind: str | None
) -> None:
    forge = _forge(tmp_path, monkeypatch, environment)
    if kind is None:
        assert forge is None
    else:
        assert forge is not None
        assert (forge.name, isinstance(forge, OpensByPush)) == ("gitlab", kind == "by push")


def _forge(folder: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Forge | None:
    path = folder / "hybrid-ci.yaml"
    path.write_text(CONFIG.replace("./gitops.git", f"{HOST}/acme/gitops.git"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with open_ports(_Options(path)) as (ports, _):
        return ports.forge
