"""What GitHub's refusals mean: a 403 by its headers, a 422 by its list of errors, a merge's 405 by its text."""

from __future__ import annotations

from typing import Any

from github.GithubException import GithubException

from orchestrator.core.errors import ConfigurationError, HybridCIError, Refused, RemoteError
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.exchange import Answer

_LONGEST = 300


def explain(answer: Answer) -> HybridCIError | None:
    """What a 401 or 403 of GitHub's means, with the missing scope where GitHub tells it.

    https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api and, for the headers,
    https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps and
    https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps.
    """
    message = answer.message[:_LONGEST]
    if answer.status == 401:
        return LoginRefused(
            "GitHub does not take the token",
            status=401,
            where=answer.place,
            details=(message,) if message else (),
            hint="it is wrong, was revoked or has expired: set a new one in HYBRID_CI_FORGE_TOKEN",
        )
    if "not permitted to create or approve" in message:  # whatever the permissions of its token are
        return LoginRefused(
            "GitHub does not let workflows open pull requests here",
            status=403,
            where=answer.place,
            details=(message,),
            hint="switch on 'Allow GitHub Actions to create and approve pull requests' under Settings, Actions, "
            "General, of the organisation too; or use a GitHub App, whose pull requests start workflows as well",
        )
    if "archived" in message:
        return Refused(
            "the repository is archived, so nothing can be written to it",
            where=answer.place,
            details=[message],
            hint="unarchive it in its settings, or hand off to another repository",
        )
    if "SSO" in answer.headers.get("X-GitHub-SSO", "") or "SAML" in message:
        return LoginRefused(
            "the organisation wants the token to be authorised for its single sign-on",
            status=403,
            where=answer.place,
            details=(message,) if message else (),
            hint="authorise it under Settings, Developer settings, Personal access tokens, Configure SSO",
        )
    return LoginRefused(
        "GitHub does not let this token do that" + _missing(answer),
        status=403,
        where=answer.place,
        details=(message,) if message else (),
        hint="give the token (or the App's installation) that right on this repository, and nothing more",
    )


def _missing(answer: Answer) -> str:
    permissions = answer.headers.get("X-Accepted-GitHub-Permissions", "").strip()
    if permissions:
        alternatives = [part.strip().replace("=", ": ").replace(",", ", ") for part in permissions.split(";")]
        return f"; it lacks the permission {' or '.join(filter(None, alternatives))}"
    accepted = _scopes(answer.headers.get("X-Accepted-OAuth-Scopes", ""))
    if accepted and not accepted & _scopes(answer.headers.get("X-OAuth-Scopes", "")):
        return f"; it lacks the scope {' or '.join(sorted(accepted))}"
    return ""


def _scopes(header: str) -> set[str]:
    return {scope.strip() for scope in header.split(",") if scope.strip()}


def reasons(error: GithubException) -> list[str]:
    """Every reason that an answer gives, in GitHub's words: its message, and each of its errors."""
    data: Any = error.data
    if not isinstance(data, dict):
        return [str(data)[:_LONGEST]] if data else []
    listed = data.get("errors") or []
    found = [str(data["message"])] if data.get("message") else []
    for one in listed if isinstance(listed, list) else [listed]:
        if isinstance(one, dict):
            told = one.get("message") or " ".join(str(one.get(k, "")) for k in ("resource", "field", "code"))
            found.append(str(told).strip())
        else:
            found.append(str(one))
    return [text[:_LONGEST] for text in found if text]


def invalid_fields(error: GithubException) -> set[str]:
    """The fields that a 422 calls invalid."""
    data: Any = error.data
    listed = data.get("errors") if isinstance(data, dict) else None
    return {
        str(one.get("field"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and one.get("code") in ("invalid", "missing") and one.get("field")
    }


def says(error: GithubException, *texts: str) -> bool:
    """One of the reasons holds one of these texts, in whatever case."""
    told = "\n".join(reasons(error)).lower()
    return any(text.lower() in told for text in texts)


def forbidden(error: GithubException) -> bool:
    """A GraphQL answer says that the token lacks a right."""
    data: Any = error.data
    listed = data.get("errors") if isinstance(data, dict) else None
    kinds = {one.get("type") for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict)}
    return bool(kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"})


def general(error: GithubException, where: str) -> HybridCIError:
    """An error for an answer that nobody expected in that place."""
    details = reasons(error)
    if error.status == 404:
        return ConfigurationError(
            "GitHub knows no such thing, or does not show it to this token",
            where=where,
            details=details,
            hint="check owner and name of the repository, and what the token may see",
        )
    if error.status in (409, 422):
        return Refused("GitHub refuses this", where=where, details=details, hint="the reason above is GitHub's own")
    if error.status == 410:
        return Refused("that is switched off for this repository", where=where, details=details)
    return RemoteError(f"GitHub answered {error.status}", where=where, details=details, hint="run it again later")
