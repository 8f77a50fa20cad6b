"""Known flaws of git's client that a hostile repository or server could use, and the versions that end them.

From git's release notes (Documentation/RelNotes/ of https://github.com/git/git, the file of each last number names the
CVEs and the others) and its advisories (https://github.com/git/git/security/advisories), as of 2026-11. A version of a
series is safe from its named number on; a series that is not named is safe when it is newer than all that are. A
distribution may have mended an older number: then its own changelog tells. Flaws of Git for Windows alone are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "2026-11"
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
    Flaw(  # RelNotes 2.39.4 and 2.45.1
        "CVE-2024-32002, CVE-2024-32004, CVE-2024-32465",
        "a repository can run code while it is cloned",
        ((2, 39, 4), (2, 40, 2), (2, 41, 1), (2, 42, 2), (2, 43, 4), (2, 44, 1), (2, 45, 1)),
    ),
    Flaw(  # RelNotes 2.40.4 and 2.48.1
        "CVE-2024-50349, CVE-2024-52006",
        "a URL can make git give a credential to another host",
        ((2, 40, 4), (2, 41, 3), (2, 42, 4), (2, 43, 6), (2, 44, 3), (2, 45, 3), (2, 46, 3), (2, 47, 2), (2, 48, 1)),
    ),
    Flaw(  # RelNotes 2.43.7 and 2.50.1
        "CVE-2025-48384, CVE-2025-48385",
        "a submodule's path or a bundle's address can write files elsewhere",
        ((2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)),
    ),
    Flaw(  # RelNotes 2.51.3, and https://github.com/git-for-windows/git/releases/tag/v2.56.1.windows.1, of 2026-11-10
        "CVE-2026-111760, CVE-2026-113408",
        "a repository's submodules can run code while it is cloned, and a server's HEAD can write files elsewhere",
        ((2, 50, 2), (2, 51, 3), (2, 56, 1)),  # what 2.52 to 2.55 got is not told there, so 2.56.1 is asked for
    ),
)


def flaws_of(version: Version) -> tuple[Flaw, ...]:
    """The flaws that this version has, by its number."""
    return tuple(flaw for flaw in FLAWS if flaw.affects(version))
