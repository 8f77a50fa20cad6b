"""Tags from a template. Everything in a tag comes from the source commit, so a rerun makes the same tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import InvalidReference, parse_tag
from orchestrator.core.release import SourceCommit

_SHORT = 12
_LONGEST = 128
_FIELD = re.compile(r"\{([a-z]+)\}")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*(?:[-.][0-9A-Za-z.-]+)?)")


def render_tag(template: str, source: SourceCommit) -> str:
    """The tag for this commit. Fields: ``{version}``, ``{sha}`` (12 digits), ``{commit}``, ``{branch}``, ``{date}``.

    Raises ConfigurationError when the commit can't fill a field, or the result is no tag.
    """
    values: Mapping[str, str] = {
        "sha": str(source.id)[:_SHORT],
        "commit": str(source.id),
        "date": source.authored.astimezone(UTC).strftime("%Y%m%d"),
    }

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name == "version":
            return _version(source, template)
        if name == "branch":
            return _branch(source, template)
        return values[name]

    try:
        return parse_tag(_FIELD.sub(fill, template)[:_LONGEST])
    except InvalidReference as error:
        raise ConfigurationError(error.message, where=f"tag template {template!r}", hint=error.hint) from None


def _version(source: SourceCommit, template: str) -> str:
    versions = {match[1] for tag in source.tags if (match := _VERSION.fullmatch(tag))}
    if len(versions) == 1:
        return versions.pop()
    found = f"it has {', '.join(sorted(versions))}" if versions else "it has none"
    raise ConfigurationError(
        f"{{version}} needs exactly one version tag on the commit, and {found}",
        where=f"tag template {template!r}, commit {source.id.short}",
        hint="tag the commit (git tag v1.2.3), fetch tags in CI, or use {sha}",
    )


def _branch(source: SourceCommit, template: str) -> str:
    if source.branch is None:
        raise ConfigurationError(
            "{branch} needs a branch, and the checkout is detached",
            where=f"tag template {template!r}, commit {source.id.short}",
            hint="check out the branch, or use {sha}",
        )
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", source.branch).strip(".-") or "branch"
