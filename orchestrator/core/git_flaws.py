"""Known flaws of git's client that a hostile repository or server could use, and the versions that end them.

From git's release notes and advisories (https://github.com/git/git/security/advisories), as of 2026-03. A version of a
series is safe from its named number on; a series that is not named is safe when it is newer than all that are. A
distribution may have mended an older number: then its own changelog tells.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "2026-03"
Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One or several CVEs with the same fix. ``fixed`` are the first good versions, one a series."""

    names: str
    what: str
    fixed: tuple[Version, ...]

    def affects(self, version: Version) -> bool:
        """This version has it, as far as its number tells."""
        own_series = [good for good in self.fixed if good[:2] == version[:2]]
        return version < own_series[0] if own_series else version < max(self.fixed)


FLAWS = (
    Flaw(
        "CVE-2024-32002, CVE-2024-32004",
        "a repository can run code while it is cloned",
        ((2, 39, 4), (2, 40, 2), (2, 41, 1), (2, 42, 2), (2, 43, 4), (2, 44, 1), (2, 45, 1)),
    ),
    Flaw(
        "CVE-2024-50349, CVE-2024-52006",
        "a URL can make git give a credential to another host",
        ((2, 40, 4), (2, 41, 3), (2, 42, 4), (2, 43, 6), (2, 44, 3), (2, 45, 3), (2, 46, 3), (2, 47, 2), (2, 48, 1)),
    ),
    Flaw(
        "CVE-2025-48384, CVE-2025-48385",
        "a submodule's path or a bundle's address can write files elsewhere",
        ((2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)),
    ),
)


def flaws_of(version: Version) -> tuple[Flaw, ...]:
    """The flaws that this version has, by its number."""
    return tuple(flaw for flaw in FLAWS if flaw.affects(version))
