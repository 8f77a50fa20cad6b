"""How large a build context is, and what makes it so: a forgotten dump or dependency folder costs every build."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.images.base import MEBIBYTE, BuildSpec
from orchestrator.images.ignore import unreadable

_NAMED = 5


def check_size(spec: BuildSpec, paths: Iterable[str]) -> None:
    """Raises ConfigurationError, naming the largest files and folders, where these files are more than the limit."""
    sizes = _sizes(spec.context, paths)
    total = sum(sizes.values())
    if total <= spec.context_limit:
        return
    raise ConfigurationError(
        f"the build context of {spec.name} is {_shown(total)}, and its limit is {_shown(spec.context_limit)}",
        where=str(spec.context),
        hint="leave out what the image does not need by .dockerignore, or raise the image's context_limit",
        details=[
            *(f"{_shown(size)} in {folder}/" for folder, size in _largest(_by_folder(sizes))),
            *(f"{_shown(size)} {path}" for path, size in _largest(sizes)),
        ],
    )


def _sizes(root: Path, paths: Iterable[str]) -> Mapping[str, int]:
    """The sizes of the regular files. What else there is has no content that is sent."""
    found: dict[str, int] = {}
    for path in paths:
        full = os.path.join(root, path)  # noqa: PTH118  (thousands of them)
        try:
            status = os.lstat(full)
        except OSError as error:
            raise unreadable(Path(full), error) from None
        if stat.S_ISREG(status.st_mode):
            found[path] = status.st_size
    return found


def _by_folder(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """The sizes of the folders at the top."""
    found: dict[str, int] = {}
    for path, size in sizes.items():
        folder, slash, _ = path.partition("/")
        if slash:
            found[folder] = found.get(folder, 0) + size
    return found


def _largest(sizes: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]


def _shown(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f} MiB" if size >= MEBIBYTE // 10 else f"{size:,} bytes"
