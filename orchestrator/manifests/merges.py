"""Merge keys: what a mapping takes over by ``<<`` (https://yaml.org/type/merge.html), read and never written through.

A key of the mapping itself wins over an inherited one, an earlier source over a later one.
"""

from __future__ import annotations

from orchestrator.manifests.embedded import Embedded
from orchestrator.manifests.forms import Form, KustomizeEntry
from orchestrator.manifests.inherit import is_merge
from orchestrator.manifests.split_forms import Split, Tagged
from orchestrator.manifests.steps import Step, Write
from orchestrator.manifests.tree import Alias, Mapping, Node, Scalar, Sequence, scalar


def inherited(form: Form) -> tuple[Scalar, ...]:
    """The parts of a form that its mapping takes over from another one."""
    while isinstance(form, Embedded):
        form = form.inner
    mapping = form.mapping if isinstance(form, Split) else form.node
    if not isinstance(form, Split | Tagged | KustomizeEntry) or not isinstance(mapping, Mapping):
        return ()
    if not any(is_merge(key) for key, _ in mapping.pairs):
        return ()
    local = {id(scalar(value)) for _, value in mapping.pairs}
    return tuple(part for part in form.scalars if id(part) not in local)


def taken_from_others(form: Form) -> tuple[Scalar, ...]:
    """The parts of a form that stand elsewhere: behind an alias or a merge key."""
    while isinstance(form, Embedded):
        form = form.inner
    holder = form.mapping if isinstance(form, Split) else form.node
    if not isinstance(holder, Mapping):
        return form.scalars if isinstance(form.node, Alias) else ()
    return tuple(part for part in form.scalars if part.parent is not holder)


def version_of(form: Form) -> tuple[Scalar, ...]:
    """The scalars that hold the tag and the digest, where they stand apart from other mappings' parts."""
    while isinstance(form, Embedded):
        form = form.inner
    if isinstance(form, Split):
        versions = (form.tag, form.digest)
    elif isinstance(form, KustomizeEntry):
        versions = (form.new_tag, form.digest)
    elif isinstance(form, Tagged):
        versions = (form.main, form.digest)
    else:
        return ()
    return tuple(part for part in versions if part is not None)


def inherited_version(form: Form) -> Scalar | None:
    """The tag or digest of a form that another mapping holds."""
    parts = inherited(form)
    return next((part for part in version_of(form) if any(part is other for other in parts)), None)


def merging(alias: Alias) -> Mapping | None:
    """The mapping that takes over what this alias stands for; None when the alias is a plain value."""
    child: Alias | Sequence = alias
    parent = alias.parent
    if isinstance(parent, Sequence):
        child, parent = parent, parent.parent
    if not isinstance(parent, Mapping):
        return None
    key = parent.key_of(child)
    return parent if key is not None and is_merge(key) else None


def may_spread(step: Step) -> bool:
    """By a merge key the step may change what another mapping holds, or what its own mapping takes over."""
    node: Node | None
    if isinstance(step, Write):
        if step.inside is not None:
            return True
        node = step.node
    else:
        node = step.mapping
        if any(is_merge(key) for key, _ in step.mapping.pairs):
            return True
    while node is not None and node.anchor is None:
        node = node.parent
    return node is not None
