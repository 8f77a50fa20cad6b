"""Gates that ask somebody else: a server by HTTP, a tool by its command line."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.ci.redact import read_secret
from orchestrator.core.facts import CommandAnswer, HttpAnswer, NoAnswer, Subject
from orchestrator.core.gates import CommandGate, HttpGate
from orchestrator.engine.http_get import NothingCame, get
from orchestrator.engine.process import Limits, ProgramBroken, ProgramMissing, run

_OUTPUT = 1 << 20
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
# A user namespace of its own gives the right to have a network namespace of its own: one without any network.
_WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net", "--")


def ask_http(gate: HttpGate, variables: Mapping[str, str], ca_bundle: Path | None = None) -> HttpAnswer | NoAnswer:
    """What the server says. The token comes from the variable that the policy names, and from nowhere else."""
    token = read_secret(gate.token, variables) if gate.token is not None else None
    if gate.token is not None and token is None:
        return NoAnswer(f"${gate.token}, which the policy names for the token, is not set")
    try:
        answer = get(gate.url, gate.seconds, token, ca_bundle)
    except NothingCame as error:
        return NoAnswer(str(error))
    return HttpAnswer(answer.status, answer.text)


def ask_command(gate: CommandGate, subject: Subject) -> CommandAnswer | NoAnswer:
    """What the tool prints. It reads the change as JSON on its standard input, and works in an empty folder."""
    if shutil.which(gate.argv[0]) is None:  # what cuts it off from the network would say no more than 127
        return NoAnswer(f"{gate.argv[0]} is not installed")
    if not gate.network and not _can_cut_off():
        return NoAnswer(
            "this machine can't keep a command from the network (unshare does not work here); "
            "where that is acceptable, the policy can say network: true"
        )
    for name in gate.inherit:
        if _SECRET_NAME.search(name):
            read_secret(name)  # so that it is masked, should the tool print it
    prefix = () if gate.network else _WITHOUT_NETWORK
    with tempfile.TemporaryDirectory(prefix="hybrid-ci-gate-") as folder:
        try:
            answer = run(
                [*prefix, *gate.argv],
                inherit=gate.inherit,
                directory=Path(folder),
                stdin=question(subject),
                limits=Limits(seconds=gate.seconds, output=_OUTPUT),
            )
        except (ProgramMissing, ProgramBroken) as error:
            return NoAnswer(error.message)
    if answer.timed_out:
        return NoAnswer(f"it did not end within {gate.seconds:g} seconds")
    if answer.truncated:
        return NoAnswer("it printed more than a MiB")
    return CommandAnswer(answer.returncode, answer.stdout.decode("utf-8", "replace"), answer.error_text)


def question(subject: Subject) -> bytes:
    """The change as a tool reads it: ``hybrid-ci.gate/v1``."""
    images = [
        {
            "repository": str(one.repository),
            "tag": one.image.tag,
            "digest": str(one.image.digest),
            "runs": str(one.runs) if one.runs is not None else None,
            "source": str(one.origin.source) if one.origin.source is not None else None,
        }
        for one in subject.images
    ]
    data = {
        "schema": "hybrid-ci.gate/v1",
        "environment": subject.environment.name,
        "scope": subject.scope,
        "images": images,
    }
    return json.dumps(data).encode()


def _can_cut_off() -> bool:
    try:
        return run([*_WITHOUT_NETWORK, "true"], limits=Limits(seconds=10, output=4096)).ok
    except (ProgramMissing, ProgramBroken):
        return False
