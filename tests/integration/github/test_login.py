"""Logins at GitHub: tokens, scopes, Apps; and a token that goes nowhere else."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestrator.core.errors import ConfigurationError, ExitCode, HybridCIError, RemoteError
from orchestrator.core.names import RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.base import CommitStatus, MergeMethod, Routing, StatusState
from orchestrator.forges.calls import LimitTooLong, LoginRefused
from orchestrator.forges.github import GitHubForge, GitHubSettings, app_login
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_login import AppLogin, BearerToken
from tests.integration.github.worlds import BOT, CREATE, LIMITS, MAIN, PULLS, World, draft, head_of
from tests.servers.forge_http import Reply, SecondHost, serving
from tests.servers.github.world import Account

CANARY = "ghp_canary5f1d0c7e9b5f1d0c7e9b5f1d0c7e9b"


# --- tokens --------------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_exit_5_and_says_so(world: World) -> None:
    with pytest.raises(LoginRefused, match="does not take the token") as caught:
        world.client(token="ghp_wrong").check_access()
    assert caught.value.exit_code is ExitCode.REMOTE
    assert caught.value.details == ("Bad credentials",)


def test_without_a_token_nothing_is_asked(world: World) -> None:
    forge = world.client(login=BearerToken(None))
    with pytest.raises(ConfigurationError, match="no token"):
        forge.check_access()
    assert world.server.calls == []


def test_a_missing_permission_is_named(world: World) -> None:
    world.start()
    world.server.accounts["ghp_narrow"] = Account("narrow", permissions={"contents": "write", "pull_requests": "read"})
    with pytest.raises(LoginRefused, match="lacks the permission pull_requests: write") as caught:
        world.client(token="ghp_narrow").open(draft())
    assert caught.value.exit_code is ExitCode.REMOTE
    assert world.hosted.pulls == []


def test_a_missing_scope_is_named(world: World) -> None:
    world.start()
    world.server.accounts["ghp_classic"] = Account("classic", scopes="read:org, public_gist")
    with pytest.raises(LoginRefused, match="lacks the scope repo"):
        world.client(token="ghp_classic").open(draft())


def test_a_token_travels_as_bearer_and_as_nothing_else(world: World) -> None:
    world.opened()
    assert {call.authorization for call in world.server.calls} == {f"Bearer {next(iter(world.server.accounts))}"}
    assert not [call for call in world.server.calls if "private-token" in call.headers]


def test_a_token_with_a_line_break_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="line break"):
        BearerToken(Secret("ghp_x\r\nX-Evil: 1", "$HYBRID_CI_FORGE_TOKEN"))


# --- GitHub Apps ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def told() -> list[Secret]:
    return []


@pytest.fixture
def app(world: World, key: tuple[str, str], told: list[Secret]) -> Iterator[AppLogin]:
    world.server.app = ("4711", key[1])
    address = GitHubAddress.of(RemoteURL(world.server.repository_url()))
    settings = GitHubSettings(world.clock, limits=LIMITS)
    login = app_login("4711", Secret(key[0], "$HYBRID_CI_GITHUB_APP_KEY"), address, settings, told.append)
    yield login
    login.close()


def test_a_repository_whose_settings_keep_workflows_from_opening_is_told_which(world: World) -> None:
    world.start()
    told = {"message": "GitHub Actions is not permitted to create or approve pull requests."}
    world.server.fail(Reply(403, told), CREATE)
    with pytest.raises(LoginRefused, match="does not let workflows open") as caught:
        world.forge.open(draft())
    assert "Allow GitHub Actions to create" in str(caught.value.hint)
    assert caught.value.exit_code is ExitCode.REMOTE


TOKENS = "POST /api/v3/app/installations/7/access_tokens"


def test_an_app_works_with_a_token_for_one_repository(world: World, app: AppLogin) -> None:
    world.start()
    opened = world.client(login=app).open(draft())
    assert opened.author == "hybrid-ci[bot]"
    (asked,) = world.server.called(TOKENS)
    assert asked.json["repositories"] == ["gitops"]
    assert asked.json["permissions"] == {
        "contents": "write",
        "pull_requests": "write",
        "metadata": "read",
        "statuses": "read",
    }


def test_an_app_asks_for_the_right_to_read_teams_where_it_has_it(world: World, app: AppLogin) -> None:
    world.server.app_permissions = {**world.server.app_permissions, "members": "read"}
    world.server.teams["acme/platform"] = {"ada"}
    assert world.client(login=app).members("acme/platform") == {"ada"}


def test_an_app_asks_for_the_right_to_use_merge_queues_as_far_as_it_has_it(world: World, app: AppLogin) -> None:
    world.server.app_permissions = {**world.server.app_permissions, "merge_queues": "read", "deployments": "write"}
    app.token()
    (asked,) = world.server.called(TOKENS)
    assert asked.json["permissions"].items() >= {"merge_queues": "read", "deployments": "read"}.items()


@pytest.mark.parametrize("answer", [{}, {"id": "7"}, {"id": 7, "permissions": ["contents"]}, [], None])
def test_an_installation_of_a_strange_form_is_an_error(world: World, app: AppLogin, answer: object) -> None:
    world.server.fail(Reply(200, answer), "GET /api/v3/repos/acme/gitops/installation")
    with pytest.raises(RemoteError):
        app.token()


def test_the_requests_for_an_app_s_tokens_are_counted(world: World, app: AppLogin) -> None:
    forge = world.client(login=app)
    forge.check_access()
    assert forge.api_calls == len(world.server.calls) == 3


def test_a_login_that_takes_long_shares_the_deadline_of_what_needs_it(world: World, app: AppLogin) -> None:
    world.server.fail(world.server.limited(40), TOKENS)
    with pytest.raises(LimitTooLong):
        world.client(login=app, seconds=30).check_access()
    assert sum(world.clock.slept) < 30


@pytest.mark.scenario(number=46)
def test_app_token_expires_between_push_and_pr(world: World, app: AppLogin) -> None:
    world.start()
    forge = world.client(login=app)
    forge.check_access()
    first = app.token()
    world.clock.advance(3500)
    assert forge.open(draft()).number == 1
    assert app.token() != first
    assert len(world.server.called(TOKENS)) == 2


def test_a_token_that_github_forgets_is_replaced_once(world: World, app: AppLogin) -> None:
    world.start()
    forge = world.client(login=app)
    forge.check_access()
    world.server.accounts.pop(app.token().reveal())
    assert forge.open(draft()).number == 1
    assert len(world.server.called(CREATE)) == 1


def test_an_expiry_is_read_by_the_server_s_clock(world: World, app: AppLogin) -> None:
    world.server.server_clock_skew = -3 * 3600
    forge = world.client(login=app)
    for _ in range(3):
        forge.check_access()
    assert len(world.server.called(TOKENS)) == 1


def test_a_token_whose_answer_is_lost_is_asked_for_again(world: World, app: AppLogin) -> None:
    world.server.fail("502_after", TOKENS)
    world.client(login=app).check_access()
    assert len(world.server.called(TOKENS)) == 2


def test_an_app_that_is_not_installed_is_told(world: World, key: tuple[str, str], told: list[Secret]) -> None:
    world.server.app = ("4711", key[1])
    address = GitHubAddress.of(RemoteURL(world.server.repository_url("acme/other")))
    settings = GitHubSettings(world.clock, limits=LIMITS)
    login = app_login("4711", Secret(key[0], "$KEY"), address, settings, told.append)
    with pytest.raises(ConfigurationError, match="not installed"):
        login.token()
    login.close()


def test_an_installation_that_lacks_a_permission_is_told_which(world: World, app: AppLogin) -> None:
    world.server.app_permissions = {"contents": "read", "metadata": "read"}
    with pytest.raises(RemoteError, match="contents: write, pull_requests: write") as caught:
        app.token()
    assert caught.value.exit_code is ExitCode.REMOTE


@pytest.mark.parametrize("text", ["no key at all", "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----"])
def test_a_key_that_is_none_is_told_and_not_shown(world: World, told: list[Secret], text: str) -> None:
    address = GitHubAddress.of(RemoteURL(world.server.repository_url()))
    with pytest.raises(ConfigurationError, match="no private key") as caught:
        app_login("4711", Secret(text, "$KEY"), address, GitHubSettings(world.clock), told.append)
    assert text not in "".join(traceback.format_exception(caught.value))


def test_a_key_with_escaped_line_breaks_is_read(world: World, key: tuple[str, str], told: list[Secret]) -> None:
    world.server.app = ("4711", key[1])
    address = GitHubAddress.of(RemoteURL(world.server.repository_url()))
    one_line = Secret(key[0].replace("\n", "\\n"), "$KEY")
    login = app_login("4711", one_line, address, GitHubSettings(world.clock, limits=LIMITS), told.append)
    assert login.token().reveal().startswith("ghs_")
    login.close()


def test_every_token_of_an_app_is_known_to_the_redaction(world: World, app: AppLogin, told: list[Secret]) -> None:
    world.client(login=app).check_access()
    sent = {call.authorization for call in world.server.calls}
    assert sent <= {secret.reveal() for secret in told}


# --- a secret stays where it belongs -------------------------------------------------------------------------------

ACTIONS: dict[str, Callable[[GitHubForge, World], object]] = {
    "check_access": lambda forge, world: forge.check_access(),
    "pull_requests": lambda forge, world: forge.pull_requests(BOT, MAIN),
    "open": lambda forge, world: forge.open(draft()),
    "list": lambda forge, world: forge.list(),
    "show": lambda forge, world: forge.show(1),
    "update": lambda forge, world: forge.update(1, title="t", body="b"),
    "close": lambda forge, world: forge.close(1, "no"),
    "merge": lambda forge, world: forge.merge(1, world.tip(BOT)),
    "merge_when_ready": lambda forge, world: forge.merge_when_ready(1, world.tip(BOT), MergeMethod.MERGE),
    "set_draft": lambda forge, world: forge.set_draft(1, True),
    "route": lambda forge, world: forge.route(1, Routing(labels=("x",))),
    "reviews": lambda forge, world: forge.reviews(1),
    "members": lambda forge, world: forge.members("acme/platform"),
    "statuses": lambda forge, world: forge.statuses(world.tip(BOT)),
    "set_status": lambda forge, world: forge.set_status(world.tip(BOT), CommitStatus("x", StatusState.SUCCESS)),
    "compare": lambda forge, world: forge.compare(world.server.repository_url(), world.tip(MAIN), world.tip(BOT)),
    "commit_on": lambda forge, world: forge.commit_on(BOT, world.tip(BOT), {}, "m"),
    "can_push": lambda forge, world: forge.can_push(MAIN),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_redirect_to_a_second_host_gets_nothing(world: World, action: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.server.accounts[CANARY] = Account("canary")
    world.opened()
    with serving(SecondHost(world.server.root)) as second:
        world.server.redirect_to = second.url
        world.server.fail("redirect", "*", times=50)
        with pytest.raises(HybridCIError, match="redirects") as caught:
            ACTIONS[action](world.client(token=CANARY), world)
        assert second.calls == []
    world.server.heal()
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    _no_canary(caught.value, caplog)


def test_a_redirect_within_a_page_gets_nothing(world: World) -> None:
    world.opened()
    with serving(SecondHost(world.server.root)) as second:
        world.server.redirect_to = second.url
        world.server.before = lambda call: (
            world.server.fail("redirect", f"GET {PULLS}") if call.method == "PATCH" else None
        )
        world.forge.update(1, title="t", body="b")
        with pytest.raises(ConfigurationError, match="redirects"):
            world.forge.list()
        assert second.calls == []


@pytest.mark.parametrize("fault", ["401", "502_before", "reset_before", "not_json", "truncate"])
@pytest.mark.parametrize("action", ["open", "show", "commit_on", "merge"])
def test_a_failure_never_shows_the_token(
    world: World, action: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.server.accounts[CANARY] = Account("canary")
    world.opened()
    world.server.fail(fault, "*", times=500)
    with pytest.raises(HybridCIError) as caught:
        ACTIONS[action](world.client(token=CANARY, patience=3.0), world)
    world.server.heal()
    _no_canary(caught.value, caplog)


def test_the_token_is_sent_in_no_place_but_its_header(world: World) -> None:
    token = next(iter(world.server.accounts))
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    for call in world.server.calls:
        assert token not in call.target
        assert token.encode() not in call.body
        assert [name for name, value in call.headers.items() if token in value] == ["authorization"]


@pytest.mark.parametrize(
    "base",
    [
        "http://github.example.com/api/v3",
        "https://user:secret@github.example.com/api/v3",
        "ftp://github.example.com",
        "https://",
        "https://github.example.com/api/v3?x=1",
    ],
)
def test_an_address_that_would_leak_a_token_is_refused(world: World, base: str) -> None:
    address = GitHubAddress(base, "github.example.com", "acme", "gitops")
    with pytest.raises(ConfigurationError) as caught:
        GitHubForge(address, BearerToken(Secret(CANARY, "$T")), GitHubSettings(world.clock))
    assert "secret" not in f"{caught.value.message}{caught.value.where}"


def _no_canary(error: HybridCIError, caplog: pytest.LogCaptureFixture) -> None:
    """Nowhere in the error, what caused it, its frames' text, or what libraries log."""
    texts = [caplog.text, "".join(traceback.format_exception(error)), repr(error), str(vars(error))]
    texts += [str(error.args), repr(error.__cause__), repr(error.__context__)]
    assert not [text for text in texts if CANARY in text]
    gc.collect()
