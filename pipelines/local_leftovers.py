"""What an edit left alone although it names a wanted image: told, so that nobody believes that all is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from orchestrator.core.image import ImageReference, Repository
from orchestrator.manifests.elsewhere import mentioned
from orchestrator.manifests.mention import mentions
from orchestrator.manifests.pins import Edit, Pin, ScanOptions, Unresolved, find_pins
from pipelines.local_arguments import NamedImage
from pipelines.local_files import LocalFile


def leftovers(
    file: LocalFile,
    edits: Sequence[Edit],
    images: Sequence[ImageReference],
    names: Sequence[NamedImage],
    options: ScanOptions,
) -> Iterator[Unresolved]:
    """The places of a file that can't be used as pins, or are edited only when asked for, and name a wanted image.

    Lines are those of the file before the edits. Where the options narrow the edit, what they leave out is no news.
    """
    repositories = [image.repository for image in images]
    if not (mentions(file.content, repositories) or any(one.name.encode() in file.content for one in names)):
        return
    if not names and _all_edited(file.content, repositories, [pin for edit in edits for pin in edit.pins]):
        return
    plain = replace(options, places=(), containers=(), names=())
    told: set[str] = set()
    for problem in find_pins(file.path, file.content, plain).unresolved:
        if _names_one(problem, file.content, repositories, names):
            told.add(_outer(problem.place))
            yield problem
    if options.places or options.containers or (options.arguments and options.embedded):
        return
    done = {pin.at for edit in edits for pin in edit.pins}
    asked: set[str] = set()
    for pin in find_pins(file.path, file.content, replace(plain, arguments=True, embedded=True)).pins:
        reason = _reason(pin, options)
        if pin.image.repository in repositories and reason and pin.at not in done and _outer(pin.place) not in told:
            asked.add(_outer(pin.place))
            yield Unresolved(pin.path, pin.line, pin.place, reason, text=pin.text)
    for one in mentioned(file.path, file.content, repositories, plain):
        if not (_lies_in(one.at, done) or _lies_in(one.place, told | asked)):
            reason = f"it is no place where images are looked for; --at '{one.place}' edits it"
            yield Unresolved(file.path, one.line, one.place, reason, text=one.text)


def _lies_in(place: str, others: Collection[str]) -> bool:
    """The place is one of the others, or below one."""
    return place in others or any(place.startswith((f"{other}.", f"{other}[")) for other in others)


def _all_edited(content: bytes, repositories: Sequence[Repository], pins: Sequence[Pin]) -> bool:
    """By the bytes: on every line the names are not more than the pins there. Then nothing needs a second look.

    Most files are so. A pin may stand for several names only by an anchor, so with one in the file this says no.
    """
    if b"&" in content:
        return False
    paths = {repository.path.removeprefix("library/").encode() for repository in repositories}
    here = Counter(pin.line for pin in pins)
    lines = enumerate(content.split(b"\n"), start=1)
    return all(sum(map(line.count, paths)) <= here[number] for number, line in lines)


def _outer(place: str) -> str:
    """The place in the file; behind it may stand one in a text."""
    return place.partition("::")[0]


def _names_one(
    problem: Unresolved, content: bytes, repositories: Sequence[Repository], names: Sequence[NamedImage]
) -> bool:
    """The place speaks of a wanted image; of a file that can't be read as a whole, any part of it may."""
    speaks = problem.text.encode("utf-8", "surrogateescape") if problem.place else content
    if mentions(speaks, repositories):
        return True
    return any(problem.text == one.name or problem.text.startswith(f"{one.name}:") for one in names)


def _reason(pin: Pin, options: ScanOptions) -> str | None:
    """Why a pin that a wider look finds was not edited; None for what was left out on purpose."""
    if "::" in pin.place:
        return None if options.embedded else "it stands in a text; --embedded edits it"
    if pin.format == "argument":
        return None if options.arguments else "it stands in an argument; --arguments edits it"
    return None
