"""What BuildKit prints, as Docker 20.10 and the newer buildx do: what is told, and where a build broke."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.images.base import BuildFailed, BuildSpec
from orchestrator.images.buildkit_log import BuildKitLog
from orchestrator.images.errors import LoginRefused

DOCKERFILE = "FROM debian:12\nCOPY a /a\n# why\nRUN make \\\n  all\n"
SPEC = BuildSpec("api", Path("/src"), Path("/src/Dockerfile"))


def read(text: str) -> tuple[list[str], BuildKitLog]:
    log = BuildKitLog(SPEC, DOCKERFILE)
    return [told for line in text.strip().splitlines() for told in log.feed(line)], log


FAILED_STEP = """
#6 [2/3] COPY a /a
#6 sha256:4e034d64defe283becf76d8e4eb0efdde963d16486e895575d94eb253859c3dd
#6 DONE 0.2s

#7 [3/3] RUN make   all
#7 0.312 make: *** No rule to make target 'all'.  Stop.
#7 ERROR: executor failed running [/bin/sh -c make   all]: exit code: 2
------
 > [3/3] RUN make   all:
#7 0.312 make: *** No rule to make target 'all'.  Stop.
------
executor failed running [/bin/sh -c make   all]: exit code: 2
"""
FAILED_STEP_NEWER = """
#7 [stage-0 3/3] RUN make   all
#7 0.312 make: *** No rule to make target 'all'.  Stop.
#7 ERROR: process "/bin/sh -c make   all" did not complete successfully: exit code: 2
------
 > [stage-0 3/3] RUN make   all:
0.312 make: *** No rule to make target 'all'.  Stop.
------
Dockerfile:4
--------------------
   4 | >>> RUN make \\
   5 | >>>   all
--------------------
ERROR: failed to solve: process "/bin/sh -c make   all" did not complete successfully: exit code: 2
"""


def test_the_log_is_told_without_numbers_times_and_mere_progress() -> None:
    told, _ = read(FAILED_STEP)
    assert told[:3] == ["[2/3] COPY a /a", "[3/3] RUN make   all", "make: *** No rule to make target 'all'.  Stop."]
    assert not any("sha256:" in line or "DONE" in line for line in told)


@pytest.mark.parametrize("text", [FAILED_STEP, FAILED_STEP_NEWER])
def test_a_failing_step_names_its_line_and_its_exit_code(text: str) -> None:
    _, log = read(text)
    error = log.failure(1)
    assert isinstance(error, BuildFailed)
    assert error.message == "the build of api failed at step 3 of 3: RUN make   all"
    assert error.where == "/src/Dockerfile:4"
    assert "ended with 2" in (error.hint or "")
    assert any("No rule to make target" in line for line in error.details)


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        (
            '------\n > [2/3] COPY a /a:\n------\nfailed to compute cache key: "/a" not found: not found',
            ":2",
            "context",
        ),
        (
            'ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of x: "/a": not found',
            "",
            "context",
        ),
        (
            "failed to solve with frontend dockerfile.v0: dockerfile parse error line 2: unknown instruction: COPPY",
            ":2",
            "",
        ),
        ("Dockerfile:1\nERROR: failed to solve: dockerfile parse error on line 1: unknown instruction: FRM", ":1", ""),
        ("failed to solve with frontend dockerfile.v0: debian:12: not found", ":1", "does not exist"),
        ("ERROR: failed to solve: docker.io/library/debian:12: not found", ":1", "does not exist"),
        ("ERROR: failed to solve: ghcr.io/acme/other:1: not found", "", "does not exist"),
        ('ERROR: failed to solve: target stage "second" could not be found', "", "Dockerfile"),
    ],
)
def test_a_dockerfile_that_does_not_build_is_ours_to_correct(text: str, where: str, hint: str) -> None:
    _, log = read(text)
    error = log.failure(1)
    assert isinstance(error, BuildFailed)
    assert error.where == f"/src/Dockerfile{where}"
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    "message",
    [
        'failed to do request: Head "https://nowhere.example/v2/x": dial tcp: lookup nowhere.example: no such host',
        "failed to solve: error getting credentials: toomanyrequests: rate limit",
        "write /var/lib/docker: no space left on device",
    ],
)
def test_the_engines_own_trouble_is_a_remote_error(message: str) -> None:
    _, log = read(f"#3 ERROR: {message}\nERROR: failed to solve: {message}")
    error = log.failure(1)
    assert isinstance(error, RemoteError)
    assert message in error.message
    assert "correct" not in (error.hint or "")


def test_a_step_that_was_killed_may_be_run_again() -> None:
    text = re.sub(r"exit code: \d+", "exit code: 137", FAILED_STEP)
    assert text != FAILED_STEP
    _, log = read(text)
    error = log.failure(1)
    assert isinstance(error, RemoteError)
    assert "killed at step 3 of 3" in error.message
    assert error.where == "/src/Dockerfile:4"


def test_a_base_image_behind_a_login_says_how_to_log_in() -> None:
    _, log = read(
        "ERROR: failed to solve: ghcr.io/acme/base:1: failed to authorize: 401 Unauthorized: authentication required"
    )
    assert isinstance(log.failure(1), LoginRefused)


def test_a_command_that_prints_unauthorized_is_no_login_problem() -> None:
    text = FAILED_STEP.replace("No rule to make target 'all'", "401 unauthorized")
    _, log = read(text)
    assert isinstance(log.failure(1), BuildFailed)


def test_a_build_that_ends_without_a_word_is_an_error_all_the_same() -> None:
    _, log = read("")
    assert "api" in log.failure(137).message


def test_endless_output_is_kept_short() -> None:
    log = BuildKitLog(SPEC, DOCKERFILE)
    for number in range(5000):
        list(log.feed(f"#7 0.1 line {number} " + "x" * 100_000))
    error = log.failure(1)
    assert sum(map(len, error.details)) < 400_000
