"""Who commits to an environment's branch can't also push to the policy: as GitHub and GitLab tell who may push.

The Git side is simulated; the forges are the real adapters on servers that behave as theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.errors import Refused
from orchestrator.forges.base import Forge, Guarding
from tests.integration.github.worlds import github
from tests.integration.gitlab.worlds import gitlab
from tests.simulation.fleet import API, Fleet, states

Hosted = tuple[Forge, Callable[[str], None]]


@pytest.fixture(params=["github", "gitlab"])
def hosted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hosted]:
    """A forge, and how to say who may push to its main branch: ``open``, ``protected`` or ``bypassed``."""
    with ExitStack() as stack:
        if request.param == "github":
            hub = stack.enter_context(github(tmp_path))
            rules = {"open": {}, "protected": {1: "never"}, "bypassed": {1: "always"}}

            def set_rules(name: str) -> None:
                hub.hosted.rules.rulesets = dict(rules[name])

            yield hub.forge, set_rules
        else:
            lab = stack.enter_context(gitlab(tmp_path))

            def protect(name: str) -> None:
                lab.project.protected = {"main"} if name == "protected" else set()

            yield lab.forge, protect


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet()
    made.release(2)
    return made


@pytest.mark.parametrize("rules", ["open", "bypassed"])
def test_a_login_that_may_push_to_the_policy_commits_to_no_environment(
    fleet: Fleet, hosted: Hosted, rules: str
) -> None:
    forge, set_rules = hosted
    set_rules(rules)
    assert isinstance(forge, Guarding)
    ports = replace(fleet.ports(), forge=forge)

    with pytest.raises(Refused, match="'edge' may also push to main, which holds the policy") as caught:
        fleet.promote("dev", "edge", ports=ports)

    assert "protect main" in str(caught.value.hint)
    assert fleet.version("edge", API, "edge") is None
    assert "push" not in ports.repository.calls  # type: ignore[attr-defined]


def test_a_login_that_may_not_push_there_commits(fleet: Fleet, hosted: Hosted) -> None:
    forge, set_rules = hosted
    set_rules("protected")

    result = fleet.promote("dev", "edge", ports=replace(fleet.ports(), forge=forge))

    assert states(result) == {"edge": "committed"}
    assert fleet.version("edge", API, "edge") == 2


def test_who_only_opens_pull_requests_is_not_asked(fleet: Fleet, hosted: Hosted) -> None:
    """A push right is no harm by itself: the policy is read from the base, and what is proposed there is reviewed."""
    forge, set_rules = hosted
    set_rules("open")

    result = fleet.promote("dev", "staging", ports=replace(fleet.ports(), forge=forge), dry_run=True)

    assert states(result) == {"staging": "planned"}
