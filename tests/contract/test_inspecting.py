"""What each forge tells about itself, before anybody releases anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.forges.base import Inspecting, MergeMethod, TokenKind
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab_api import TokenKind as Header
from orchestrator.forges.local import LocalForge
from tests.integration.github.worlds import MAIN, github
from tests.integration.gitlab.worlds import gitlab
from tests.servers.git_repositories import commit_files, make_bare
from tests.servers.github.world import Account
from tests.servers.gitlab import Token

NARROW = {"contents": "write", "pull_requests": "write", "metadata": "read"}


def test_github_tells_the_scopes_of_a_classic_token(tmp_path: Path) -> None:
    with github(tmp_path) as world:
        world.server.accounts["ghp_classic"] = Account("ada", scopes="repo, workflow, admin:org")
        facts = world.client("ghp_classic").facts(MAIN)
        assert facts.login.kind is TokenKind.PERSONAL
        assert facts.login.scopes == ("admin:org", "repo", "workflow")
        assert facts.login.needless == ("admin:org", "workflow")
        assert facts.login.lacking == ()


def test_github_tells_which_scope_a_classic_token_lacks(tmp_path: Path) -> None:
    with github(tmp_path) as world:
        world.server.accounts["ghp_reader"] = Account("ada", scopes="read:org")
        assert world.client("ghp_reader").facts(MAIN).login.lacking == ("repo",)


@pytest.mark.parametrize(
    ("permissions", "needless"), [(NARROW, ()), (NARROW | {"administration": "read"}, ("administration",))]
)
@pytest.mark.parametrize("protected", [True, False])
def test_an_administrators_fine_grained_token_is_found_out(
    tmp_path: Path, permissions: dict[str, str], needless: tuple[str, ...], protected: bool
) -> None:
    with github(tmp_path) as world:
        world.hosted.rules.protected = protected
        world.server.accounts["github_pat_x"] = Account("ada", permissions=permissions)
        login = world.client("github_pat_x").facts(MAIN).login
        assert (login.kind, login.scopes, login.needless) == (TokenKind.FINE_GRAINED, None, needless)


@pytest.mark.parametrize(
    ("token", "kind"),
    [("ghs_x", TokenKind.INSTALLATION), ("gho_x", TokenKind.PERSONAL), ("0123456789", TokenKind.UNKNOWN)],
)
def test_github_tokens_are_told_apart_by_their_prefix(tmp_path: Path, token: str, kind: TokenKind) -> None:
    with github(tmp_path) as world:
        world.server.accounts[token] = Account("bot", permissions=NARROW)
        assert world.client(token).facts(MAIN).login.kind is kind


def test_github_tells_its_settings_and_its_clock(tmp_path: Path) -> None:
    with github(tmp_path) as world:
        rules = world.hosted.rules
        rules.auto_merge, rules.methods, rules.squash_message = False, frozenset({"squash"}), "PR_BODY"
        rules.rulesets = {1: "never"}
        rules.merge_queue = True
        facts = world.forge.facts(MAIN)
        assert (facts.auto_merge, facts.merge_queue, facts.squash_keeps) == (False, True, False)
        assert facts.methods == {MergeMethod.SQUASH}
        assert (facts.protected, facts.can_push, facts.default_branch) == (True, False, "main")
        assert facts.clock is not None


def test_github_tells_when_a_token_ends(tmp_path: Path) -> None:
    with github(tmp_path) as world:
        ends = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
        world.server.accounts["github_pat_x"] = Account("ada", permissions=NARROW, expires=ends)
        assert world.client("github_pat_x").facts(MAIN).login.expires == ends


def test_an_unprotected_branch_at_github_is_told(tmp_path: Path) -> None:
    with github(tmp_path) as world:
        facts = world.forge.facts(MAIN)
        assert (facts.protected, facts.can_push, facts.merge_queue) == (False, True, False)


def test_a_wrong_token_at_github_tells_nothing(tmp_path: Path) -> None:
    with github(tmp_path) as world, pytest.raises(LoginRefused):
        world.client("ghp_wrong").facts(MAIN)


def test_gitlab_tells_the_scopes_and_the_role_of_a_token(tmp_path: Path) -> None:
    with gitlab(tmp_path) as world:
        value = world.server.add_token(
            "glpat-wide", Token("bot", frozenset({"api", "sudo"}), role=40, expires="2031-01-02")
        )
        client = world.client(value)
        login = client.facts(MAIN).login
        client.close_connections()
        assert (login.kind, login.name, login.scopes) == (TokenKind.PROJECT, "bot's token", ("api", "sudo"))
        assert login.needless == ("sudo", "the role Maintainer or Owner")
        assert login.expires == datetime(2031, 1, 2, tzinfo=UTC)


def test_gitlab_tells_what_a_token_lacks(tmp_path: Path) -> None:
    with gitlab(tmp_path) as world:
        value = world.server.add_token("glpat-reader", Token("bot", frozenset({"read_api"}), role=20))
        client = world.client(value)
        lacking = client.facts(MAIN).login.lacking
        client.close_connections()
        assert lacking == ("api", "the role Developer")


def test_gitlab_tells_its_settings_and_its_clock(tmp_path: Path) -> None:
    with gitlab(tmp_path) as world:
        world.project.merge_trains, world.project.merge_method = True, "ff"
        world.project.squash_template = "%{title}\n\n%{all_commits}"
        world.project.protected = {"main"}
        facts = world.forge.facts(MAIN)
        assert (facts.merge_queue, facts.squash_keeps, facts.protected) == (True, True, True)
        assert facts.methods == {MergeMethod.REBASE, MergeMethod.SQUASH}
        assert facts.clock is not None
        world.project.squash_template = None
        assert world.forge.facts(MAIN).squash_keeps is False
        world.project.squash_option = "never"
        assert world.forge.facts(MAIN).squash_keeps is None


def test_a_job_token_is_told_as_one_and_asks_no_more_than_it_may(tmp_path: Path) -> None:
    with gitlab(tmp_path) as world:
        value = world.server.add_token("glcbt-job", Token("bot", job=True))
        client = world.client(value, Header.JOB)
        with pytest.raises((ConfigurationError, LoginRefused)):
            client.facts(MAIN)  # wiring gives such a login to a forge that only pushes
        client.close_connections()


def test_the_local_forge_tells_what_its_hook_protects(tmp_path: Path) -> None:
    path = tmp_path / "gitops.git"
    LocalForge.init(path)
    commit_files(path, {"a.yaml": b"a\n"})
    facts = LocalForge(path).facts(MAIN)
    assert (facts.protected, facts.can_push, facts.login.kind) == (True, False, TokenKind.NONE)
    assert isinstance(LocalForge(path), Inspecting)


def test_a_repository_that_is_no_local_forge_tells_nothing(tmp_path: Path) -> None:
    facts = LocalForge(make_bare(tmp_path / "bare.git")).facts(MAIN)
    assert (facts.protected, facts.can_push) == (None, None)
