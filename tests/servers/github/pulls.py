"""The life of a pull request at the fake GitHub."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.servers.forge_http import Call, Reply
from tests.servers.github import shapes
from tests.servers.github.answers import invalid, refuse
from tests.servers.github.world import Account, Hosted, Pull

if TYPE_CHECKING:
    from tests.servers.github.server import GitHubServer

_LONGEST_BODY = 65536


def sync(server: GitHubServer, hosted: Hosted) -> None:
    """Open pull requests follow their branches: a branch that is gone, or has nothing left, closes its own."""
    for pull in hosted.pulls:
        if pull.state != "open":
            continue
        home = server.repositories[pull.head_repository.lower()]
        head, base = home.repo.tip(pull.head), hosted.repo.tip(pull.base)
        if head is None or base is None:
            end(server, pull)
        elif home is hosted and hosted.repo.is_ancestor(head, base):
            merged = head == pull.head_sha  # the base has caught up; else the branch was set back
            end(server, pull, merge_commit=base if merged else None)
        elif head != pull.head_sha:
            pull.head_sha, pull.base_sha, pull.updated = head, base, server.now()


def end(server: GitHubServer, pull: Pull, merge_commit: str | None = None) -> None:
    """Closed, or merged."""
    pull.state, pull.closed, pull.updated = "closed", server.now(), server.now()
    pull.auto_merge, pull.queued = None, False
    if merge_commit:
        pull.merged, pull.merge_commit = pull.closed, merge_commit


def view(server: GitHubServer, hosted: Hosted, pull: Pull, *, simple: bool = False) -> dict[str, object]:
    """The JSON of a pull request."""
    fork = None if pull.head_repository == hosted.full_name else server.repositories[pull.head_repository.lower()]
    made: dict[str, object] = shapes.pull_request(hosted, pull, server.api, fork, simple=simple)
    return made


# --- routes --------------------------------------------------------------------------------------------------------


def listed(server: GitHubServer, account: Account, call: Call, hosted: Hosted) -> Reply:
    """By state, head and base. What was made a moment ago is not in it yet, where the test wants a lag."""
    query, newest = call.query, server.now() - timedelta(seconds=server.list_lag)
    state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
    found = []
    for pull in sorted(hosted.pulls, key=lambda one: one.number, reverse=query.get("direction", "desc") == "desc"):
        label = f"{pull.head_repository.partition('/')[0]}:{pull.head}"
        wanted = (state == "all" or pull.state == state) and head in (None, label) and base in (None, pull.base)
        if wanted and (not server.list_lag or pull.created <= newest):
            found.append(pull)
    return server.page(call, [view(server, hosted, pull, simple=True) for pull in found])


def create(server: GitHubServer, account: Account, call: Call, hosted: Hosted) -> Reply:
    """201, or a 422 with GitHub's reason."""
    asked = call.json
    owner, _, branch = str(asked["head"]).rpartition(":")
    home = next((one for one in server.repositories.values() if owner and one.owner == owner), hosted)
    head, base = home.repo.tip(branch), hosted.repo.tip(asked["base"])
    for field, tip in (("head", head), ("base", base)):
        if tip is None:
            raise invalid("PullRequest", field=field, code="invalid")
    assert head and base
    for pull in hosted.pulls:
        if (pull.state, pull.head, pull.base, pull.head_repository) == ("open", branch, asked["base"], home.full_name):
            raise invalid("PullRequest", message=f"A pull request already exists for {home.owner}:{branch}.")
    if home is hosted and hosted.repo.is_ancestor(head, base):
        raise invalid("PullRequest", message=f"No commits between {asked['base']} and {branch}")
    if asked.get("draft") and not hosted.rules.drafts:
        raise refuse(422, "Draft pull requests are not supported in this repository.")
    _check_text(asked)
    hosted.last_number += 1
    now = server.now()
    pull = Pull(
        hosted.last_number,
        asked["title"],
        asked.get("body"),
        branch,
        asked["base"],
        home.full_name,
        account.login,
        bool(asked.get("draft")),
        now,
        head,
        base,
        now,
    )
    hosted.pulls.append(pull)
    return Reply(201, view(server, hosted, pull))


def _check_text(asked: dict[str, object]) -> None:
    if len(str(asked.get("body") or "")) > _LONGEST_BODY:
        raise invalid("Issue", field="body", message="body is too long (maximum is 65536 characters)")
    if len(str(asked.get("title") or "")) > 256:
        raise invalid("Issue", field="title", message="title is too long (maximum is 256 characters)")


def show(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """With mergeability, which is computed when somebody asks, and told to those who ask again."""
    pull = one(hosted, number)
    made = view(server, hosted, pull)
    made["mergeable"], made["mergeable_state"] = mergeability(server, hosted, pull)
    made["merged"] = pull.merged is not None
    return Reply(200, made)


def mergeability(server: GitHubServer, hosted: Hosted, pull: Pull) -> tuple[bool | None, str]:
    """GitHub's ``mergeable`` and ``mergeable_state``."""
    base = hosted.repo.tip(pull.base)
    if pull.state != "open" or base is None:
        return None, "unknown"
    key = (pull.head_sha, base)
    if pull.computed_from != key:
        pull.computed_from, pull.asked_at = key, server.now()
        return None, "unknown"
    assert pull.asked_at is not None
    if server.now() < pull.asked_at + timedelta(seconds=server.mergeability_lag):
        return None, "unknown"
    return state_now(hosted, pull)


def state_now(hosted: Hosted, pull: Pull) -> tuple[bool, str]:
    """The same without the wait."""
    base = hosted.repo.tip(pull.base) or ""
    if hosted.repo.merge_tree(base, pull.head_sha) is None:
        return False, "dirty"
    if pull.draft:
        return True, "draft"
    if hosted.unmet(pull):
        return True, "blocked"
    return True, "unstable" if hosted.unstable(pull) else "clean"


def edit(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Title, body, state."""
    pull, asked = one(hosted, number), call.json
    _check_text(asked)
    pull.title, pull.body = asked.get("title", pull.title), asked.get("body", pull.body)
    if asked.get("state") == "closed" and pull.state == "open":
        end(server, pull)
    elif asked.get("state") == "open" and pull.state == "closed":
        if pull.merged:
            raise invalid("PullRequest", field="state", message="state cannot be changed. The pull request is merged.")
        pull.state, pull.closed = "open", None
    pull.updated = server.now()
    return Reply(200, view(server, hosted, pull))


def merge(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """405 for what the rules say, 409 for a head that moved, in GitHub's words."""
    pull, asked = one(hosted, number), call.json or {}
    method = asked.get("merge_method", "merge")
    if pull.state != "open":
        raise refuse(405, "Pull Request is not mergeable")
    if asked.get("sha") not in (None, pull.head_sha):
        raise refuse(409, "Head branch was modified. Review and try the merge again.")
    if pull.draft:
        raise refuse(405, "Pull Request is still a draft")
    if method not in hosted.rules.methods:
        named = {"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}[method]
        raise refuse(405, f"{named} are not allowed on this repository.")
    if hosted.rules.merge_queue:
        raise refuse(405, "Repository rule violations found\n\nChanges must be made through the merge queue\n\n")
    if reason := hosted.unmet(pull):
        raise refuse(405, reason)
    sha = perform(server, hosted, pull, method, asked.get("commit_title"), asked.get("commit_message"), account.login)
    return Reply(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def perform(
    server: GitHubServer, hosted: Hosted, pull: Pull, method: str, title: str | None, text: str | None, who: str
) -> str:
    """The merge itself. Raises Refusal (405) for a conflict."""
    base = hosted.repo.tip(pull.base) or ""
    tree = hosted.repo.merge_tree(base, pull.head_sha)
    if tree is None:
        raise refuse(405, "Pull Request is not mergeable")
    owner = pull.head_repository.partition("/")[0]
    default = (f"Merge pull request #{pull.number} from {owner}/{pull.head}", pull.title)
    if method == "squash":
        default = (f"{pull.title} (#{pull.number})", "")
    headline, body = title or default[0], text if text is not None else default[1]
    parents = [base] if method != "merge" else [base, pull.head_sha]
    sha = hosted.repo.commit(tree, parents, f"{headline}\n\n{body}".rstrip("\n") + "\n", who, server.now())
    if not hosted.repo.move(pull.base, sha, base):
        raise refuse(405, "Base branch was modified. Review and try the merge again.")
    end(server, pull, merge_commit=sha)
    return sha


def finish_auto_merges(server: GitHubServer, hosted: Hosted) -> None:
    """What waits for its rules, and has them met by now, is merged; so is what is in the queue."""
    for pull in hosted.pulls:
        if pull.state != "open":
            continue
        if pull.auto_merge and not hosted.unmet(pull) and state_now(hosted, pull)[0]:
            asked = pull.auto_merge
            perform(server, hosted, pull, asked["method"], asked.get("title"), asked.get("body"), asked["login"])


def reviews(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """In the order in which they were given."""
    return server.page(call, [shapes.review(found, server.api) for found in one(hosted, number).reviews])


def one(hosted: Hosted, number: str) -> Pull:
    """A pull request. Raises Refusal (404)."""
    pull = hosted.pull(int(number))
    if pull is None:
        raise refuse(404, "Not Found")
    return pull
