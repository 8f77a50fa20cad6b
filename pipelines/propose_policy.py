"""``init --gitops``: a policy for a GitOps repository from its layout, with the evidence for every environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.starter import scalar
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import BranchName, RepoPath
from orchestrator.manifests.discover import Proposal, discover, rank_of
from pipelines.local_files import collect

_LARGEST = 1 << 20  # what is larger is no manifest


@dataclass(frozen=True, slots=True)
class ProposedPolicy:
    """The text of ``.hybrid-ci/environments.yaml``, and what it rests on."""

    text: str
    proposals: tuple[Proposal, ...]


def propose_policy(root: Path, base: str) -> ProposedPolicy:
    """Look at a checkout and write a policy down.

    Raises ConfigurationError when no environment is recognised, or ``base`` can be no branch.
    """
    branch = BranchName(base)
    proposals = discover(dict(_files(root)))
    if not proposals:
        raise ConfigurationError(
            "no environment is recognised in this repository's layout",
            where=str(root),
            hint="run it in the GitOps repository's root, or write .hybrid-ci/environments.yaml by hand "
            "(docs/configuration.md)",
        )
    ordered = tuple(sorted(proposals, key=lambda proposal: (proposal.rank, proposal.name)))
    return ProposedPolicy(_text(ordered, str(branch)), ordered)


def _files(root: Path) -> Iterator[tuple[RepoPath, bytes]]:
    """Every file's path, and the bytes of the manifests: the evidence is in their pins."""
    for file in collect([root], wanted=lambda path: True):
        inside = RepoPath(file.real.relative_to(root).as_posix())
        if file.real.name == "hybrid-ci.yaml":  # an application's configuration names images, and is no manifest
            continue
        yield inside, file.real.read_bytes() if file.real.stat().st_size <= _LARGEST else b""


def _text(proposals: tuple[Proposal, ...], base: str) -> str:
    blocks = "\n".join(_environment(proposal, earlier(proposal, proposals)) for proposal in proposals)
    return f"""\
# The rules of this GitOps repository. They count on the base branch only, so protect it.
# `hybrid-ci check --policy .hybrid-ci/environments.yaml` validates this file.
version: 1
base: {scalar(base)}

# Found by the layout; look through it: what is no environment has to go, and the order is a guess by name.
environments:
{blocks}
# Who may change what. Without this section every application may change every image in its environments.
# applications:
#   shop:
#     images: ["ghcr.io/acme/shop/*"]

# Where images may come from at all.
# registries: ["ghcr.io/acme/**"]

# Committers whose commits on hybrid-ci's branches count as its own.
# writers: ["ci@acme.example"]
"""


def earlier(proposal: Proposal, proposals: tuple[Proposal, ...]) -> tuple[str, ...]:
    """The environments one step before it, by the usual order of names."""
    ranks = [other.rank for other in proposals if other.rank < proposal.rank]
    if not ranks or rank_of(proposal.name) != proposal.rank:
        return ()
    return tuple(other.name for other in proposals if other.rank == max(ranks))


def _environment(proposal: Proposal, after: tuple[str, ...]) -> str:
    lines = [
        f"  # {proposal.confidence} confidence: {'; '.join(proposal.evidence[:3])}",
        f"  {scalar(proposal.name)}:",
        "    paths:",
    ]
    lines += [f"      - {json.dumps(path)}" for path in proposal.paths]
    if after:
        lines.append(f"    after: [{', '.join(map(scalar, after))}]")
    return "\n".join(lines) + "\n"
