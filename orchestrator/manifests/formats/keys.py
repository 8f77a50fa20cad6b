"""What the names of keys say about images: which group a key belongs to, and which part of a reference it holds."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

# Keys that mean a part of a reference wherever they stand together. ``registry`` and ``hub`` go before a name;
# ``version`` is a tag only where something else says that an image is meant.
_ROLES = {
    "registry": "registry",
    "hub": "hub",
    "repository": "repository",
    "repo": "repo",
    "name": "name",
    "tag": "tag",
    "version": "version",
    "digest": "digest",
    "tagdigest": "tagdigest",
    "sha": "sha",
    "sha256": "sha256",
    "hash": "hash",
    "image": "image",
}
# Behind ``image`` a key can name the part that it holds: ``imageTag``, ``image_name``, ``sidecar-image-repository``.
_BEHIND = {role: role for role in _ROLES if role not in ("hub", "image")} | {
    "name": "imagename",
    "version": "imageversion",
    "ref": "imageref",
    "reference": "imagereference",
    "uri": "imageuri",
    "url": "imageurl",
}
PREFIXES = ("registry", "hub")
REPOSITORIES = ("repository", "repo")
NAMES = ("image", "imagename", "imageref", "imagereference", "imageuri", "imageurl")
DIGESTS = ("digest", "tagdigest", "sha", "sha256", "hash")
BARE = frozenset({"sha", "sha256", "hash"})
_STRONG = frozenset({*REPOSITORIES, *NAMES, "tag"})
# OpenShift notes here what it has rolled out (DeploymentConfig, ``imageChangeParams``).
_WRITTEN_BY_THE_CLUSTER = frozenset({"lastTriggeredImage"})
_BEHIND_IMAGE = re.compile(rf"(?P<stem>.*[iI]mage)[_-]?(?P<role>(?i:{'|'.join(_BEHIND)}))")
_IMAGE = re.compile(r"(?:.*[a-z0-9_-])?(?:[iI]mage|IMAGE)")


@lru_cache(maxsize=65536)
def role_of(key: str) -> tuple[str, str] | None:
    """The group of keys that a key belongs to, and its part in it: ``image.tag`` is (``image.``, ``tag``)."""
    before, dot, last = key.rpartition(".")
    role = _ROLES.get(last.lower())
    if dot:
        known = role is not None and role != "image" and is_image_key(before.rpartition(".")[2])
        return (before + ".", role) if known and role is not None else None
    if role is not None:
        return ("image" if role == "image" else ""), role
    if match := _BEHIND_IMAGE.fullmatch(key):
        return match["stem"], _BEHIND[match["role"].lower()]
    return (key, "image") if _IMAGE.fullmatch(key) and key not in _WRITTEN_BY_THE_CLUSTER else None


@lru_cache(maxsize=65536)
def is_image_key(key: str | None) -> bool:
    """The key says that what it holds is an image: ``image``, ``images``, ``sidecarImage``."""
    return key is not None and bool(_IMAGE.fullmatch(key.removesuffix("s")))


def is_telling(roles: Set[str]) -> bool:
    """The group holds more than keys that stand in any mapping (``name``, ``version``, ``registry``)."""
    return not _STRONG.isdisjoint(roles) or ("name" in roles and not roles.isdisjoint(DIGESTS))
