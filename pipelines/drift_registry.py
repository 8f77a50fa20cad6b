"""Tags that point to something else by now than to what was pinned with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.engine.parallel import side_by_side
from orchestrator.images.base import Registry
from orchestrator.images.errors import LoginRefused
from orchestrator.manifests.model import Pin
from pipelines.drift_finding import Finding, Kind
from pipelines.looking import Place

MOST_ASKED = 500  # tags; each is a question to a registry
_WORKERS = 8


def moved_tags(
    registry: Registry, places: Sequence[Place], images: Sequence[Repository], unanswered: list[str]
) -> Iterator[Finding]:
    """Every tag is asked for once, side by side. What a registry does not answer is added to ``unanswered``."""
    pins = [(place, pin) for place in places for image in images for pin in place.side.running(image)]
    tags = list(dict.fromkeys(tagged for _, pin in pins if (tagged := _tagged(pin)) is not None))
    if len(tags) > MOST_ASKED:
        unanswered.append(f"{len(tags) - MOST_ASKED} more tags were not looked up; name images to look at fewer")
    asked = tags[:MOST_ASKED]
    asking = _Asking(registry)
    answers = dict(zip(asked, side_by_side([partial(asking.about, one) for one in asked], _WORKERS), strict=True))
    unanswered += dict.fromkeys(
        f"{tagged}: {answer.message}" for tagged, answer in answers.items() if isinstance(answer, RemoteError)
    )
    for place, pin in pins:
        tagged = _tagged(pin)
        if tagged is None or tagged not in answers:
            continue
        answer = answers[tagged]
        if not isinstance(answer, RemoteError) and answer != pin.image.digest:
            yield _finding(place, pin, tagged, answer)


def _tagged(pin: Pin) -> TaggedImage | None:
    """The tag of a pin that has a digest too: only that can have moved away from it."""
    if pin.image.tag is None or pin.image.digest is None:
        return None
    return TaggedImage(pin.image.repository, pin.image.tag)


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks registries; one that does not answer is not waited for again and again."""

    registry: Registry
    silent: dict[str, RemoteError] = field(default_factory=dict)

    def about(self, tagged: TaggedImage) -> Digest | RemoteError | None:
        """Where the tag is now, or why nobody knows."""
        host = tagged.repository.registry
        if host in self.silent:
            return self.silent[host]
        try:
            return self.registry.resolve(tagged)
        except LoginRefused as error:  # of this repository
            return error
        except RemoteError as error:
            return self.silent.setdefault(host, error)


def _finding(place: Place, pin: Pin, tagged: TaggedImage, now: Digest | None) -> Finding:
    digest = pin.image.digest
    was = digest.short if digest is not None else ""
    what = (
        f"{tagged} points to {now.short} now, and was pinned as {was}" if now else f"{tagged} is gone ({was} is pinned)"
    )
    fix = (
        "what runs is still what was pinned; find out who pushed the tag again, and release under a tag of its own"
        if now
        else "what runs is still what was pinned; push the tag again, and let the registry keep what is in use"
    )
    return Finding(Kind.MOVED_TAG, what, pin.where, fix, place.name, pin.image.repository)
