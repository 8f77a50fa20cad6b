"""Which of the keys that stand together make up a reference: a table of shapes, and what speaks for each.

A registry or a namespace under one key and the name under another are one reference; a name that only labels the
entry is none of it. Where the keys allow both readings the answer is a doubt with its reason, and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from orchestrator.manifests.formats.keys import BARE, DIGESTS, NAMES, PREFIXES, REPOSITORIES, is_image_key
from orchestrator.manifests.forms import parse
from orchestrator.manifests.places import key_above
from orchestrator.manifests.tree import Mapping, Scalar, Sequence, scalar, text_at

ELSEWHERE = "only the tag stands here; the repository is named elsewhere"
_NAMELESS = "it can't be told whether the repository is complete or goes before the name beside it"
_TWICE = "the registry stands in front of a name that has it already"
_EMPTY = "the registry of this name is filled in elsewhere"
_BETWEEN = "a key beside it may be a part of the name, and it can't be told in which place"
_VERSION = "the version beside the image may be its tag or that of the software"
_GIT = "this may be a Git source"

# Registries whose images always have a namespace, so that a host with one more part is no image by itself.
_NAMESPACED = frozenset({"ghcr.io", "quay.io", "gcr.io", "eu.gcr.io", "us.gcr.io", "nvcr.io", "docker.io"})
_GIT_HOSTS = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "dev.azure.com"})
_GIT_KEYS = frozenset({"git", "gitrepo", "gitrepository", "gitsource"})
_GIT_SIBLINGS = ("branch", "commit", "revision", "targetRevision", "repoURL", "gitRef", "ref")
_PARTS_OF_NAMES = frozenset(
    {"organization", "organisation", "org", "namespace", "project", "account", "owner", "imagePrefix"}
)

_NAMING = (*REPOSITORIES, *NAMES, "name")

Parts = dict[str, Scalar]


class Doubt(NamedTuple):
    """Keys that speak of an image which can't be told for certain; ``at`` is the key to show."""

    at: Scalar
    reason: str


class Reading(NamedTuple):
    """The scalars of one reference: what goes before the name, the name, its tag and its digest."""

    before: tuple[Scalar, ...]
    name: Scalar
    tag: Scalar | None
    digest: Scalar | None
    bare: bool

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """All of them."""
        return tuple(part for part in (*self.before, self.name, self.tag, self.digest) if part is not None)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a group of keys stands: ``inside`` below a key that says image, ``keyed`` also when its own keys say so.

    ``direct`` is True for the one mapping below a key like ``image``, where a ``name`` is the image's own.
    """

    inside: bool
    keyed: bool
    direct: bool
    above: str | None = None
    mapping: Mapping | None = None


def setting_of(mapping: Mapping, prefix: str) -> Setting:
    """The setting of a group of keys in a mapping."""
    above = key_above(mapping)
    direct = is_image_key(above) and not isinstance(mapping.parent, Sequence)
    inside = prefix.endswith(".") or is_image_key(above) or _among_images(mapping)
    singular = above is not None and not above.endswith("s")
    return Setting(inside, inside or bool(prefix), direct and singular, above, mapping)


def _among_images(mapping: Mapping) -> bool:
    """``images: {api: {…}}``."""
    parent = mapping.parent
    key = parent.parent.key_of(parent) if isinstance(parent, Mapping) and isinstance(parent.parent, Mapping) else None
    return key is not None and key.value.endswith("s") and is_image_key(key.value)


def read_group(parts: Parts, setting: Setting) -> Reading | Doubt | None:
    """The reference that these keys hold; None when they speak of no image."""
    doubt = _drop_sources(parts, setting)
    if doubt is not None:
        return doubt
    if "tag" in parts and parts["tag"].value and not any(parts[role].value for role in _NAMING if role in parts):
        return _tag_alone(parts, setting)
    judge = _judge_of(frozenset(parts))
    found = judge(parts, setting) if judge is not None else None
    if found is None or isinstance(found, Doubt):
        return found
    before, name = found
    if setting.direct and _has_more_parts(setting):
        return Doubt(parts[name], _BETWEEN)
    tag, digest = _tag(parts, setting, parts[name]), _digest(parts)
    if isinstance(tag, Doubt) or isinstance(digest, Doubt):
        return tag if isinstance(tag, Doubt) else digest if isinstance(digest, Doubt) else None
    heads = tuple(parts[role] for role in before if parts[role].value.strip("/"))
    return Reading(heads, parts[name], tag, parts[digest] if digest else None, digest in BARE)


def _has_more_parts(setting: Setting) -> bool:
    """Another key of the mapping may hold a part of the name: an organization, a project."""
    pairs = setting.mapping.pairs if setting.mapping is not None else ()
    named = (value for key, value in pairs if type(key) is Scalar and key.value in _PARTS_OF_NAMES)
    return any(text.value for value in named if (text := scalar(value)) is not None)


def _digest(parts: Parts) -> str | Doubt | None:
    """The role that holds the digest; an empty one counts when there is no other."""
    there = [role for role in DIGESTS if role in parts]
    filled = [role for role in there if parts[role].value]
    if len(filled) > 1:
        return Doubt(parts[filled[1]], "two keys hold a digest")
    return next(iter(filled or there), None)


def joined(before: tuple[Scalar, ...], name: str) -> str:
    """The parts of a name as people would write it in one piece."""
    return "/".join((*(part.value.strip("/") for part in before), name))


def has_version(reference: str) -> bool:
    """The text is a reference with a tag or a digest."""
    found = parse(reference)
    return found is not None and (found.tag is not None or found.digest is not None)


def host_of(name: str) -> str:
    """The registry that a name spells out; empty when it has none."""
    first, slash, _ = name.partition("/")
    return first if slash and is_host(first) else ""


def is_host(text: str) -> bool:
    """The part before the first slash is a registry, by the rule of Docker's references."""
    return "." in text or ":" in text or text == "localhost"


# What is no image


def _drop_sources(parts: Parts, setting: Setting) -> Doubt | None:
    """A repository of Git or of charts is none of an image; take it out."""
    for role in (role for role in REPOSITORIES if role in parts):
        text = parts[role].value
        if is_source(text) or (not setting.keyed and not _heads(parts) and _is_git_setting(setting)):
            del parts[role]
        elif setting.above in ("source", "sources") and not host_of(text) and not parts.keys() & {*PREFIXES, *NAMES}:
            return Doubt(parts[role], _GIT)
    return None


def is_source(text: str) -> bool:
    """An address of a Git repository or of charts."""
    return "://" in text or text.endswith(".git") or text.startswith("git@") or text.partition("/")[0] in _GIT_HOSTS


def _is_git_setting(setting: Setting) -> bool:
    if setting.above is not None and setting.above.lower() in _GIT_KEYS:
        return True
    return setting.mapping is not None and any(setting.mapping.get(key) is not None for key in _GIT_SIBLINGS)


# The shapes

Judged = tuple[tuple[str, ...], str] | Doubt | None  # the roles before the name, and that of the name


Judge = Callable[[Parts, Setting], Judged]


def _first(parts: Parts, roles: tuple[str, ...]) -> str:
    return next(role for role in roles if role in parts)


def _heads(parts: Parts) -> tuple[str, ...]:
    """The registry, where one is written."""
    return tuple(role for role in PREFIXES if role in parts and parts[role].value)[:1]


def _repository_and_image(parts: Parts, setting: Setting) -> Judged:
    """``{repository: nvcr.io/nvidia, image: driver}``: a namespace and a name."""
    repository, name = _first(parts, REPOSITORIES), _first(parts, NAMES)
    outer, inner = parts[repository].value.strip("/"), parts[name].value
    if has_version(inner):
        return _headed(parts, name)
    if not outer:
        return _image(parts, setting) if host_of(inner) or _heads(parts) else Doubt(parts[name], _EMPTY)
    whole = joined(tuple(parts[role] for role in _heads(parts)), outer)
    host = bool(host_of(whole)) or is_host(whole)
    path = whole.split("/")[bool(host) :]
    if host_of(inner) or (path and path[-1] == inner) or not (host or (len(path) == 1 and "/" not in inner)):
        return Doubt(parts[name], _NAMELESS)
    return (*_heads(parts), repository), name


def _repository_and_name(parts: Parts, setting: Setting) -> Judged:
    """A name beside a repository completes it or labels the entry; the shape of the repository tells."""
    repository = _first(parts, REPOSITORIES)
    outer, inner = parts[repository].value.strip("/"), parts["name"].value
    alone, both = _headed(parts, repository), ((*_heads(parts), repository), "name")
    if not outer:
        return _name(parts, setting)
    whole = joined(tuple(parts[role] for role in _heads(parts)), outer)
    host = host_of(whole) or (whole if is_host(whole) else "")
    path = whole.split("/")[bool(host) :]
    if not path:
        return both
    if path[-1] == inner or parse(inner) is None or inner != inner.lower():
        return alone
    if host in _NAMESPACED and len(path) == 1 and host != "docker.io":
        return both
    if setting.direct:
        return both if host and len(path) == 1 else Doubt(parts["name"], _NAMELESS)
    return Doubt(parts["name"], _NAMELESS) if host and len(path) == 1 and not _heads(parts) else alone


def _repository(parts: Parts, setting: Setting) -> Judged:
    repository = _first(parts, REPOSITORIES)
    return _headed(parts, repository) if parts[repository].value else None


def _image(parts: Parts, setting: Setting) -> Judged:
    """``{registry: ghcr.io, image: acme/api}``; an empty ``hub`` is filled in by the chart."""
    name = _first(parts, NAMES)
    if "hub" in parts and not parts["hub"].value and not host_of(parts[name].value):
        return Doubt(parts[name], _EMPTY)
    return _headed(parts, name)


def _name(parts: Parts, setting: Setting) -> Judged:
    """A ``name`` is an image's only where something else says so."""
    if has_version(parts["name"].value):
        return _headed(parts, "name") if setting.keyed else None
    versions = parts.keys() & {"tag", *DIGESTS} or (setting.keyed and "version" in parts)
    telling = setting.keyed or "/" in parts["name"].value or bool(_heads(parts))
    return _headed(parts, "name") if versions and telling else None


def _tag_alone(parts: Parts, setting: Setting) -> Doubt | None:
    telling = setting.keyed or _heads(parts) == ("hub",)
    return Doubt(parts["tag"], ELSEWHERE) if telling else None


def _headed(parts: Parts, name: str) -> Judged:
    """A name behind its registry, if there is one. A word that is no host makes no registry of a longer name."""
    heads = _heads(parts)
    if not heads:
        return (), name
    head, text = parts[heads[0]].value.strip("/"), parts[name].value
    if text.startswith(head + "/") or (host_of(text) and host_of(text) == head.partition("/")[0]):
        return Doubt(parts[name], _TWICE)
    if not is_host(head.partition("/")[0]) and joined((parts[heads[0]],), text).count("/") > 1:
        return Doubt(parts[name], f"{head!r} is no registry, and it can't be told which one it stands for")
    return heads, name


# Each set of keys must have one that is there; the first shape that fits is judged.
_SHAPES: tuple[tuple[tuple[tuple[str, ...], ...], Judge], ...] = (
    ((REPOSITORIES, NAMES), _repository_and_image),
    ((REPOSITORIES, ("name",)), _repository_and_name),
    ((REPOSITORIES,), _repository),
    ((NAMES,), _image),
    ((("name",),), _name),
    ((("tag",),), _tag_alone),
)


@lru_cache(maxsize=4096)
def _judge_of(roles: frozenset[str]) -> Judge | None:
    """How keys of these roles are judged."""
    return next((judge for needs, judge in _SHAPES if all(not roles.isdisjoint(some) for some in needs)), None)


# The tag


def _tag(parts: Parts, setting: Setting, name: Scalar) -> Scalar | Doubt | None:
    """The key that holds the tag: ``tag``, or ``version`` where that is not the version of something else."""
    version = parts.get("imageversion") or parts.get("version")
    if "tag" in parts or version is None or has_version(name.value):
        return parts.get("tag")
    together = not parts.keys().isdisjoint(REPOSITORIES) and not parts.keys().isdisjoint(NAMES)
    if "imageversion" in parts or setting.inside or together or _heads(parts):
        return version
    if name is parts.get("image"):
        return Doubt(version, _VERSION) if _in_object(setting) else version
    return version if host_of(name.value) else None


def _in_object(setting: Setting) -> bool:
    """In an object of Kubernetes, whose ``version`` belongs to what its operator runs."""
    node: Mapping | Sequence | None = setting.mapping
    while node is not None and node.parent is not None:
        node = node.parent
    return text_at(node, "kind") is not None and text_at(node, "apiVersion") is not None
