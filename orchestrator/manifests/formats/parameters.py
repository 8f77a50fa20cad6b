"""Lists of ``{name: image.tag, value: …}``: the names are paths into the values of a chart, so they group as keys."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.formats.common import Found, Scan
from orchestrator.manifests.formats.groups import form_of, regrouped
from orchestrator.manifests.formats.keys import is_image_key, role_of
from orchestrator.manifests.formats.shapes import Doubt, Reading, Setting, has_version, read_group
from orchestrator.manifests.tree import Mapping, Node, Sequence, node_at, scalar, text_at


def parameters(scan: Scan, listed: Node | None) -> Iterator[Found]:
    """The references that the entries of such a list hold together."""
    if not isinstance(listed, Sequence):
        return
    groups: dict[str, dict[str, Node]] = {}
    for item in listed.items:
        name, value = text_at(item, "name"), scalar(node_at(item, "value"))
        if name is None or value is None or not isinstance(item, Mapping):
            continue
        before, dot, last = name.rpartition(".")
        role = role_of(name) or _below(before + dot, last)
        if role is not None:
            groups.setdefault(role[0], {})[role[1]] = value
    for group in regrouped(groups):
        parts = {role: found for role, node in group.roles.items() if (found := scalar(node)) is not None}
        inside = group.prefix.endswith(".")
        direct = inside and is_image_key(group.prefix.rpartition(".")[0].rpartition(".")[2])
        setting = Setting(inside, bool(group.prefix), direct)
        reading = read_group(parts, setting)
        if isinstance(reading, Doubt):
            scan.problem(reading.at, reading.reason, reading.at.value)
        elif isinstance(reading, Reading):
            if reading.tag is None and reading.digest is None and not has_version(reading.name.value):
                scan.problem(reading.name, "the tag of this repository is set elsewhere", reading.name.value)
            else:
                yield from form_of(scan, reading, group, setting)


def _below(before: str, last: str) -> tuple[str, str] | None:
    """``api.image`` and ``api.imageTag``: the same roles as without the path before."""
    if not before or (role := role_of(last)) is None or not role[0]:
        return None
    return before + role[0], role[1]
