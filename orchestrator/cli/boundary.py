"""The error boundary: every way in which a command can end becomes one message and one exit code."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

import typer
from typer.exceptions import TyperException

from orchestrator.ci.redact import install as install_redaction
from orchestrator.cli.streams import drop_broken_output, write_exactly
from orchestrator.core.errors import ConfigurationError, ExitCode, HybridCIError, Interrupted, Terminated, WorkFailed
from orchestrator.core.machine import machine_error
from orchestrator.core.text import printable

_TIDYING_SECONDS = 4.0  # a run has 5 s to end after a signal
# The options of the root command, each with what follows it: people write them behind a command, too.
_GLOBAL = {
    "--quiet": "", "-q": "", "--verbose": "", "-v": "",
    "--log-format": "FORMAT ", "--config": "FILE ", "--git-cache": "DIR ",
}  # fmt: skip


class _Termination:
    """Whether SIGTERM came, and when the last signal was heard. A library may turn what one raises into something else
    on its way up.
    """

    received = False
    heard = -_TIDYING_SECONDS


class _SigTerm(KeyboardInterrupt):
    """SIGTERM, raised where the main thread is. Like Ctrl-C it is no Exception, so that no handler takes it."""


def guarded(work: Callable[[], object], *, verbose: bool, as_json: bool = False) -> int:
    """Run a command. Whatever it raises is printed on stderr, redacted; the exit code is returned.

    ``as_json`` makes an error one JSON line, as the rest of the log is then.
    """
    write_exactly()
    install_redaction()
    _Termination.received, _Termination.heard = False, -_TIDYING_SECONDS
    signal.signal(signal.SIGTERM, _on_signal)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us wants it ignored
        signal.signal(signal.SIGINT, _on_signal)
    try:
        return _run(work, _Voice(verbose, as_json))
    finally:
        with _undisturbed():
            _remove_scratch()
            drop_broken_output()


@dataclass(frozen=True, slots=True)
class _Voice:
    """How errors are told."""

    verbose: bool
    as_json: bool

    def fail(self, error: HybridCIError) -> int:
        """Tell the error on stderr; its exit code."""
        text = _json_line(error) if self.as_json else describe(error)
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # the code still tells when nobody reads the text
                print(text, file=sys.stderr, flush=True)
        from orchestrator.cli.publish import publish_failure

        publish_failure(error)
        return error.exit_code


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal breaks the block off. Nothing in it waits for anything."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remove_scratch() -> None:
    """An interruption may have come while the run's own tidying was under way."""
    scratch = sys.modules.get("orchestrator.engine.scratch")
    if scratch is not None:  # a command that never needed a folder does not load what makes them
        scratch.end_scratch()


def _run(work: Callable[[], object], voice: _Voice) -> int:
    try:
        result = work()
    except HybridCIError as error:
        return voice.fail(error)
    except TyperException as error:
        return voice.fail(_usage(error))
    except typer.Exit as ending:
        return ending.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return voice.fail(_interruption())
    except OSError as error:
        if isinstance(error, BrokenPipeError) and drop_broken_output():
            return ExitCode.OK  # the reader of our results went away (``| head``), which is no failure
        return voice.fail(machine_error(error, _traceback(error) if voice.verbose else ()))
    except MemoryError as error:
        return voice.fail(machine_error(error))
    except Exception as error:  # the last line of defence: a bug of ours, told without locals
        return voice.fail(_bug(error, voice.verbose))
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


def _json_line(error: HybridCIError) -> str:
    """The same as one JSON object, like the other lines of the log."""
    return json.dumps(
        {
            "event": "error",
            "time": round(time.time(), 3),
            "message": printable(error.message),
            "where": printable(error.where) if error.where else None,
            "details": [printable(line) for line in error.details],
            "fix": printable(error.hint) if error.hint else None,
            "exit_code": int(error.exit_code),
        },
        ensure_ascii=False,
    )


def _interruption() -> HybridCIError:
    from orchestrator.engine.process import terminate_all

    for number in (signal.SIGINT, signal.SIGTERM):  # asked twice, we would only tidy up less
        signal.signal(number, signal.SIG_IGN)
    terminate_all()  # those that a thread of ours still waits for
    return Terminated("terminated") if _Termination.received else Interrupted("interrupted")


def _usage(error: TyperException) -> HybridCIError:
    """A mistake on the command line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hybrid-ci"
    message = error.format_message().replace(": Value error, ", ": ")  # pydantic's word for any failed check
    option = getattr(error, "option_name", None)
    if option in _GLOBAL and command != "hybrid-ci":
        rest = command.removeprefix("hybrid-ci ")
        return ConfigurationError(
            message, hint=f"it stands before the command: hybrid-ci {option} {_GLOBAL[option]}{rest}"
        )
    return ConfigurationError(message, hint=f"{command} --help shows what it takes")


def _bug(error: Exception, verbose: bool) -> HybridCIError:
    what = f"unexpected {type(error).__name__}: {error}"
    if verbose:
        hint = "this is a bug in hybrid-ci; please report it with the lines above"
        return WorkFailed(what, details=_traceback(error), hint=hint)
    return WorkFailed(what, hint="this is a bug in hybrid-ci; run again with --verbose and report what it prints")


def _traceback(error: BaseException) -> list[str]:
    """The lines of the traceback, without any local variable."""
    return "".join(traceback.format_exception(error)).splitlines()


def _on_signal(number: int, frame: FrameType | None) -> None:
    """The first one ends the run; one that follows at once must not break off the tidying up.

    Whoever runs us in a group of processes often sends two: the terminal's own, and the one that is passed on.
    """
    now = time.monotonic()
    if now - _Termination.heard < _TIDYING_SECONDS:
        return
    _Termination.heard = now
    if number == signal.SIGTERM:
        _Termination.received = True
        raise _SigTerm
    raise KeyboardInterrupt
