"""A graph of stages as people see it: lines for a terminal, Mermaid for Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.stages import Graph, Kind, Node
from orchestrator.core.text import printable
from orchestrator.engine.stage import Ended, State

_SHAPES = {
    Kind.PREFLIGHT: ('(["', '"])'),
    Kind.CUSTOM: ('("', '")'),
    Kind.TESTED: ('{{"', '"}}'),
    Kind.HANDOFF: ('[["', '"]]'),
}
_BOX = ('["', '"]')
_STYLES = {
    State.DONE: ("done", "stroke:#1a7f37"),
    State.FAILED: ("failed", "stroke:#cf222e"),
    State.ALLOWED: ("allowed", "stroke:#9a6700"),
}
_PLAIN = frozenset(" ._-/()=,:+'")


def as_text(graph: Graph) -> str:
    """One line a stage, in the order of the graph. Stages with the same number may run side by side."""
    steps = _steps(graph)
    nodes = sorted(graph.order, key=lambda node: steps[node.name])  # stable: the graph's order within a step
    width = max((len(printable(node.name)) for node in nodes), default=0)
    digits = len(str(max(steps.values(), default=1)))
    return "\n".join(
        f"{steps[n.name]:>{digits}}  {printable(n.name):<{width}}  {_remark(graph, n)}".rstrip() for n in nodes
    )


def as_mermaid(graph: Graph, ended: Mapping[str, Ended] | None = None) -> str:
    """A flowchart (https://mermaid.js.org/syntax/flowchart.html); stages that do not run are dashed.

    ``ended`` says how the stages of a run ended, by their names: it colours them, with the time that each took.
    """
    ended = ended or {}
    names = {node.name: f"s{number}" for number, node in enumerate(graph.order)}
    lines = ["flowchart LR"]
    for node in graph.order:
        opening, closing = _SHAPES.get(node.kind, _BOX)
        label, style = _quoted(node.name), "" if node.runs else ":::skipped"
        if (end := ended.get(node.name)) is not None and end.state in _STYLES:
            label, style = f"{label} {end.seconds:.1f} s", f":::{_STYLES[end.state][0]}"
        lines.append(f"  {names[node.name]}{opening}{label}{closing}{style}")
    for node in graph.order:
        lines += [f"  {names[need]} --> {names[node.name]}" for need in graph.drawn_needs(node.name)]
    if any(not node.runs for node in graph.order):
        lines.append("  classDef skipped stroke-dasharray: 4")
    states = {one.state for one in ended.values()}
    lines += [f"  classDef {name} {style}" for state, (name, style) in _STYLES.items() if state in states]
    return "\n".join(lines)


def _steps(graph: Graph) -> dict[str, int]:
    """How many stages come before each one at least, one after the other."""
    steps: dict[str, int] = {}
    for node in graph.order:
        steps[node.name] = 1 + max((steps[need] for need in node.needs), default=0)
    return steps


def _remark(graph: Graph, node: Node) -> str:
    needs = graph.drawn_needs(node.name)
    after = f"after {', '.join(map(printable, needs))}" if needs else ""
    skipped = f"skipped: {printable(node.skip)}" if node.skip is not None else ""
    return "; ".join(filter(None, (after, skipped)))


def _quoted(name: str) -> str:
    """A label in which nothing can end it, or mean anything: what is not plain becomes its code."""
    return "".join(c if (c.isascii() and c.isalnum()) or c in _PLAIN else f"#{ord(c)};" for c in printable(name))
