"""The error tree: exit codes are a contract with the scripts around us."""

from __future__ import annotations

import pytest

from orchestrator.core import errors
from orchestrator.core.errors import ExitCode, HybridCIError

CODES = {
    "WorkFailed": 1,
    "ConfigurationError": 2,
    "Refused": 3,
    "Conflict": 4,
    "RemoteError": 5,
    "TimedOut": 6,
    "Interrupted": 130,
    "Terminated": 143,
}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_each_error_has_its_exit_code_for_good(name: str, code: int) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, HybridCIError)
    assert int(kind("what").exit_code) == code


def test_no_error_and_no_code_is_left_out_of_the_table() -> None:
    kinds = {kind.__name__ for kind in HybridCIError.__subclasses__() if kind.__module__ == errors.__name__}
    assert kinds == set(CODES)
    assert {int(code) for code in ExitCode} == {0, *CODES.values()}


def test_an_error_says_what_where_and_how_to_fix_it() -> None:
    error = HybridCIError("what", where="file:1", hint="fix", details=["one", "two"])
    assert str(error) == "what"
    assert (error.message, error.where, error.hint, error.details) == ("what", "file:1", "fix", ("one", "two"))
