"""Find every image reference in a file, and change it without touching another byte.

Bytes in, bytes out; nothing is read or written here. ``find_pins`` never fails: what can't be read is part of its
answer. ``set_image`` and ``set_images`` either give back bytes that are proven to differ in the intended places
alone, or raise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import ImageReference, PinnedImage, Repository
from orchestrator.core.names import RepoPath
from orchestrator.core.patterns import matches
from orchestrator.manifests.document import Document, Template, TooLarge, Unreadable, decode, load, position
from orchestrator.manifests.embedded import Embedded
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.forms import Wanted
from orchestrator.manifests.mention import may_hold, mentions
from orchestrator.manifests.merges import inherited, inherited_version, may_spread, version_of
from orchestrator.manifests.model import Edit, Findings, Pin, PinChange, Unresolved
from orchestrator.manifests.options import DEFAULT, ScanOptions, Target
from orchestrator.manifests.proof import NotProven, prove, prove_bytes, prove_inside
from orchestrator.manifests.reader import Readings, Reference, container_of, places_of, policy_of, read
from orchestrator.manifests.resting import Resting
from orchestrator.manifests.scalars import CannotSpell
from orchestrator.manifests.sharing import Sharing
from orchestrator.manifests.steps import Step, Write, apply
from orchestrator.manifests.tree import Broken, Scalar

__all__ = [
    "DEFAULT",
    "Edit",
    "Findings",
    "Pin",
    "PinChange",
    "ScanOptions",
    "Target",
    "Unresolved",
    "find_pins",
    "may_hold",
    "set_image",
    "set_images",
]


_INHERITED = "the tag or digest comes from another mapping by a merge key (<<)"
_MERGE = re.compile(r"<<\s*:")


def find_pins(path: RepoPath, content: bytes, options: ScanOptions = DEFAULT) -> Findings:
    """Every pin of a file, and what looks like one and is none. Raises nothing but ConfigurationError for options."""
    with Resting():
        try:
            found = read(path, content, options)
        except Broken as error:
            return Findings((), (_unreadable(path, content, error),))
        return _findings(found, content)


def _findings(found: Readings, content: bytes) -> Findings:
    scan, references = found.scan, found.references
    path = scan.path
    pins = tuple(_pin(scan, reference) for reference in references if _is_pin(reference))
    if scan.document.template is not None:
        return Findings(pins, (_unreadable(path, content, scan.document.template),))
    problems = [
        Unresolved(path, scan.document.line(p.node.start), scan.document.places.of(p.node), p.reason, text=p.text)
        for p in scan.problems
    ]
    inherit = [r for r in (*references, *found.shadowed) if r.doubled is None and not _is_pin(r)]
    problems += [_inherited(scan, reference) for reference in inherit]
    problems += [_doubled(scan, reference) for reference in references if reference.doubled is not None]
    return Findings(pins, tuple(sorted(problems, key=lambda problem: problem.line)))


def set_image(
    path: RepoPath, content: bytes, image: ImageReference | PinnedImage, options: ScanOptions = DEFAULT
) -> Edit:
    """Give every pin of the image's repository this tag and digest.

    Raises ConfigurationError when the file names the image and can't be read, and Refused, with the reason, when a
    pin can't be edited without touching or guessing something else. A file without such a pin comes back as it is.
    """
    return set_images(path, content, (image,), options)


def set_images(
    path: RepoPath,
    content: bytes,
    images: Sequence[ImageReference | PinnedImage],
    options: ScanOptions = DEFAULT,
    *,
    spelled: str | None = None,
) -> Edit:
    """The same for several images at once: all of them, or an error.

    ``spelled`` is how the repository is written where an entry of ``options.names`` has to be renamed.
    """
    wanted = _wanted(images, spelled)
    unchanged = Edit(path, content, content)
    if options.names and len(wanted) != 1:
        raise ConfigurationError("named entries are set to one image at a time")
    named = bool(options.places) or _is_target(path, wanted, options)
    if not (named or options.names or may_hold(content, wanted)):
        return unchanged
    with Resting():
        try:
            found = read(path, content, options)
        except Template:
            return unchanged
        except Broken as error:
            if named or mentions(content, wanted):
                raise _broken(path, content, error) from None
            return unchanged
        chosen = [r for r in found.references if _is_chosen(r, wanted, options)]
        return _edit(found, content, chosen, wanted)


def _wanted(images: Sequence[ImageReference | PinnedImage], spelled: str | None) -> dict[Repository, Wanted]:
    wanted: dict[Repository, Wanted] = {}
    for image in images:
        this = Wanted(image.tag, image.digest, spelled or str(image.repository))
        if this.tag is None and this.digest is None:
            raise ConfigurationError(f"{image} has neither a tag nor a digest", hint="write repository:tag@sha256:…")
        if wanted.setdefault(image.repository, this) != this:
            raise ConfigurationError(f"two different versions of {image.repository} are asked for")
    return wanted


def _is_target(path: RepoPath, wanted: dict[Repository, Wanted], options: ScanOptions) -> bool:
    """Configuration names a place in this very file for one of the images."""
    return any(target.image in wanted and matches(target.file, path.value) for target in options.targets)


def _is_chosen(reference: Reference, wanted: dict[Repository, Wanted], options: ScanOptions) -> bool:
    """The pin is one of a wanted image; or an entry that was named, which may be renamed."""
    if options.names:
        return True
    return reference.form.image.repository in wanted and (options.add_tag or _is_tagged(reference))


def _is_tagged(reference: Reference) -> bool:
    image = reference.form.image
    return image.tag is not None or image.digest is not None


def _edit(found: Readings, content: bytes, chosen: list[Reference], wanted: dict[Repository, Wanted]) -> Edit:
    """Plan the steps of every chosen reference, make the splices, and prove the result."""
    scan, document = found.scan, found.scan.document
    steps: list[Step] = []
    changes: list[PinChange] = []
    pins: list[Pin] = []
    sharing = Sharing(scan, [*found.references, *found.shadowed, *found.outside])
    for reference in chosen:
        pin = _pin(scan, reference)
        pins.append(pin)
        if reference.doubled is not None:
            raise Refused(
                f"the key {reference.doubled.value!r} stands twice on the way to {pin.image.repository}",
                where=f"{scan.path}:{document.line(reference.doubled.start)}",
                hint="remove one of the two; readers of YAML differ in which one they take",
            )
        target = wanted.get(reference.form.image.repository) or next(iter(wanted.values()))
        try:
            planned = reference.form.plan(document.text, target)
            after = reference.form.after(target)
        except CannotSpell as error:
            raise _refused(pin, str(error)) from None
        if (
            planned
            and inherited_version(reference.form) is not None
            and _is_followed(reference, chosen, wanted, target)
        ):
            continue
        if planned:
            _refuse_inherited(pin, reference, planned)
            _refuse_shared(scan, pin, planned, sharing, wanted, target)
            steps += planned
            changes.append(PinChange(pin, after, sharing.followers(planned)))
    if not steps:
        return Edit(scan.path, content, content, (), tuple(pins))
    content_after = proven(scan.path, document, scan.options, steps)
    if any(may_spread(step) for step in steps):
        _prove_merges(found, content_after, wanted)
    return Edit(scan.path, content, content_after, tuple(changes), tuple(pins))


def _is_followed(
    reference: Reference, chosen: list[Reference], wanted: dict[Repository, Wanted], target: Wanted
) -> bool:
    """All parts of the version are inherited from a pin that is brought to the same version."""
    form = reference.form
    if isinstance(form, Embedded):
        return False
    version = {id(part) for part in version_of(form)}
    if not version <= {id(part) for part in inherited(form)}:
        return False
    return any(
        version <= {id(part) for part in other.form.scalars}
        and inherited_version(other.form) is None
        and wanted.get(other.form.image.repository) == target
        for other in chosen
        if other is not reference
    )


def _refuse_inherited(pin: Pin, reference: Reference, planned: list[Step]) -> None:
    """What another mapping holds is not written for the one that takes it over."""
    parts = {id(part) for part in inherited(reference.form)}
    if not parts:
        return
    if isinstance(reference.form, Embedded) or any(isinstance(s, Write) and id(s.node) in parts for s in planned):
        raise _refused(pin, _INHERITED)


def _prove_merges(found: Readings, after: bytes, wanted: dict[Repository, Wanted]) -> None:
    """Where mappings are merged, no image may change but to what is wanted. Raises Refused."""
    scan = found.scan
    if scan.document.template is not None or not _MERGE.search(scan.document.text):
        return
    options = replace(scan.options, places=(), containers=(), names=())
    if scan.options.names:  # entries of other names were passed over
        found = read(scan.path, scan.document.encode(scan.document.text), options)
    old, new = _images(found), _images(read(scan.path, after, options))
    for at in old.keys() | new.keys():
        for image in new.get(at, set()) - old.get(at, set()):
            if not any(_is_wanted(image, repository, target) for repository, target in wanted.items()):
                raise refused_at(str(scan.path), at, f"by a merge key the edit would change it to {image}")


def _images(found: Readings) -> dict[str, set[ImageReference]]:
    images: dict[str, set[ImageReference]] = {}
    for reference in (*found.references, *found.shadowed, *found.outside):
        images.setdefault(places_of(found.scan, reference.form)[1], set()).add(reference.form.image)
    return images


def _is_wanted(image: ImageReference, repository: Repository, target: Wanted) -> bool:
    same = image.repository == repository
    tag, digest = target.tag in (None, image.tag), target.digest in (None, image.digest)
    return same and (tag or image.tag is None) and digest


def _refused(pin: Pin, reason: str) -> Refused:
    return Refused(
        f"{pin.image.repository} can't be changed here: {reason}",
        where=pin.where,
        hint="edit this place by hand, or bring it into a form that can be edited",
        details=(f"place: {pin.place}", f"stands there: {pin.text}"),
    )


def proven(path: RepoPath, document: Document, options: ScanOptions, steps: list[Step]) -> bytes:
    """The file after these steps, parsed again and compared with what was intended. Raises Refused."""
    splices = [step.splice for step in steps]
    try:
        text = apply(document.text, splices)
        after = document.encode(text)
        prove_bytes(document.text, text, splices)
        prove_inside(steps)
        if document.template is None:
            prove(document.order, text, steps, json=document.json)
    except (CannotSpell, NotProven, Broken) as error:
        raise Refused(
            f"the edit could not be proven: {error}",
            where=str(path),
            hint="nothing was changed; edit this file by hand and report what it holds",
        ) from None
    return after


def load_or_explain(path: RepoPath, content: bytes, options: ScanOptions) -> Document:
    """The file as a document. Raises ConfigurationError with line and column when it can't be read."""
    try:
        return load(content, options, json=path.name.endswith(".json"))
    except Broken as error:
        raise _broken(path, content, error) from None


def _broken(path: RepoPath, content: bytes, error: Broken) -> ConfigurationError:
    problem = _unreadable(path, content, error)
    return ConfigurationError(
        f"the manifest can't be read: {problem.reason}",
        where=problem.where,
        hint=f"{'raise --max-size' if isinstance(error, TooLarge) else 'correct the file'}; nothing was changed",
    )


def refused_at(where: str, at: str, reason: str) -> Refused:
    """The error for a place that must not or can't be edited."""
    return Refused(f"the value can't be changed: {reason}", where=where, hint="edit it by hand", details=(at,))


def _refuse_shared(
    scan: Scan,
    pin: Pin,
    planned: list[Step],
    sharing: Sharing,
    wanted: dict[Repository, Wanted],
    target: Wanted,
) -> None:
    """A scalar that an alias shares with another image must not be changed for one of the two alone."""
    for write in (step for step in planned if isinstance(step, Write)):
        for other in sharing.readers(write):
            repository = other.form.image.repository
            if repository != pin.image.repository and wanted.get(repository) != target:
                how = "a merge key" if inherited(other.form) else "an alias"
                at = places_of(scan, other.form)[0]
                raise _refused(pin, f"by {how} the same value is that of {repository}, {at}")


def _is_pin(reference: Reference) -> bool:
    return reference.doubled is None and inherited_version(reference.form) is None


def _inherited(scan: Scan, reference: Reference) -> Unresolved:
    document, form = scan.document, reference.form
    line = document.line(form.node.start)
    return Unresolved(scan.path, line, document.places.of(form.node), _INHERITED, text=form.text)


def _pin(scan: Scan, reference: Reference) -> Pin:
    form = reference.form
    named, counted = places_of(scan, form)
    return Pin(
        scan.path,
        scan.document.line(form.index),
        reference.format,
        named,
        form.image,
        form.text,
        counted,
        container_of(form),
        policy_of(scan, form),
    )


def _doubled(scan: Scan, reference: Reference) -> Unresolved:
    key = reference.doubled or Scalar(0, 0, "", None)
    return Unresolved(
        scan.path,
        scan.document.line(key.start),
        scan.document.places.of(reference.form.node),
        f"the key {key.value!r} stands twice",
        text=reference.form.text,
    )


def _unreadable(path: RepoPath, content: bytes, error: Broken) -> Unresolved:
    line, column = 1, 1
    if error.index is not None:
        try:
            line, column = position(decode(content)[0], error.index)
        except Unreadable:
            line, column = position(content.decode("utf-8", "replace"), error.index)
    return Unresolved(path, line, "", error.reason, column)
