"""What git's and the forges' words mean."""

from __future__ import annotations

import pytest

from orchestrator.git.failures import Failure, classify, is_transient


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("fatal: bad tree object 2737895954\nfatal: the remote end hung up unexpectedly", Failure.INCOMPLETE),
        ("! [rejected] main -> main (fetch first)", Failure.RACE),
        ("! [rejected] x -> x (non-fast-forward)", Failure.RACE),
        ("! [rejected] x -> x (stale info)", Failure.RACE),
        ("remote: error: cannot lock ref 'refs/heads/x': is at a but expected b", Failure.RACE),
        ("! [remote rejected] x -> x (incorrect old value provided)", Failure.RACE),
        ("! [remote rejected] x -> x (reference already exists)", Failure.RACE),
        ("cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'", Failure.REF_CLASH),
        ("remote: error: GH013: Repository rule violations found for refs/heads/main.", Failure.REFUSED),
        ("! [remote rejected] main -> main (protected branch hook declined)", Failure.REFUSED),
        ("! [remote rejected] main -> main (pre-receive hook declined)", Failure.REFUSED),
        ("refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml`", Failure.REFUSED),
        ("remote: GitLab: You are not allowed to push code to protected branches on this project.", Failure.REFUSED),
        ("ERROR: This repository was archived so it is read-only.", Failure.REFUSED),
        ("Unable to determine if workflow can be created or updated due to timeout", Failure.TRANSIENT),
        ("fatal: Authentication failed for 'https://git.example/x/'", Failure.LOGIN),
        ("fatal: could not read Username for 'https://git.example': terminal prompts disabled", Failure.LOGIN),
        ("fatal: unable to access 'https://git.example/x/': The requested URL returned error: 403", Failure.LOGIN),
        ("git@git.example: Permission denied (publickey).", Failure.LOGIN),
        ("remote: Repository not found.", Failure.MISSING),
        ("fatal: '/x.git' does not appear to be a git repository", Failure.MISSING),
        ("fatal: repository 'https://git.example/x/' not found", Failure.MISSING),
        ("fatal: https://h/x/info/refs not valid: is this a git repository?", Failure.MISSING),
        ("fatal: git-http-push failed", Failure.NO_PUSH),
        ("fatal: unable to access 'https://h/x/': The requested URL returned error: 302", Failure.REDIRECTED),
        ("Host key verification failed.", Failure.UNTRUSTED_HOST),
        ("server certificate verification failed. CAfile: none", Failure.UNTRUSTED_HOST),
        ("fatal: remote error: upload-pack: not our ref 1111", Failure.NO_SUCH_OBJECT),
        ("error: Server does not allow request for unadvertised object 1111", Failure.NO_SUCH_OBJECT),
        ("fatal: filter 'tree' not supported", Failure.NO_FILTER),
        ("fatal: tree filter allows max depth 0, but got 2", Failure.NO_FILTER),
        ("fatal: dumb http transport does not support shallow capabilities", Failure.NO_SHALLOW),
        ("fatal: unable to access 'https://h/x/': Could not resolve host: h", Failure.TRANSIENT),
        ("fatal: unable to access 'https://h/x/': Failed to connect to h port 443", Failure.TRANSIENT),
        ("error: RPC failed; HTTP 504 curl 22 The requested URL returned error: 504", Failure.TRANSIENT),
        ("fatal: the remote end hung up unexpectedly", Failure.TRANSIENT),
        ("fatal: early EOF", Failure.TRANSIENT),
        ("Operation too slow. Less than 64 bytes/sec transferred the last 45 seconds", Failure.TRANSIENT),
        ("The requested URL returned error: 429", Failure.TRANSIENT),
        ("something that nobody has seen before", Failure.UNKNOWN),
    ],
)
def test_the_words_of_git_and_the_forges_are_understood(said: str, failure: Failure) -> None:
    assert classify(f"remote: Enumerating objects\n{said}\nerror: failed to push some refs to 'https://h/x'") is failure


def test_only_what_may_pass_is_tried_again() -> None:
    assert {failure for failure in Failure if is_transient(failure)} == {Failure.TRANSIENT, Failure.UNKNOWN}
