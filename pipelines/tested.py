"""What the records beside an image say of its tests. Each is a claim, until it is signed."""

from __future__ import annotations

from orchestrator.core.facts import TestClaim
from orchestrator.core.image import PinnedImage
from orchestrator.images.artifacts import documents_of
from orchestrator.images.base import Registry
from orchestrator.reports.claims import RECORD_TYPE, read_claim


def claims_of(registry: Registry, image: PinnedImage) -> tuple[TestClaim, ...]:
    """The claims about this very digest, by whoever could push them. Raises RemoteError."""
    found = []
    for document in documents_of(registry, image.repository, image.digest, RECORD_TYPE):
        claim = read_claim(document.content)
        if claim is None or claim.digest != str(image.digest):
            continue
        passed = tuple(test.name for test in claim.tests if test.passed)
        failed = tuple(test.name for test in claim.tests if not test.passed)
        found.append(TestClaim(image.digest, passed, failed, f"{image.repository}@{document.digest}"))
    return tuple(found)
