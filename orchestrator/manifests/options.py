"""What a scan may read and where it may write: limits, configured targets, and the switches that are off by default."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.core.environment import Target

__all__ = ["DEFAULT", "ScanOptions", "Target"]


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How files are read. The defaults never look inside other people's text.

    ``size``, ``depth``, ``nodes`` and ``references`` bound the work per file (bytes, nesting, YAML nodes, pins).
    ``targets`` resolve tag-only places whose repository lives in a chart.
    ``places`` narrow everything to the pins at these places, and ask for what is off by default there.
    ``containers`` narrow to containers of these names.
    ``names`` narrow kustomize entries to these literal ``name:`` values, kustomize's own rule of matching.
    ``add_tag`` also edits references that have no tag yet.
    ``markers`` honours ``# hybrid-ci:`` comments; ``arguments`` looks into args, command and env values;
    ``embedded`` looks into YAML inside block scalars.
    """

    size: int = 1024 * 1024
    depth: int = 100
    nodes: int = 200_000
    references: int = 3_000
    targets: tuple[Target, ...] = ()
    places: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    add_tag: bool = True
    markers: bool = True
    arguments: bool = False
    embedded: bool = False

    def up_to(self, mebibytes: int) -> ScanOptions:
        """The same for files of this size: what may be in them grows along, and so does the time that they take."""
        nodes, references = DEFAULT.nodes * mebibytes, DEFAULT.references * mebibytes
        return replace(self, size=DEFAULT.size * mebibytes, nodes=nodes, references=references)


DEFAULT = ScanOptions()
