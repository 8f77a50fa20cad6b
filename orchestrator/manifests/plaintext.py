"""Secrets that stand in manifests as plain text: found by their keys, and never a value of them told.

What a tool has encrypted is fine: SOPS leaves a ``sops`` key beside the data and ``ENC[`` before each value
(https://getsops.io/docs), a SealedSecret or an ExternalSecret is no Secret. A value that something else
fills in later is none yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.names import RepoPath
from orchestrator.manifests import tree
from orchestrator.manifests.document import Document, load
from orchestrator.manifests.options import DEFAULT

_MAY_HOLD = re.compile(rb"\bSecret\b|secretGenerator")
# SOPS, Go and Jinja templates, shell and Flux variables, the placeholders of Argo CD's vault plugin.
_NO_VALUE = re.compile(r"\s*(?:ENC\[|\{\{|\{%|<%|\$\{|\$\(|<(?:path:)?[A-Za-z0-9_./:#-]+>\s*\Z)")
_VALUES = ("data", "stringData")


@dataclass(frozen=True, slots=True)
class PlainSecret:
    """A Secret whose values can be read by whoever reads the file. ``keys`` are the names of its values."""

    path: RepoPath
    line: int
    name: str
    keys: tuple[str, ...]

    @property
    def where(self) -> str:
        """``path:line``."""
        return f"{self.path}:{self.line}"


def plaintext_secrets(path: RepoPath, content: bytes) -> tuple[PlainSecret, ...]:
    """Every one in a file; none in a file that can't be read as YAML, which others report. Raises nothing."""
    if not _MAY_HOLD.search(content):
        return ()
    try:
        document = load(content, DEFAULT, json=path.name.endswith(".json"))
    except tree.Broken:
        return ()
    return tuple(found for root in document.roots for found in _in_document(path, document, root))


def _in_document(path: RepoPath, document: Document, root: tree.Node) -> Iterator[PlainSecret]:
    if tree.node_at(root, "sops") is not None:
        return
    for node in tree.walk(root):
        if isinstance(node, tree.Mapping) and tree.text_at(node, "kind") == "Secret":
            yield from _secret(path, document, node)
    yield from _generators(path, document, root)


def _secret(path: RepoPath, document: Document, secret: tree.Mapping) -> Iterator[PlainSecret]:
    """A Secret of its own, or one in a List."""
    values = [node for key in _VALUES if isinstance(node := tree.node_at(secret, key), tree.Mapping)]
    found = [(one.start, tuple(_readable(one))) for one in values]
    told = sorted((start, keys) for start, keys in found if keys)
    if told:
        name = tree.text_at(secret, "metadata", "name") or "(no name)"
        yield PlainSecret(path, document.line(told[0][0]), name, tuple(key for _, keys in told for key in keys))


def _readable(values: tree.Mapping) -> Iterator[str]:
    for key, value in values.pairs:
        text = tree.scalar(value)
        if isinstance(key, tree.Scalar) and text is not None and _is_value(text.value):
            yield key.value


def _generators(path: RepoPath, document: Document, root: tree.Node) -> Iterator[PlainSecret]:
    """Literals of a kustomization's ``secretGenerator``."""
    listed = tree.node_at(root, "secretGenerator")
    for one in listed.items if isinstance(listed, tree.Sequence) else []:
        literals = tree.node_at(tree.resolved(one), "literals")
        texts = [tree.scalar(item) for item in literals.items] if isinstance(literals, tree.Sequence) else []
        pairs = [text.value.partition("=") for text in texts if text is not None]
        keys = tuple(key for key, _, value in pairs if _is_value(value))
        if keys and literals is not None:
            name = tree.text_at(tree.resolved(one), "name") or "(no name)"
            yield PlainSecret(path, document.line(literals.start), name, keys)


def _is_value(text: str) -> bool:
    return bool(text.strip()) and not _NO_VALUE.match(text)
