"""Who asks for something: a name for people, that anybody could write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.text import printable
from orchestrator.engine.process import Limits, ProgramBroken, ProgramMissing, run

# https://docs.github.com/actions/reference/workflows-and-actions/variables,
# https://docs.gitlab.com/ci/variables/predefined_variables/, https://plugins.jenkins.io/build-user-vars-plugin/
_BY_CI = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")
_LIMITS = Limits(seconds=10, output=4096)
_LONGEST = 100


def who_asks(environment: Mapping[str, str], directory: Path) -> str:
    """The person that the CI names, or the one of git's configuration; the account's name where neither tells.

    ``HYBRID_CI_ACTOR`` comes before all. It is a claim: what is asked for goes through a pull request.
    """
    for name in ("HYBRID_CI_ACTOR", *_BY_CI):
        if found := _clean(environment.get(name, "")):
            return found
    configured = (_configured(key, environment, directory) for key in ("user.name", "user.email"))
    return next((found for found in configured if found), _clean(environment.get("USER", "")) or "somebody")


def _configured(key: str, environment: Mapping[str, str], directory: Path) -> str:
    """A value of the user's own git configuration: reading one runs nothing."""
    home = {"HOME": environment["HOME"]} if "HOME" in environment else {}
    try:
        answer = run(
            ["git", "config", "--get", key],
            environment=home,
            inherit=("XDG_CONFIG_HOME",),
            directory=directory,
            limits=_LIMITS,
        )
    except (ProgramMissing, ProgramBroken):
        return ""
    return _clean(answer.stdout.decode("utf-8", "replace")) if answer.ok else ""


def _clean(text: str) -> str:
    return printable(text).strip()[:_LONGEST]
