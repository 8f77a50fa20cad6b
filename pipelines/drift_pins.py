"""What the files alone tell: pins without a digest, places that can't be read, images nobody runs, open Secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.core.errors import Refused
from orchestrator.core.image import Repository
from orchestrator.core.names import RepoPath
from orchestrator.gitops.base import Unreadable
from orchestrator.manifests.forms import name_of
from orchestrator.manifests.model import Pin
from orchestrator.manifests.options import DEFAULT
from orchestrator.manifests.plaintext import plaintext_secrets
from orchestrator.manifests.running import Files
from pipelines.drift_finding import Finding, Kind
from pipelines.looking import Looking, Place, Scene
from pipelines.rendering_files import referred

_MANIFESTS = ("**/*.yaml", "**/*.yml", "**/*.json")
_NO_MANIFESTS = frozenset({"docs", "node_modules", "vendor", "crds"})


def unpinned(looking: Looking, places: Sequence[Place], images: Sequence[Repository]) -> Iterator[Finding]:
    """Images that run by a tag, or by none."""
    names = {image: name for name, image in looking.at.images.items()}
    for place in places:
        for image in images:
            for pin in place.side.running(image):
                if pin.image.digest is None:
                    what = f"{image} runs by the tag {pin.image.tag} alone" if pin.image.tag else f"{image} has no tag"
                    yield Finding(
                        Kind.UNPINNED, what, pin.where, _how_to_pin(place, pin, names.get(image)), place.name, image
                    )


def _how_to_pin(place: Place, pin: Pin, name: str | None) -> str:
    tag = pin.image.tag or "TAG"
    here = place.environment.local(pin.image.repository)
    if name is not None and here == pin.image.repository:
        return f"hybrid-ci pin {name}=:{tag} --env {place.name}"
    return f"hybrid-ci set-image {here}:{tag}@sha256:… {pin.path}"


def unreadable(
    looking: Looking, scene: Scene, places: Sequence[Place], images: Sequence[Repository], *, narrow: bool
) -> Iterator[Finding]:
    """Places that look like pins and can't be read; for an application those that speak of its images."""
    told: set[str] = set()
    for place in places:
        problems = place.side.problems
        if narrow or (scene.application is not None and looking.own_images):
            asked = dict.fromkeys((*images, *(() if narrow else sorted(looking.own_images))))
            problems = tuple(dict.fromkeys(one for image in asked for one in place.side.blocking(image)))
        for problem in problems:
            if problem.where not in told:
                told.add(problem.where)
                text = f" ({problem.text})" if problem.text else ""
                yield Finding(
                    Kind.UNREADABLE,
                    f"a place that looks like an image can't be read: {problem.reason}{text}",
                    problem.where,
                    "write the image in one piece, or name the place under 'targets' of the environment's policy",
                    place.name,
                )


def plaintext(places: Sequence[Place], elsewhere: Sequence[Files]) -> Iterator[Finding]:
    """Secrets whose values can be read; the values are told to nobody."""
    told: set[str] = set()
    sides = [*((place.name, place.files) for place in places), *((None, files) for files in elsewhere)]
    for name, files in sides:
        for path, content in sorted(files.items()):
            for secret in plaintext_secrets(path, content):
                if secret.where not in told:
                    told.add(secret.where)
                    keys = ", ".join(secret.keys[:5]) + (" …" if len(secret.keys) > 5 else "")
                    yield Finding(
                        Kind.PLAINTEXT_SECRET,
                        f"the Secret {secret.name} holds plain values: {keys}",
                        secret.where,
                        "change the credential, then encrypt the file (SOPS), seal it, or fetch it (ExternalSecret)",
                        name,
                    )


def read_bases(looking: Looking, scene: Scene, places: Sequence[Place]) -> Iterator[Files]:
    """What the environments' kustomizations load from outside of their own paths, branch by branch.

    Where that can't be followed (a symlink, thousands of files) a warning says so.
    """
    for branch in dict.fromkeys(place.branch for place in places):
        own = {path: content for place in places if place.branch == branch for path, content in place.files.items()}
        try:
            yield referred(looking.ports.repository, scene.tips[branch], own)
        except (Refused, Unreadable) as error:
            looking.ports.reporter.warn(f"the bases on {branch} are not searched for Secrets: {error.message}")


def read_elsewhere(looking: Looking, scene: Scene, places: Sequence[Place]) -> Files:
    """The manifests of the base branch that belong to none of these environments, in one batch."""
    found = looking.ports.repository.files(scene.tip, _MANIFESTS)
    return {
        path: content
        for path, content in found.items()
        if _is_manifest(path) and not any(place.holds(path.value) for place in places)
    }


def nowhere(looking: Looking, scene: Scene, places: Sequence[Place], elsewhere: Files) -> Iterator[Finding]:
    """Images that no environment has: those that the configuration names, or that stand elsewhere in the repository."""
    known = {image for place in places for image in place.side.repositories}
    if scene.application is None:
        yield from _unclaimed(scene, places, known, elsewhere)
    for name, image in looking.at.images.items():
        if image not in known:
            yield Finding(
                Kind.NO_ENVIRONMENT,
                f"no environment has the image {name} ({image})",
                looking.written_at.get(image, "hybrid-ci.yaml"),
                "add it to a manifest of an environment, or take it out of the configuration",
                image=image,
            )


def _unclaimed(scene: Scene, places: Sequence[Place], known: set[Repository], elsewhere: Files) -> Iterator[Finding]:
    """In files of no environment. What a kustomization renames is not there by itself."""
    renamed = {
        pin.container for place in places for pin in place.side.pins if pin.format == "kustomization" and pin.container
    }
    found: dict[Repository, list[Pin]] = {}
    for path, content in sorted(elsewhere.items()):
        for pin in scene.read(path, content, DEFAULT).pins:
            if pin.image.repository not in known and name_of(pin.text) not in renamed:
                found.setdefault(pin.image.repository, []).append(pin)
    for image, pins in sorted(found.items()):
        more = f", and in {len(pins) - 1} more places" if len(pins) > 1 else ""
        yield Finding(
            Kind.NO_ENVIRONMENT,
            f"{image} stands in a file of no environment{more}, and no environment has it",
            pins[0].where,
            "name the image in the environments' own files, add the path to an environment, or remove the file",
            image=image,
        )


def _is_manifest(path: RepoPath) -> bool:
    return not any(part.startswith(".") or part in _NO_MANIFESTS for part in path.parts)
