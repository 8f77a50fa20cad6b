"""The verdicts of gates that ask others: an HTTP server, or a tool. Their answers are data from outside."""

from __future__ import annotations

import json

from orchestrator.core.facts import CommandAnswer, HttpAnswer, NoAnswer
from orchestrator.core.gates import CommandGate, HttpGate
from orchestrator.core.text import printable
from orchestrator.core.verdict import Result, Verdict

_LONGEST = 300
_MOST_EVIDENCE = 20


def judge_http(gate: HttpGate, answer: HttpAnswer | NoAnswer | None) -> Verdict:
    """The answer is as expected, or the gate's ``otherwise``. No answer at all is never a pass."""
    if answer is None or isinstance(answer, NoAnswer):
        reason = answer.reason if answer is not None else "it was not asked"
        return Verdict(gate.name, gate.otherwise, f"there is no answer: {_short(reason)}", link=gate.url)
    wrong = _unexpected(gate, answer)
    if wrong is not None:
        return Verdict(gate.name, gate.otherwise, wrong, (f"status {answer.status}",), gate.url)
    return Verdict(gate.name, Result.PASS, "the answer is as expected", (f"status {answer.status}",), gate.url)


def _unexpected(gate: HttpGate, answer: HttpAnswer) -> str | None:
    if answer.status != gate.status:
        return f"the answer has the status {answer.status}, not {gate.status}"
    if gate.contains is not None and gate.contains not in answer.text:
        return f"the answer does not contain {gate.contains!r}"
    if gate.pointer is None:
        return None
    try:
        value = find_pointer(_json(answer.text), gate.pointer)
    except ValueError:
        return "the answer is no JSON"
    except LookupError:
        return f"the answer has nothing at {gate.pointer!r}"
    if gate.equals is not None and not _same(value, gate.equals):
        return f"{gate.pointer} is {_short(json.dumps(value))}, not {json.dumps(gate.equals)}"
    return None


def judge_command(gate: CommandGate, answer: CommandAnswer | NoAnswer | None) -> Verdict:
    """What the command printed. Anything but a well-formed verdict and exit code 0 refuses."""
    if answer is None or isinstance(answer, NoAnswer):
        reason = answer.reason if answer is not None else "it was not run"
        return Verdict(gate.name, Result.REFUSE, f"the command gave no verdict: {_short(reason)}", hint=_hint(gate))
    if answer.code != 0:
        evidence = tuple(_short(line) for line in answer.errors.splitlines()[-3:])
        reason = f"the command ended with the exit code {answer.code}"
        return Verdict(gate.name, Result.REFUSE, reason, evidence, hint=_hint(gate))
    try:
        return _read_verdict(gate, _json(answer.output))
    except (ValueError, LookupError) as error:
        return Verdict(gate.name, Result.REFUSE, f"the command printed no verdict: {error}", hint=_hint(gate))


def _read_verdict(gate: CommandGate, data: object) -> Verdict:
    """The printed verdict. Raises ValueError for what is none."""
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    if unknown := sorted(set(data) - {"verdict", "reason", "evidence", "link"}):
        raise ValueError(f"the key {_short(unknown[0])!r} is not known")
    result, reason = data.get("verdict"), data.get("reason")
    if not isinstance(result, str) or result not in {one.value for one in Result}:
        raise ValueError("'verdict' is not pass, wait or refuse")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("'reason' is not a text")
    evidence, link = data.get("evidence", []), data.get("link")
    if not isinstance(evidence, list) or not all(isinstance(line, str) for line in evidence):
        raise ValueError("'evidence' is not a list of texts")
    if link is not None and not (isinstance(link, str) and link.startswith("https://")):
        raise ValueError("'link' is not an https:// URL")
    lines = tuple(_short(line) for line in evidence[:_MOST_EVIDENCE])
    return Verdict(gate.name, Result(result), _short(reason), lines, _short(link) if link else None)


def _hint(gate: CommandGate) -> str:
    return f"run {gate.argv[0]!r} by hand; it prints one JSON object: verdict, reason, and perhaps evidence and link"


def find_pointer(data: object, pointer: str) -> object:
    """The value that a JSON pointer names (RFC 6901). Raises LookupError when there is none."""
    if pointer == "":
        return data
    for token in pointer[1:].split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(data, dict):
            data = data[key]
        elif isinstance(data, list) and key.isascii() and key.isdigit() and (key == "0" or not key.startswith("0")):
            data = data[int(key)]
        else:
            raise LookupError(key)
    return data


def _json(text: str) -> object:
    """Raises ValueError, also for what is nested too deep to read."""
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:
        raise ValueError("it is no JSON") from None
    return value


def _same(value: object, wanted: object) -> bool:
    """Equal as JSON: true is not 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _short(text: str) -> str:
    clean = printable(text).strip()
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
