"""The fault scenarios by number: each has a test, and no test names one that is not here.

``pytest -m "scenario(number=9)"`` runs those of one scenario.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_GIT = {
    1: "a push is reset before the server sees it",
    2: "a push is answered 503 before it is processed",
    3: "a push landed, then the connection was reset",
    4: "a push landed, then the gateway said 504",
    5: "a push landed, and its reply was cut",
    6: "a push landed, was sent again by git itself, and was rejected",
    7: "a push ended in nothing, and the ref can't be read either",
    8: "another commit was faster",
    9: "another run pinned the same image first",
    10: "another run pinned a newer image first",
    11: "a person changed the same line first",
    12: "many writers on one branch",
    13: "somebody rewrites our branch by force",
    14: "the branch is deleted between look and push",
    15: "the branch is made by another between look and push",
    16: "no push without the value that was inspected",
    17: "the server's rules refuse the push",
    18: "a refusal that is a timeout",
    19: "somebody else's commit stands on our branch",
    20: "the base branch is rewritten meanwhile",
    21: "the history is cut above where the branch began",
    22: "the default branch was renamed",
    55: "a server that drips",
    57: "the deadline is reached in the middle of a push",
}
_REGISTRY = {
    58: "an error inside a push that was answered 200",
    59: "a push that is denied inside its stream",
    60: "a push that ends without a digest",
    61: "a manifest that is not served for 20 s after its push",
    62: "a blob that is unknown once",
    63: "an error on every third request",
    64: "a digest header that is not the body's",
    65: "a tag that moved after our push",
    66: "a tag that another image has already",
    67: "the digest of an index and that of a platform",
    68: "the registry is away at a promotion",
    69: "an image that is deleted before its promotion",
    70: "bodies of 100 MiB, bombs, and bodies without end",
    71: "a registry without the referrers API",
    72: "an artifact whose listing was lost",
}
_MACHINE = {
    73: "a release is killed at any point, and run again",
    74: "a release is told to end at any point",
    75: "a release is killed twice, and run again",
    76: "two runs of one commit at the same time",
    77: "a run that is taken up on a runner which has nothing of the first",
    78: "a run that is taken up 30 days later, when a newer release is live",
    79: "the disk is full at any write",
    80: "no folder for temporary files, no home, nothing that can be written",
    81: "no file descriptors are left",
    82: "a lock of git's lies in the checkout",
    83: "git is missing, or too old",
    84: "nobody reads what is printed",
    85: "names that are no UTF-8, in a locale without any",
    86: "the engine restarts in the middle of a build",
    87: "the system kills a child for its memory",
}
SCENARIOS = {**_GIT, **_REGISTRY, **_MACHINE}


def _numbers() -> Iterator[int]:
    for path in sorted(Path("tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
                (keyword,) = node.keywords
                assert isinstance(keyword.value, ast.Constant)
                yield keyword.value.value


def test_every_scenario_has_a_test_and_every_number_a_scenario() -> None:
    assert set(_numbers()) == set(SCENARIOS)
