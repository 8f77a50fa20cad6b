"""Tags from a template. Everything in a tag comes from the source commit, so a rerun makes the same tag."""

from __future__ import annotations

import re
from datetime import UTC

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import InvalidReference, parse_tag
from orchestrator.core.release import SourceCommit

_SHORT = 12
_LONGEST = 128
_FIELD = re.compile(r"\{([a-z]+)\}")
_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9]+)*(?:[-.][0-9A-Za-z.-]+)?)")


def render_tag(template: str, source: SourceCommit) -> str:
    """The tag for this commit. Fields: ``{version}``, ``{sha}`` (12 digits), ``{commit}``, ``{branch}``, ``{date}``.

    A long branch is cut so that the rest fits: without its ``{sha}``, two commits would share a tag. Raises
    ConfigurationError when the commit can't fill a field, or the result is no tag.
    """
    where = f"tag template {template!r}"
    values = {name: _field(name, source, where) for name in dict.fromkeys(_FIELD.findall(template))}
    if branches := template.count("{branch}"):
        rest = _FIELD.sub(lambda match: values[match[1]] if match[1] != "branch" else "", template)
        values["branch"] = values["branch"][: max(1, (_LONGEST - len(rest)) // branches)]
    try:
        return parse_tag(_FIELD.sub(lambda match: values[match[1]], template))
    except InvalidReference as error:
        raise ConfigurationError(error.message, where=where, hint=error.hint) from None


def _field(name: str, source: SourceCommit, where: str) -> str:
    match name:
        case "sha":
            return str(source.id)[:_SHORT]
        case "commit":
            return str(source.id)
        case "date":
            return source.authored.astimezone(UTC).strftime("%Y%m%d")
        case "version":
            return _version(source, where)
        case "branch":
            return _branch(source, where)
    raise ConfigurationError(
        f"{{{name}}} is not known in a tag", where=where, hint="use {version}, {sha}, {commit}, {branch} or {date}"
    )


def _version(source: SourceCommit, where: str) -> str:
    versions = {match[1] for tag in source.tags if (match := _VERSION.fullmatch(tag))}
    if len(versions) == 1:
        return versions.pop()
    found = f"it has {', '.join(sorted(versions))}" if versions else "it has none"
    raise ConfigurationError(
        f"{{version}} needs exactly one version tag on the commit, and {found}",
        where=f"{where}, commit {source.id.short}",
        hint="tag the commit (git tag v1.2.3), fetch tags in CI, or use {sha}",
    )


def _branch(source: SourceCommit, where: str) -> str:
    if source.branch is None:
        raise ConfigurationError(
            "{branch} needs a branch, and the checkout is detached",
            where=f"{where}, commit {source.id.short}",
            hint="check out the branch, or use {sha}",
        )
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", source.branch).strip(".-") or "branch"
