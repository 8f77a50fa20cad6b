"""From the configuration to the graph of this run: which images, what they are built upon, which stages run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from orchestrator.ci.redact import read_secret
from orchestrator.config.application import ImageConfig, ImageNeed
from orchestrator.config.checks import dockerfile_of
from orchestrator.config.graph import Layout, Variant, graph_of, named_bases
from orchestrator.config.stages import When
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.expression import Facts, parse
from orchestrator.core.image import Platform, Repository
from orchestrator.core.stages import Graph
from orchestrator.images.base import BuildKitOptions, BuildSecret, BuildSpec, BuiltImage
from orchestrator.images.bases import bases, local_reference
from pipelines.ports import Job
from pipelines.targets import Target, targets_of

_LARGEST_DOCKERFILE = 1 << 20


@dataclass(frozen=True)
class Pipeline:
    """What one run is about: its images, and its graph.

    ``bases`` says of each image under which names its Dockerfile means others of the project.
    """

    job: Job
    layout: Layout
    targets: Mapping[str, Target]
    bases: Mapping[str, Mapping[str, str]]
    graph: Graph

    @cached_property
    def released(self) -> tuple[Target, ...]:
        """What is pushed and handed off."""
        return tuple(self.targets[name] for name in self.layout.released)

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """The application's own stages, by their name in the graph."""
        return {variant.name: variant for variant in self.layout.variants}


def pipeline_of(job: Job, only: Sequence[str] = ()) -> Pipeline:
    """The pipeline of this commit over all images, or over ``only`` some and what they are built upon.

    Raises ConfigurationError for a name that is not configured, a tag without value, or images that are built upon
    each other.
    """
    released = tuple(target.name for target in targets_of(job, only))
    named = {name: _bases_in(job, name) for name in job.application.config.images}
    needs = {
        name: tuple(dict.fromkeys((*declared, *named[name].values())))
        for name, declared in named_bases(job.application.config).items()
    }
    wanted = _closure(released, needs, _beside(job))
    built = tuple(name for name in job.application.config.images if name in wanted)
    layout = Layout(job.application.config, built, released, needs)
    targets = {target.name: target for target in targets_of(job, built)}
    graph = graph_of(layout)
    return Pipeline(job, layout, targets, named, graph.skipping(_left_out(job, layout)))


def build_spec(pipeline: Pipeline, name: str, built: Mapping[str, BuiltImage], labels: Mapping[str, str]) -> BuildSpec:
    """What the builder gets for an image; ``built`` holds the images that it is built upon."""
    job, target = pipeline.job, pipeline.targets[name]
    config, directory = target.config, job.application.directory
    handed = {
        need.argument: built[need.image] for need in config.needs if isinstance(need, ImageNeed) and need.image in built
    }
    references = {argument: str(local_reference(image)) for argument, image in handed.items()}
    own = {written: built[base] for written, base in pipeline.bases[name].items() if base in built}
    own |= {references[argument]: image for argument, image in handed.items()}
    return BuildSpec(
        name=name,
        context=(directory / config.context).resolve(),
        dockerfile=Path(dockerfile_of(config, directory)).resolve(),
        arguments=config.args | references,
        target=config.target,
        labels={**config.labels, **labels},
        platform=Platform.parse(config.platform) if config.platform else None,
        bases=own,
        buildkit=_buildkit(pipeline, config),
        context_limit=config.context_limit,
    )


def _buildkit(pipeline: Pipeline, config: ImageConfig) -> BuildKitOptions:
    """What the image asks of BuildKit. A secret that the job does not have is left out: check_stages tells of it."""
    job = pipeline.job
    secrets = {name: read_secret(name, job.environment) for name in config.secrets}
    return BuildKitOptions(
        secrets=tuple(BuildSecret(name, value) for name, value in secrets.items() if value is not None),
        ssh=tuple(config.ssh),
        cache_from=tuple(config.cache.from_),
        cache_to=tuple(config.cache.to),
        created=int(job.source.authored.timestamp()),
        provenance=config.provenance,
        builder=job.application.config.buildx_builder,
    )


# --- before the work ---------------------------------------------------------------------------------------------


def check_stages(pipeline: Pipeline, approved: Iterable[str]) -> None:
    """What stages and builds ask for from outside is there.

    Raises Refused for an approval that was not given, ConfigurationError for a secret that is not set.
    """
    application, given = pipeline.job.application, set(approved)
    known = {key for key, stage in application.config.stages.items() if stage.approval}
    if unknown := sorted(given - known):
        raise ConfigurationError(
            f"no stage asks for the approval {unknown[0]!r}",
            where="--approve",
            hint=f"stages with an approval: {', '.join(sorted(known)) or 'none'}",
        )
    running = {variant.key: variant for variant in pipeline.layout.variants if pipeline.graph[variant.name].runs}
    if missing := sorted(key for key, variant in running.items() if variant.config.approval and key not in given):
        raise Refused(
            f"the stage {missing[0]} asks for an approval",
            where=application.place("stages", missing[0], "approval"),
            hint=" ".join(f"--approve {key}" for key in missing) + " says that it was given; nothing was begun",
        )
    asked = [(("images", name), target.config.secrets) for name, target in pipeline.targets.items()]
    asked += [(("stages", key), variant.config.secrets) for key, variant in running.items()]
    for (kind, key), names in asked:
        for name in names:
            if read_secret(name, pipeline.job.environment) is None:
                raise ConfigurationError(
                    f"the {kind.removesuffix('s')} {key} needs the variable {name}, and it is not set",
                    where=application.place(kind, key, "secrets"),
                    hint=f"give it to the job as ${name}, or as ${name}_FILE",
                )


def _left_out(job: Job, layout: Layout) -> dict[str, str]:
    """Why stages do not run this time, by their conditions."""
    asks = [parse(v.config.when.condition) for v in layout.variants if v.config.when.condition]
    wants_changes = any(v.config.when.paths for v in layout.variants) or any(e.asks_for_changes for e in asks)
    facts = Facts(
        job.source.branch,
        job.source.tags,
        job.ci.event,
        job.environment,
        job.changed() if wants_changes else None,
    )
    reasons = {variant.name: _reason(variant.config.when, facts) for variant in layout.variants}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _reason(when: When, facts: Facts) -> str | None:
    """Which part of the condition does not hold; None when all do."""
    if when.branch and not _any(when.branch, [facts.branch or ""]):
        return f"branch {facts.branch or '(none)'} is not {' or '.join(when.branch)}"
    if when.tag and not _any(when.tag, facts.tags):
        return f"no tag {' or '.join(when.tag)} on the commit"
    if when.event and not _any(when.event, [facts.event or ""]):
        return f"event {facts.event or '(none)'} is not {' or '.join(when.event)}"
    if when.paths and not facts.any_changed(when.paths):
        return f"nothing changed in {', '.join(when.paths)}"
    if when.condition is not None and not parse(when.condition).holds(facts):
        return f"not true: {when.condition}"
    return None


def _any(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


# --- what images are built upon ----------------------------------------------------------------------------------


def _bases_in(job: Job, name: str) -> dict[str, str]:
    """Which other images of the project the Dockerfile names, by what it calls them."""
    config = job.application.config.images
    by_repository = {Repository.parse(image.repository): other for other, image in config.items() if other != name}
    file = dockerfile_of(config[name], job.application.directory)
    found = {
        base.name: by_repository.get(base.repository)
        for base in bases(_text(file), config[name].args)
        if base.repository
    }
    return {written: other for written, other in found.items() if other is not None}


def _text(file: Path) -> str:
    """The Dockerfile; nothing where there is none, since preflight says so with its place."""
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST_DOCKERFILE).decode("utf-8", "replace")
    except OSError:
        return ""


def _beside(job: Job) -> dict[str, list[str]]:
    """Which other images run as services beside the stages in each image."""
    config = job.application.config
    found: dict[str, list[str]] = {}
    for stage in config.stages.values():
        found.setdefault(stage.image, []).extend(
            service.image for service in stage.services.values() if service.image in config.images
        )
    return found


def _closure(names: Sequence[str], *leads: Mapping[str, Sequence[str]]) -> set[str]:
    """The names, and all that they lead to."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [other for lead in leads for other in lead.get(name, ())]
    return found
