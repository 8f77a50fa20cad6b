"""The content key: a name for everything that decides what a build makes, known before the build.

Two builds with one key have the same Dockerfile, context, arguments, target, platform, labels and base images. It is
no promise of equal bytes: a step that fetches from a network can make something else each time.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, InvalidReference, Platform
from orchestrator.engine.parallel import side_by_side
from orchestrator.images.base import BuildSpec
from orchestrator.images.bases import bases
from orchestrator.images.context import Context
from orchestrator.images.dockerfile import Instruction, directives, instructions, words
from orchestrator.images.ignore import unreadable

_FORMAT = "hybrid-ci content key 1"
_TAG_PREFIX = "hybrid-ci-"
_CHUNK = 1 << 20
_READERS = 4  # hashing and reading let go of the interpreter's lock
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[\w-]+@[\w.-]+:", re.I)
_DOCKERS_OWN = re.compile(r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?")
_CHECKSUM = re.compile(r"--checksum=[^$\s]+")


class NoKey(ConfigurationError):
    """What the build depends on can't be told before it: the image is built every time."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """64 hex digits, and the tag that stands for them in a registry."""

    hex: str

    @property
    def tag(self) -> str:
        """The key tag. Whoever may push can set it, so it only says where to look."""
        return _TAG_PREFIX + self.hex


def is_key_tag(tag: str) -> bool:
    """Is this a tag of ours that stands for a content key?"""
    return re.fullmatch(_TAG_PREFIX + r"[0-9a-f]{64}", tag) is not None


def content_key(
    spec: BuildSpec,
    context: Context,
    labels: Mapping[str, str],
    platforms: Sequence[Platform],
    contents: Mapping[str, str],
    digest: str | None = None,
) -> ContentKey:
    """The key of this build. ``labels`` are the configured ones, without those that name the commit.

    ``platforms`` are those that it is built for, the engine's own included when none is asked for; ``contents`` says
    what each of ``named_bases`` holds: the digest that it resolves to, or the key of an image of this project;
    ``digest`` is the context's, where it is known already.
    Raises ConfigurationError for a file that can't be read.
    """
    parts = [
        _FORMAT,
        f"dockerfile {hashlib.sha256(context.dockerfile).hexdigest()}",
        f"target {spec.target or ''}",
        *(f"platform {platform}" for platform in sorted(map(str, platforms))),
        *_pairs("argument", spec.arguments),
        *_pairs("label", labels),
        *_pairs("base", contents),
        f"context {digest or context_digest(context)}",
    ]
    return ContentKey(hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest())


def context_digest(context: Context) -> str:
    """A digest over the names, kinds, modes and contents of what is sent; times and owners do not count.

    Raises ConfigurationError for a file that can't be read.
    """
    replaced = {name for name, _ in context.extra}
    paths = [path for path in context.selection.paths if path not in replaced]
    size = -(-len(paths) // _READERS) or 1
    parts = [paths[start : start + size] for start in range(0, len(paths), size)]
    described = side_by_side([partial(_describe_all, context.root, part) for part in parts], _READERS)
    entries = [entry for part in described for entry in part]
    whole = hashlib.sha256()
    for path, entry in (*zip(paths, entries, strict=True), *_given(context)):
        name = path.encode("utf-8", "surrogateescape")
        whole.update(b"%d:%s %s\n" % (len(name), name, entry))
    return whole.hexdigest()


def named_bases(dockerfile: bytes, arguments: Mapping[str, str]) -> Mapping[str, ImageReference]:
    """The images that the build begins from or copies from, by the names that the Dockerfile gives them.

    Raises NoKey for a name that is no reference, as one with a variable that nobody fills, for an ADD that fetches
    without a checksum, and for a frontend that is not Docker's own: what comes then can't be told before the build.
    """
    text = dockerfile.decode("utf-8", "replace")
    syntax = directives(text).get("syntax", "")
    if syntax and not _DOCKERS_OWN.fullmatch(syntax):
        raise NoKey(f"only the frontend {syntax} knows what the build takes", where="Dockerfile:1")
    for instruction in instructions(text):
        if _fetches(instruction):
            raise NoKey("what ADD fetches is not known before the build", where=f"Dockerfile:{instruction.line}")
    found: dict[str, ImageReference] = {}
    for base in bases(text, arguments):
        try:
            found[base.name] = ImageReference.parse(base.name)
        except InvalidReference:
            raise NoKey(
                f"the base image {base.written!r} is not known before the build", where=f"Dockerfile:{base.line}"
            ) from None
    return found


def _fetches(instruction: Instruction) -> bool:
    """An ADD (also one for those that build upon it) from a URL or a repository, or from what only a variable tells."""
    text = f"{instruction.keyword} {instruction.rest}".removeprefix("ONBUILD ")
    keyword, _, rest = text.partition(" ")
    if keyword.upper() != "ADD" or _CHECKSUM.search(rest):
        return False
    sources = [word.strip("[]\"',") for word in words(rest.replace(",", " "))]
    return any(source.startswith("$") or _REMOTE.match(source) for source in sources)


def _pairs(kind: str, values: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(values.items()):
        yield f"{kind} {len(name)}:{name} {len(value)}:{value}"


def _given(context: Context) -> Iterator[tuple[str, bytes]]:
    for name, content in context.extra:
        yield name, b"file 644 " + hashlib.sha256(content).hexdigest().encode()


def _describe_all(root: Path, paths: Sequence[str]) -> list[bytes]:
    return [_describe(root, path) for path in paths]


def _describe(root: Path, path: str) -> bytes:
    """Kind, mode and content of one entry, as the archive would carry them."""
    full = os.path.join(root, path)  # noqa: PTH118  (thousands of them: a Path for each costs more than its hash)
    try:
        status = os.lstat(full)
        mode = b"%o" % stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return b"link " + os.fsencode(os.readlink(full))  # noqa: PTH115
        if stat.S_ISDIR(status.st_mode):
            return b"folder " + mode
        if stat.S_ISREG(status.st_mode):
            return b"file " + mode + b" " + _hash(full).encode()
    except OSError as error:
        raise unreadable(Path(full), error) from None
    return b"left out"


def _hash(full: str) -> str:
    state = hashlib.sha256()
    with os.fdopen(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
