"""The record of one image that lies beside it in the registry: which tests its bytes passed, and where they are from.

It is a claim until it is signed: whoever may push to the repository may write one.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, ValidationError

from orchestrator import __version__
from orchestrator.core.release import ReleasedImage, SourceCommit, TestResult
from orchestrator.reports.records import Part, TestRecord, records_of_tests

SCHEMA: Final = "hybrid-ci.image/v1"
RECORD_TYPE: Final = "application/vnd.hybrid-ci.image.v1+json"


class ImageClaim(Part):
    """What the release says about one image."""

    schema_: Literal["hybrid-ci.image/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that wrote the record.")
    application: str
    name: str = Field(description="The image's name in the application.")
    repository: str = Field(description="Registry and path.")
    digest: str = Field(description="sha256 of the manifest or index.")
    kind: Literal["manifest", "index"] = Field(description="What the digest is of.")
    config: str | None = Field(description="Digest of the image configuration: what was tested.")
    platforms: list[str] = Field(description="Platforms that were tested.")
    content: str = Field(description="Content key: what it was built from.")
    definition: str = Field(description="Key of how it was tested.")
    built_from: str = Field(description="Commit whose content it is.")
    source: str | None = Field(description="URL of the application's repository, without credentials.")
    tests: list[TestRecord]

    def to_bytes(self) -> bytes:
        """JSON with a final newline."""
        return (self.model_dump_json(by_alias=True, indent=2) + "\n").encode()

    @property
    def annotations(self) -> dict[str, str]:
        """What tells two records of one image apart: they are equal for a rerun that has nothing new to say."""
        return {
            "org.opencontainers.image.revision": self.built_from,
            "dev.hybrid-ci.content": self.content,
            "dev.hybrid-ci.definition": self.definition,
        }


def image_claim(
    application: str,
    source: SourceCommit,
    image: ReleasedImage,
    tests: tuple[TestResult, ...],
    *,
    content: str,
    definition: str,
) -> ImageClaim:
    """The record of an image that was tested."""
    return ImageClaim(
        application=application,
        name=image.name,
        repository=str(image.pinned.repository),
        digest=str(image.pinned.digest),
        kind="index" if image.kind == "index" else "manifest",
        config=str(image.config) if image.config else None,
        platforms=[str(platform) for platform in image.platforms],
        content=content,
        definition=definition,
        built_from=str(image.built_from or source.id),
        source=source.remote,
        tests=records_of_tests(tests, image.name),
    )


def read_claim(content: bytes) -> ImageClaim | None:
    """The record in these bytes; None for what is none, or of another version."""
    try:
        return ImageClaim.model_validate_json(content, strict=True)
    except ValidationError:
        return None
