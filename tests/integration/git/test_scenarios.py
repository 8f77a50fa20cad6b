"""The fault scenarios by number: each has a test, and no test names one that is not here.

``pytest -m "scenario(number=9)"`` runs those of one scenario.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

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
_FORGE = {
    23: "a pull request was opened, then the gateway said 502",
    24: "a pull request was opened, then the connection was reset",
    25: "lists show a new pull request late",
    26: "our pull request is on a further page",
    27: "a person closed the pull request of the same release",
    28: "the pull request of the same release is merged",
    29: "it is merged, and the forge has deleted its branch",
    30: "an older pull request is open",
    31: "an older release comes after a newer one",
    32: "two releases open a pull request at the same time",
    33: "several open pull requests from our branch",
    34: "a person edited title and body",
    35: "labels or reviewers fail after the pull request is there",
    36: "a comment whose answer is lost",
    37: "the base moved while it was merged",
    38: "a merge method that is not allowed",
    39: "the head moved before the merge",
    40: "a merge landed, then 502, then 405",
    41: "GitLab's 405 for what is merged already",
    42: "GitLab's lock on a resource",
    43: "GitLab takes a minute to find out whether it can merge",
    44: "the base takes merges through its queue only",
    45: "pull requests of a workflow's own token start no workflows",
    46: "the App's token expires between push and pull request",
    47: "a limit that ends in 40 s",
    48: "a limit that ends after the deadline",
    49: "a secondary limit, with Retry-After and without",
    50: "a Retry-After of every kind",
    51: "a server's clock that is an hour off",
    52: "the machine's clock jumps back",
    53: "the budget of writes",
    54: "a read that is answered 202 for ever",
    56: "a server that nobody reaches",
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
# 97 (a release after a rollback) and 98 (a rollback to an image that is gone) are about the rollback, which hybrid-ci
# does not have yet.
_CONTENT = {
    88: "ten thousand manifests at random",
    89: "line endings, a byte order mark, tabs, anchors, comments and block scalars",
    90: "the image in a comment, a string or another field",
    91: "the same image in two documents of one file",
    92: "a release of several files",
    93: "no manifest in the environment that is promoted to",
    94: "a kustomize entry that has a new name already",
    95: "broken YAML elsewhere, and in the way",
    96: "a promotion copies the digest, whatever the tags say",
    99: "a Secret in plain text in the same folder",
    100: "a repository of 100,000 files",
}
SCENARIOS = {**_GIT, **_FORGE, **_REGISTRY, **_MACHINE, **_CONTENT}

_GITHUB, _GITLAB, _SIMULATED = "tests/integration/github", "tests/integration/gitlab", "tests/simulation"
# Where a scenario of the forge has to be tested; those that are not named here: on either forge, over HTTP.
_LEVELS = {
    32: {_SIMULATED, _GITHUB},  # every order of steps in the simulation, one with real git
    33: {_SIMULATED},  # neither forge opens a second one
    37: {_GITHUB},
    41: {_GITLAB},
    42: {_GITLAB},
    43: {_GITLAB},
    45: {_SIMULATED},
    46: {_GITHUB},
    # One module makes the calls of both forges, and has these rules.
    49: {_GITHUB},
    52: {_GITHUB},
    54: {_GITHUB},
    56: {_GITHUB},
}


@cache
def _marks() -> frozenset[tuple[int, str]]:
    """Each number with the folders of its tests."""
    return frozenset(_found())


def _found() -> Iterator[tuple[int, str]]:
    for path in sorted(Path("tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
                (keyword,) = node.keywords
                assert isinstance(keyword.value, ast.Constant)
                yield keyword.value.value, path.parent.as_posix()


def test_every_scenario_has_a_test_and_every_number_a_scenario() -> None:
    assert {number for number, _ in _marks()} == set(SCENARIOS)


@pytest.mark.parametrize("number", _FORGE)
def test_every_scenario_of_the_forge_is_tested_on_its_level(number: int) -> None:
    found = {folder for known, folder in _marks() if known == number}
    assert found >= _LEVELS.get(number, {_GITHUB, _GITLAB})
