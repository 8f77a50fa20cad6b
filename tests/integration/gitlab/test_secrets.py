"""Where GitLab's token goes: to GitLab, in one header, and nowhere else."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.names import InvalidName, RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.gitlab import GitLabForge, GitLabSettings
from orchestrator.forges.gitlab_address import GitLabAddress, locate
from orchestrator.forges.gitlab_api import TokenKind, TokenLogin
from tests.integration.gitlab.worlds import BOT, MAIN, MERGE_REQUESTS, TOKEN, World, draft, gitlab, head_of
from tests.servers.forge_http import Reply, SecondHost, serving
from tests.servers.gitlab import Token
from tests.simulators.clock import FakeClock

JOB_TOKEN = "glcbt-canary-64_7c2a9d0e"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[SecondHost]:
    with serving(SecondHost(tmp_path / "elsewhere")) as host:
        yield host


METHODS: dict[str, Callable[[World, GitLabForge], object]] = {
    "check_access": lambda world, forge: forge.check_access(),
    "pull_requests": lambda world, forge: forge.pull_requests(BOT, MAIN),
    "open": lambda world, forge: forge.open(draft()),
    "update": lambda world, forge: forge.update(1, title="t", body="b"),
    "close": lambda world, forge: forge.close(1, "no"),
    "merge": lambda world, forge: forge.merge(1, world.start()),
    "statuses": lambda world, forge: forge.statuses(world.start()),
}


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize(
    ("method", "status"),
    [*((method, 302) for method in METHODS), *(("open", other) for other in (301, 303, 307, 308))],
)
def test_redirect_to_other_host_never_gets_token(
    world: World, elsewhere: SecondHost, method: str, status: int, kind: TokenKind
) -> None:
    value = TOKEN if kind is TokenKind.ACCESS else JOB_TOKEN
    forge = world.client(value, kind)
    world.server.fail(Reply(status, None, {"Location": f"{elsewhere.url}/api/v4/user"}), "*")
    with pytest.raises(ConfigurationError, match="redirects") as caught:
        METHODS[method](world, forge)
    assert elsewhere.calls == []
    assert value not in _everything(caught.value)
    forge.close_connections()


@pytest.mark.parametrize("key", ["PUT *", "POST *"])
def test_a_redirected_write_is_not_sent_on(world: World, elsewhere: SecondHost, key: str) -> None:
    opened = world.opened()
    world.server.redirect_to = elsewhere.url
    world.server.fail("redirect", key)
    with pytest.raises(ConfigurationError, match="redirects"):
        world.forge.close(opened.number, "no")
    assert elsewhere.calls == []


def test_a_link_to_a_further_page_elsewhere_is_not_followed_there(world: World, elsewhere: SecondHost) -> None:
    """Behind a proxy GitLab may not know its own name: its links are taken to the host that we were told."""
    world.opened()
    page = Reply(
        200, [], {"Link": f'<{elsewhere.url}/api/v4/projects/acme%2Fgitops/merge_requests?page=1>; rel="next"'}
    )
    world.server.fail(page, f"GET {MERGE_REQUESTS}")
    assert world.forge.list() != []
    assert elsewhere.calls == []


@pytest.mark.parametrize("link", ["https://evil.example/x?page=2", "//evil.example/x", "file:///etc/passwd"])
def test_a_link_that_leads_away_is_refused(world: World, link: str) -> None:
    world.server.fail(Reply(200, [], {"Link": f'<{link}>; rel="next"'}), f"GET {MERGE_REQUESTS}")
    with pytest.raises(HybridCIError):
        world.forge.list()


def test_the_token_is_in_one_header_and_in_no_other_place(world: World) -> None:
    opened = world.opened()
    world.forge.close(opened.number, "no")
    for call in world.server.calls:
        assert call.headers["authorization"] == f"Bearer {TOKEN}"
        rest = {name: value for name, value in call.headers.items() if name != "authorization"}
        assert TOKEN not in f"{rest}{call.target}{call.body!r}"
        assert not {"private-token", "job-token"} & set(call.headers)


def test_a_job_token_is_in_its_own_header_alone(world: World) -> None:
    world.server.add_token(JOB_TOKEN, Token("runner", job=True))
    forge = world.client(JOB_TOKEN, TokenKind.JOB)
    with pytest.raises(HybridCIError):
        forge.open(draft())
    assert {call.headers.get("job-token") for call in world.server.calls} == {JOB_TOKEN}
    assert not any("authorization" in call.headers for call in world.server.calls)
    forge.close_connections()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_no_error_holds_the_token(world: World, status: int) -> None:
    """Also not when the server repeats it."""
    world.start()
    world.server.fail(Reply(status, {"message": "no, and the header was Authorization: Bearer ***"}), "GET *")
    with pytest.raises(HybridCIError) as caught:
        world.forge.list()
    assert TOKEN not in _everything(caught.value)


def test_neither_the_forge_nor_the_library_shows_or_stores_the_token(world: World) -> None:
    api = world.forge._api
    assert TOKEN not in repr(vars(world.forge)) + repr(vars(api)) + repr(vars(api.client))
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(world.forge)


@pytest.mark.parametrize("base", ["http://git.example.com", "https://user:secret@git.example.com", "ftp://x.example"])
def test_a_token_is_never_made_ready_for_an_unsafe_address(base: str) -> None:
    with pytest.raises(ConfigurationError):
        GitLabForge(
            GitLabAddress(base, "acme/gitops"), TokenLogin(Secret(TOKEN, "$TOKEN")), GitLabSettings(FakeClock())
        )


@pytest.mark.parametrize(
    ("repository", "base", "project"),
    [
        ("https://gitlab.com/acme/gitops.git", None, "acme/gitops"),
        ("https://gitlab.com/acme/team/sub/gitops", None, "acme/team/sub/gitops"),
        ("git@gitlab.example.com:acme/gitops.git", None, "acme/gitops"),
        ("ssh://git@gitlab.example.com:2222/acme/gitops.git", None, "acme/gitops"),
        ("https://git.example.com:8443/gitlab/acme/gitops.git", "https://git.example.com:8443/gitlab/", "acme/gitops"),
    ],
)
def test_a_project_is_found_by_the_url_that_git_uses(repository: str, base: str | None, project: str) -> None:
    address = locate(RemoteURL(repository), base)
    assert address.project == project
    assert address.base.startswith("https://")
    assert not address.base.endswith("/")


@pytest.mark.parametrize(
    ("repository", "base"),
    [
        ("https://gitlab.com/gitops.git", None),
        ("/srv/git/gitops.git", None),
        ("https://git.example.com/acme/gitops.git", "https://git.example.com/gitlab"),
        ("https://git.example.com/acme/gitops.git", "https://other.example.com"),
    ],
)
def test_a_repository_that_is_no_project_of_it_is_refused(repository: str, base: str | None) -> None:
    with pytest.raises(ConfigurationError):
        locate(RemoteURL(repository), base)


def test_a_base_url_with_a_credential_is_refused() -> None:
    with pytest.raises(InvalidName) as caught:
        locate(RemoteURL("https://git.example.com/acme/gitops.git"), "https://u:s3cret@git.example.com")
    error = caught.value
    assert "s3cret" not in f"{error} {error.where} {error.hint} {error.details}"


def test_a_gitlab_below_a_path_is_spoken_to_below_it(tmp_path: Path) -> None:
    with gitlab(tmp_path, relative="/git/lab") as world:
        opened = world.opened()
        assert opened.url == f"{world.server.url}/git/lab/acme/gitops/-/merge_requests/1"
        assert world.forge.merge(opened.number, head_of(opened)).number == 1
        assert all(call.target.startswith("/git/lab/api/v4/") for call in world.server.calls)


def _everything(error: BaseException) -> str:
    """All that an error could give away: its parts, its causes, and the locals of the frames below the test's own."""
    shown = [str(error), repr(error), repr(error.args), repr(vars(error))]
    below = error.__traceback__.tb_next if error.__traceback__ else None
    stack = traceback.TracebackException(type(error), error, below, capture_locals=True)
    return "\n".join([*shown, *stack.format()])
