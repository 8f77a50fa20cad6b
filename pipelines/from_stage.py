"""``--from-stage``: begin in the middle, where everything before is provably done."""

from __future__ import annotations

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.stages import Graph, Kind
from pipelines.making import Run

_IMAGE_KINDS = (Kind.BUILD, Kind.TEST, Kind.TESTED, Kind.PUSH, Kind.HANDOFF)


def starting_at(graph: Graph, name: str, run: Run) -> Graph:
    """The graph with everything before this stage left out.

    A build counts as done when the engine holds an image that it made of this very commit; a test, a push and
    everything else only when the GitOps repository pins this release. Raises ConfigurationError for a name that no
    stage has, Refused with the stages that nobody can prove.
    """
    if name not in graph:
        raise ConfigurationError(
            f"there is no stage {name!r}",
            where="--from-stage",
            hint=f"stages are {', '.join(repr(node.name) for node in graph.order)}",
        )
    before = [node for node in graph.order if node.name in graph.ancestors(name) and node.kind is not Kind.PREFLIGHT]
    reasons: dict[str, str] = {}
    missing: list[str] = []
    for node in before:
        if not node.runs or (node.kind is Kind.HANDOFF and run.finished is not None):
            continue  # a handoff of what is pinned already finds that there is nothing to do
        if node.kind is Kind.BUILD and (image := run.found_in_engine(node)) is not None:
            run.built[node.image or ""] = image
            reasons[node.name] = f"in the engine already, {image.engine_id.short}"
        else:
            missing.append(f"{node.name}: {_why(node.kind)}")
    if missing:
        raise Refused(
            f"not everything before the stage {name!r} is provably done",
            where="--from-stage",
            details=missing,
            hint="run the whole pipeline; what is done is found, and not done twice",
        )
    return graph.skipping(reasons)


def _why(kind: Kind) -> str:
    if kind is Kind.BUILD:
        return "the engine holds no image that was built from this commit"
    if kind in _IMAGE_KINDS:
        return "the environment does not pin this release, and nothing else proves it"
    return "nothing records how it ended"
