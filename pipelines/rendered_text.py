"""The output of a renderer, cut into resources, without the values of Secrets."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.text import printable
from orchestrator.manifests import tree
from orchestrator.manifests.document import load
from orchestrator.manifests.options import ScanOptions

_OPTIONS = ScanOptions(size=64 * 1024 * 1024, nodes=5_000_000)
_VALUES = ("data", "stringData")
_COPY = "kubectl.kubernetes.io/last-applied-configuration"  # holds a whole Secret once more


def resources_of(output: bytes, key: bytes) -> Iterator[tuple[str, str]]:
    """Each resource as ``apps/v1 Deployment shop/api`` with its YAML, in the order of the output.

    Each value of a Secret becomes a mark that is the same for the same value under the same ``key``, so a change shows
    without being told. Raises ConfigurationError for what is no YAML: what can't be read can't be masked.
    """
    try:
        document = load(output, _OPTIONS)
    except tree.Broken as error:
        raise ConfigurationError(f"what was rendered is not YAML: {error}") from None
    if document.template is not None:
        raise ConfigurationError("what was rendered still is a template")
    seen: dict[str, int] = {}
    for root in document.roots:
        if not isinstance(root, tree.Mapping) or not root.pairs:
            continue
        name = _name(root)
        seen[name] = seen.get(name, 0) + 1
        text = _masked(document.text, root, key).strip("\n") + "\n"
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", printable(text, keep_newlines=True)


def _name(root: tree.Mapping) -> str:
    version, kind = tree.text_at(root, "apiVersion") or "?", tree.text_at(root, "kind") or "?"
    namespace, name = tree.text_at(root, "metadata", "namespace"), tree.text_at(root, "metadata", "name") or "?"
    return printable(f"{version} {kind} {f'{namespace}/' if namespace else ''}{name}")


def _masked(text: str, root: tree.Mapping, key: bytes) -> str:
    """The text of a document. Secrets may stand in a List, so every mapping in it is looked at."""
    spans: list[tuple[int, int, str]] = []
    for node in tree.walk(root):
        if isinstance(node, tree.Mapping) and tree.text_at(node, "kind") == "Secret":
            spans += _spans(text, node, key)
    cut, at = [], root.start
    for start, end, mark in sorted(set(spans)):
        if start >= at:
            cut += [text[at:start], mark]
            at = end
    return "".join([*cut, text[at : root.end]])


def _spans(text: str, secret: tree.Mapping, key: bytes) -> Iterator[tuple[int, int, str]]:
    hidden = [tree.node_at(secret, name) for name in _VALUES]
    values = [value for one in hidden if isinstance(one, tree.Mapping) for _, value in one.pairs]
    values += [one for one in hidden if one is not None and not isinstance(one, tree.Mapping)]
    copy = tree.node_at(secret, "metadata", "annotations", _COPY)
    for value in [*values, *([copy] if copy is not None else [])]:
        inner = value.value if isinstance(value, tree.Scalar) else text[value.start : value.end]
        mark = hmac.new(key, inner.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:6]
        newline = "\n" if text[value.start : value.end].endswith("\n") else ""
        yield value.start, value.end, f"'(hidden: {mark})'{newline}"
