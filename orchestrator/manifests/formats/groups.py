"""Groups of keys that stand together in a mapping: from the nodes to the form of the reference that they hold."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Table
from typing import NamedTuple

from orchestrator.manifests.document import is_action
from orchestrator.manifests.formats.common import FILLED_IN_LATER, STRING_TAGS, TEMPLATE, Found, Scan, no_text, whole
from orchestrator.manifests.formats.keys import DIGESTS, NAMES, PREFIXES, REPOSITORIES, role_of
from orchestrator.manifests.formats.registries import registry_above
from orchestrator.manifests.formats.shapes import (
    Doubt,
    Parts,
    Reading,
    Setting,
    has_version,
    host_of,
    joined,
    read_group,
    setting_of,
)
from orchestrator.manifests.forms import join, parse
from orchestrator.manifests.inherit import Unclear, from_one_source, taken_over
from orchestrator.manifests.scalars import is_null
from orchestrator.manifests.split_forms import Split, Tagged
from orchestrator.manifests.tree import Mapping, Node, Scalar, scalar

Groups = dict[str, dict[str, Node]]
_PLAIN, _IMAGE = "", "image"
_NAMES = frozenset(NAMES)
_BY_DIGEST = (
    "@sha256"  # ``repository: acme/api@sha256`` with the bare digits under ``tag``, for ``{{repository}}:{{tag}}``
)
_LABELS = frozenset({"name", "version"})


class Group(NamedTuple):
    """Keys of one reference by their roles; ``tag_key`` is how a missing tag is to be called."""

    prefix: str
    roles: dict[str, Node]
    tag_key: str


def in_groups(scan: Scan, mapping: Mapping, groups: Groups) -> Iterator[Found]:
    """The references that the keys of one mapping hold."""
    for group in regrouped(groups):
        yield from _read(scan, mapping, group, {})


def in_merged(scan: Scan, mapping: Mapping, own: Groups) -> Iterator[Found]:
    """The same with what the mapping takes over; what comes as a whole from one other mapping is read there."""
    try:
        if not own and from_one_source(mapping):
            return  # nothing is put together here
        taken = taken_over(mapping)
    except Unclear as error:
        if own:
            scan.problem(mapping, str(error))
        return
    groups = {prefix: dict(group) for prefix, group in own.items()}
    owners: dict[int, int] = {}
    for key, (value, owner) in taken.items():
        if (role := role_of(key)) is not None and role[1] not in groups.setdefault(role[0], {}):
            groups[role[0]][role[1]] = value
            owners[id(scalar(value))] = id(owner)
    for group in regrouped(groups):
        yield from _read(scan, mapping, group, owners)


def regrouped(groups: Groups) -> list[Group]:
    """The groups, with ``tag`` and its like joined to ``image`` and ``imageName`` in the same mapping."""
    plain, image = groups.get(_PLAIN), groups.get(_IMAGE)
    if plain is None or image is None or not plain.keys().isdisjoint(image):
        return [Group(prefix, group, _tag_key(prefix)) for prefix, group in groups.items()]
    rest = [Group(prefix, group, _tag_key(prefix)) for prefix, group in groups.items() if prefix not in ("", _IMAGE)]
    named = next((found for role in NAMES if (found := scalar(image.get(role))) is not None), None)
    if named is not None and has_version(named.value):
        beside = {role: node for role, node in plain.items() if role in PREFIXES or _is_digest(role, node)}
        left = {role: node for role, node in plain.items() if role not in beside and role not in DIGESTS}
        return [Group(_PLAIN, left, "tag"), Group(_IMAGE, beside | image, "imageTag"), *rest]
    if named is None and plain.keys().isdisjoint(REPOSITORIES):
        return [Group(_PLAIN, plain, "tag"), Group(_IMAGE, image, "imageTag"), *rest]
    together = plain.keys() - {"name", "version"}
    return [Group(_IMAGE, plain | image, "tag" if together else "imageTag"), *rest]


def _is_digest(role: str, node: Node) -> bool:
    """A key beside a whole reference holds its digest: by its name, or by what stands there."""
    if role in ("digest", "tagdigest"):
        return True
    value = scalar(node)
    bare = value.value.removeprefix("sha256:") if role in DIGESTS and value is not None else ""
    return len(bare) == 64 and all(c in "0123456789abcdef" for c in bare)


def _tag_key(prefix: str) -> str:
    return f"{prefix}tag" if prefix.endswith(".") or not prefix else f"{prefix}Tag"


def _read(scan: Scan, mapping: Mapping, group: Group, owners: Table[int, int]) -> Iterator[Found]:
    """One group; with ``owners`` only what is put together from more than one mapping."""
    roles = group.roles
    parts = {role: found for role, node in roles.items() if (found := scalar(node)) is not None and not is_null(found)}
    if not parts or _is_unreadable(scan, roles, parts):
        return
    setting = setting_of(mapping, group.prefix)
    reading = read_group(parts, setting)
    used = reading.scalars if isinstance(reading, Reading) else (reading.at,) if reading is not None else ()
    sources = {owners.get(id(part)) for part in used}
    if len(sources) == 1 and None not in sources:
        return
    if isinstance(reading, Doubt):
        scan.problem(reading.at, reading.reason, _written(parts))
    elif reading is not None and (registry := _left_out(scan, mapping, reading)) is not None:
        scan.problem(reading.name, f"its registry may be {registry}, which the file sets for several", _written(parts))
    elif reading is not None:
        yield from form_of(scan, reading, group, setting)
    for role in NAMES if len(parts.keys() & _NAMES) > 1 else ():
        other = parts.get(role)
        if other is not None and id(other) not in owners and not any(other is one for one in used):
            yield from whole(scan, roles[role], other, strict=True)


def _is_unreadable(scan: Scan, roles: dict[str, Node], parts: Parts) -> bool:
    """A part is no text, so the others alone would tell of another reference; reported where an image is named."""
    if len(parts) == len(roles):
        return False
    missing = {role: node for role, node in roles.items() if role not in parts and role not in _LABELS}
    named = not parts.keys().isdisjoint({*REPOSITORIES, *NAMES})
    for role, node in missing.items():
        if named and (role == "tag" or is_action(node)):
            scan.problem(node, no_text(node), _written(parts))
            return True
    return is_null(scalar(missing.get("tag")))


def _left_out(scan: Scan, mapping: Mapping, reading: Reading) -> str | None:
    """A registry that the file sets elsewhere for names that have none, as this one."""
    if host_of(joined(reading.before, reading.name.value)) or parse(reading.name.value) is None:
        return None
    return registry_above(scan.document, mapping)


def _written(parts: Parts) -> str:
    """What stands there, for a report: the parts of the name, and the tag."""
    roles = (*PREFIXES, *REPOSITORIES, *NAMES)
    names = [parts[role].value for role in roles if role in parts and parts[role].value]
    tag = [parts["tag"].value] if "tag" in parts else []
    return ":".join((["/".join(names)] if names else []) + tag)


def form_of(scan: Scan, reading: Reading, group: Group, setting: Setting) -> Iterator[Found]:
    """The form of what was read; what can't be a reference is reported."""
    tag, digest, name = reading.tag, reading.digest, reading.name
    values = [part.value for part in reading.scalars]
    if _has_meanings(scan, reading) or (tag is None and digest is None and not setting.keyed):
        return
    if any(TEMPLATE.search(value) for value in values):
        scan.problem(tag or name, FILLED_IN_LATER, ":".join(values))
        return
    shown = joined(reading.before, name.value)
    if tag is not None and shown.endswith(_BY_DIGEST):
        yield from _by_digest(scan, reading, setting, tag, shown.removesuffix(_BY_DIGEST))
        return
    base = parse(shown)
    if base is None:
        if reading.before:
            scan.problem(name, f"{shown!r} is not an image name", shown)
        return
    if base.tag is not None or base.digest is not None:
        yield from _tagged(scan, reading, group, setting)
    elif tag is None and digest is None and not reading.before and name is not _repository(group):
        yield from _alone(scan, group, setting, name)
    elif (image := join(base.repository, tag.value if tag else "", digest.value if digest else "")) is None:
        scan.problem(tag or name, "tag and digest are not valid together", ":".join(values))
    else:
        node = tag if group.prefix.endswith(".") and tag is not None else setting.mapping or name
        bare, mapping = reading.bare, setting.mapping
        yield Found(Split(node, name, image, shown, tag, digest, bare, mapping, group.tag_key, before=reading.before))


def _has_meanings(scan: Scan, reading: Reading) -> bool:
    """A custom tag makes something else of a value than its text; reported."""
    for part in reading.scalars:
        if part.tag is not None and part.tag not in STRING_TAGS:
            written = ":".join(one.value for one in reading.scalars)
            scan.problem(part, f"the tag {part.tag} gives the value a meaning of its own", written)
            return True
    return False


def _by_digest(scan: Scan, reading: Reading, setting: Setting, tag: Scalar, shown: str) -> Iterator[Found]:
    """The place of the tag holds a digest."""
    base = parse(shown)
    image = join(base.repository, "", tag.value) if base is not None else None
    if image is None:
        scan.problem(tag, "no digest stands here, although the repository ends as if one followed", shown)
        return
    name, before = reading.name, reading.before
    yield Found(Split(setting.mapping or name, name, image, shown, None, tag, bare=True, tag_key="", before=before))


def _repository(group: Group) -> Scalar | None:
    return next((scalar(group.roles[role]) for role in REPOSITORIES if role in group.roles), None)


def _alone(scan: Scan, group: Group, setting: Setting, name: Scalar) -> Iterator[Found]:
    """A reference in one piece: under ``image`` without a tag too, else only with one."""
    role = next((role for role, node in group.roles.items() if scalar(node) is name), None)
    node = group.roles[role] if role is not None else name
    key = setting.mapping.key_of(node) if setting.mapping is not None else None
    yield from whole(scan, node, name, strict=key is None or key.value != "image")


def _tagged(scan: Scan, reading: Reading, group: Group, setting: Setting) -> Iterator[Found]:
    """The name holds a tag or digest itself."""
    name, digest = reading.name, reading.digest
    if reading.tag is not None and reading.tag.value:
        values = ":".join(part.value for part in reading.scalars)
        scan.problem(reading.tag, "the repository holds a tag, and so does the key beside it", values)
        return
    shown = joined(reading.before, name.value)
    base = parse(shown)
    image = join(base.repository, base.tag or "", digest.value) if base and digest and digest.value else base
    if image is None:
        digest, image = None, base  # what stands there is another kind of hash
    if image is None or (digest is None and not reading.before):
        yield from _alone(scan, group, setting, name)
        return
    head = shown.removesuffix(name.value)
    yield Found(Tagged(setting.mapping or name, name, image, head, digest, reading.bare, reading.before))
