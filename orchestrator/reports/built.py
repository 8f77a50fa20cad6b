"""The build record: what one runner built, tested and pushed, for the job that joins the records of many runners.

It travels as a file through the CI's own artifacts, so it is a claim: the handoff asks the registry about all of it.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, ValidationError

from orchestrator import __version__
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.text import printable
from orchestrator.reports.records import Document, ImageRecord, Part, SourceRecord, StageRecord

SCHEMA: Final = "hybrid-ci.build/v1"
LARGEST = 1 << 20
MOST = 1000
_SHOWN = 5


class BuiltImageRecord(ImageRecord):
    """One image, as the registry reported it, with what it was made from and how it was tested."""

    digest: str = Field(description="sha256 of the manifest or index, read back from the registry.")
    built_from: str = Field(description="Commit whose content it is: an earlier one for an image that did not change.")
    content: str | None = Field(description="Content key: what it was built from; null where it can't be told.")
    definition: str = Field(description="Key of how it was tested.")
    tested_before: bool = Field(
        description="The GitOps base branch says that it was tested, so no test ran; the handoff asks there again."
    )
    record: str | None = Field(description="Digest of the record that lies beside the image in its registry.")


class SignalRecord(Part):
    """A cloud's identity that the job held, by name alone. Only the policy can say whether it may."""

    name: str
    provider: str


class BuildRecord(Document):
    """What one run of ``hybrid-ci build`` did."""

    lost: ClassVar[str] = "the images are in the registry; run it again with another --record to get the record"

    schema_: Literal["hybrid-ci.build/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that wrote the record.")
    application: str
    created: datetime
    source: SourceRecord
    run_url: str | None = Field(description="Where the CI shows the run.")
    policy: bool = Field(description="The GitOps policy could be read, so the images were built by its rules.")
    identities: list[SignalRecord] = Field(description="Clouds whose identity the job held; the handoff judges them.")
    images: list[BuiltImageRecord] = Field(min_length=1)
    stages: list[StageRecord] = Field(description="The stages of the run, in their order.")

    def of(self, image: BuiltImageRecord) -> BuildRecord:
        """The same with one of its images alone."""
        return self.model_copy(update={"images": [image]})

    def write_to(self, place: Path, redact: Callable[[str], str] = str) -> tuple[Path, ...]:
        """Write it to a file, or to one file an image in a folder. Raises ConfigurationError."""
        documents = {place / f"{one.name}.json": self.of(one) for one in self.images} if is_folder(place) else {}
        for file, document in (documents or {place: self}).items():
            document.write(file, redact)
        return tuple(documents or [place])


def is_folder(place: Path) -> bool:
    """The path is for one file an image: a folder, or one that is not there and has no ending."""
    return place.is_dir() or (not place.exists() and not place.suffix)


def build_schema() -> dict[str, Any]:
    """The JSON Schema of the build record."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **BuildRecord.model_json_schema()}


def read_build(file: Path) -> BuildRecord:
    """The record in this file. Raises ConfigurationError for what is none of ours, or larger than one can be."""
    content = _read(file)
    _check_schema(file, content)
    try:
        return BuildRecord.model_validate_json(content, strict=True)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:_SHOWN]]
        raise ConfigurationError(
            "this is no build record of hybrid-ci",
            where=str(file),
            details=[printable(line) for line in lines],
            hint="give the files that `hybrid-ci build --record` wrote, as they are",
        ) from None


def files_of(patterns: Sequence[str], directory: Path) -> tuple[Path, ...]:
    """The files that patterns (``records/*.json``), folders (all ``.json`` in them) and names mean, each once.

    A pattern may find nothing: what is missing is told by who knows what is needed. Raises ConfigurationError for
    more files than a release has images.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        place = directory / pattern
        if place.is_dir():
            found |= dict.fromkeys(sorted(place.glob("*.json")))
        elif place.exists() or not any(c in pattern for c in "*?["):
            found[place] = None
        else:
            root = Path(place.anchor)
            found |= dict.fromkeys(sorted(root.glob(str(place.relative_to(root)))))
    if len(found) > MOST:
        raise ConfigurationError(
            f"there are more than {MOST} records", where="--records", hint="name those of this release"
        )
    return tuple(found)


def _check_schema(file: Path, content: bytes) -> None:
    """A record of another version is told apart from a file that is none."""
    try:
        named = json.loads(content).get("schema")
    except (ValueError, AttributeError, RecursionError):
        return
    if isinstance(named, str) and named != SCHEMA:
        raise ConfigurationError(
            f"the schema {printable(named)[:80]!r} is not known here",
            where=str(file),
            hint=f"this is hybrid-ci {__version__}, which reads {SCHEMA}; use one version in all jobs of a pipeline",
        )


def _read(file: Path) -> bytes:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigurationError("this is not a regular file", where=str(file), hint="name a record's file")
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the record can't be read: {error.strerror}",
            where=str(file),
            hint="did the build job hand it on as an artifact, and did this job fetch it?",
        ) from None
    if len(content) > LARGEST:
        raise ConfigurationError(
            f"the record is larger than {LARGEST >> 20} MiB, which no record is", where=str(file), hint="name a record"
        )
    return content
