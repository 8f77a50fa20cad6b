"""A proxy, another version, a bug at the forge: answers of any form end in an error with a place, never in a crash."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.delivery import Routing
from orchestrator.core.errors import HybridCIError
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.github import GitHubForge
from orchestrator.forges.gitlab import GitLabForge
from tests.integration.github import worlds as at_github
from tests.integration.gitlab import worlds as at_gitlab
from tests.servers.forge_http import ForgeServer, Reply

BASE, HEAD = BranchName("main"), BranchName("hybrid-ci/dev/shop")
Real = GitHubForge | GitLabForge

ASKED: dict[str, Callable[[Real, int, CommitId, str], object]] = {
    "check_access": lambda forge, _number, _head, _url: forge.check_access(),
    "pull_requests": lambda forge, _number, _head, _url: forge.pull_requests(HEAD, BASE),
    "list": lambda forge, _number, _head, _url: forge.list(),
    "show": lambda forge, number, _head, _url: forge.show(number),
    "update": lambda forge, number, _head, _url: forge.update(number, title="Another", body="text"),
    "comment": lambda forge, number, _head, _url: forge.comment(number, "hello"),
    "reviews": lambda forge, number, _head, _url: forge.reviews(number),
    "members": lambda forge, _number, _head, _url: forge.members("acme/platform"),
    "route": lambda forge, number, _head, _url: forge.route(number, Routing(("ada",), labels=("deploy",))),
    "statuses": lambda forge, _number, head, _url: forge.statuses(head),
    "compare": lambda forge, _number, head, url: forge.compare(url, head, head),
    "can_push": lambda forge, _number, _head, _url: forge.can_push(BASE),
    "facts": lambda forge, _number, _head, _url: forge.facts(BASE),
    "set_draft": lambda forge, number, _head, _url: forge.set_draft(number, True),
    "call_off_merge": lambda forge, number, _head, _url: forge.call_off_merge(number),
}


def strange(payload: Any) -> Iterator[Any]:
    """The same answer in other forms: whole, and one part at a time."""
    yield from (None, {}, 5, [{}], [None])
    inside = payload[0] if isinstance(payload, list) and payload else payload
    others: tuple[Any, ...] = (None, "text", 5, [], {})
    if isinstance(inside, dict):
        for name in inside:
            for other in others:
                changed = copy.deepcopy(payload)
                (changed[0] if isinstance(changed, list) else changed)[name] = other
                yield changed


def end_well(server: ForgeServer, ask: Callable[[], object]) -> None:
    """Each answer that this asks for is replaced by each strange one in turn."""
    before = len(server.calls)
    ask()
    usual = {call.key: call.reply for call in server.calls[before:] if call.reply is not None}
    for key, reply in usual.items():
        for number, payload in enumerate(strange(reply.payload)):
            if number >= 5 and number % 29:  # all whole ones, and some of the parts
                continue
            server.fail(Reply(reply.status, payload), on=key)
            with suppress(HybridCIError):
                ask()
            server.heal()


@pytest.mark.parametrize("name", ASKED)
def test_a_strange_answer_of_github_ends_in_no_traceback(tmp_path: Path, name: str) -> None:
    with at_github.github(tmp_path) as world:
        opened = world.opened(HEAD)
        world.hosted.rules.rulesets = {1: "never"}
        world.server.teams["acme/platform"] = {"ada"}
        url = world.server.repository_url()
        end_well(world.server, lambda: ASKED[name](world.forge, opened.number, at_github.head_of(opened), url))
        world.server.violations.clear()  # of what we made up


@pytest.mark.parametrize("name", ASKED)
def test_a_strange_answer_of_gitlab_ends_in_no_traceback(tmp_path: Path, name: str) -> None:
    with at_gitlab.gitlab(tmp_path) as world:
        opened = world.opened(HEAD)
        world.server.groups["acme/platform"] = ["ada"]
        world.server.user_id("ada")
        url = f"{world.server.web}/acme/gitops.git"
        end_well(world.server, lambda: ASKED[name](world.forge, opened.number, at_gitlab.head_of(opened), url))
