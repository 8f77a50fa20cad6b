"""The error boundary: every way in which a command can end becomes one message and one exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

import typer
from typer.exceptions import TyperException

from orchestrator.ci.redact import install as install_redaction
from orchestrator.core.errors import ExitCode, HybridCIError, Interrupted, Terminated
from orchestrator.core.text import printable


def guarded(work: Callable[[], object], *, verbose: bool) -> int:
    """Run a command. Whatever it raises is printed on stderr, redacted; the exit code is returned."""
    install_redaction()
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        result = work()
    except HybridCIError as error:
        return _fail(describe(error), error.exit_code)
    except TyperException as error:
        return _fail(_usage(error), ExitCode.CONFIGURATION)
    except typer.Exit as ending:
        return ending.exit_code
    except _SigTerm:
        return _fail(describe(Terminated("terminated")), ExitCode.TERMINATED)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(describe(Interrupted("interrupted")), ExitCode.INTERRUPTED)
    except BrokenPipeError:
        return _closed_output()
    except Exception as error:  # the last line of defence: a bug of ours, told without locals
        return _fail(_bug(error, verbose), ExitCode.WORK_FAILED)
    return result if isinstance(result, int) else ExitCode.OK


def describe(error: HybridCIError) -> str:
    """An error as its reader sees it: what, where, details, what to do."""
    lines = [f"error: {error.message}"]
    if error.where:
        lines.append(f"  where: {error.where}")
    lines += [f"    {line}" for line in error.details]
    if error.hint:
        lines.append(f"  fix:   {error.hint}")
    return "\n".join(printable(line) for line in lines)


def _usage(error: TyperException) -> str:
    """A mistake on the command line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hybrid-ci"
    return f"error: {printable(error.format_message())}\n  fix:   {command} --help shows what it takes"


def _fail(text: str, code: ExitCode) -> int:
    print(text, file=sys.stderr)
    return code


def _bug(error: Exception, verbose: bool) -> str:
    lines = [f"error: unexpected {type(error).__name__}: {printable(str(error))}"]
    if verbose:
        lines += [line.rstrip() for line in traceback.format_exception(error)]
        lines.append("  fix:   this is a bug in hybrid-ci; please report it with the lines above")
    else:
        lines.append("  fix:   this is a bug in hybrid-ci; run again with --verbose and report what it prints")
    return "\n".join(lines)


def _closed_output() -> int:
    """The reader of stdout went away (``| head``): end quietly, without Python's own complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK


class _SigTerm(KeyboardInterrupt):
    """SIGTERM, raised where the main thread is. Like Ctrl-C it is no Exception, so that no handler takes it."""


def _on_terminate(number: int, frame: FrameType | None) -> None:
    raise _SigTerm
