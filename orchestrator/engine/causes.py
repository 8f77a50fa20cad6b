"""What an error of the network comes down to: libraries wrap the operating system's own words several times over."""

from __future__ import annotations

import ssl

from orchestrator.core.machine import is_exhausted


def root_reason(error: Exception) -> str:
    """The innermost reason in one line, without addresses of objects."""
    inner = _innermost(error)
    text = (inner.strerror if isinstance(inner, OSError) else None) or str(inner)
    text = text.rpartition(": ")[2] if "object at 0x" in text else text
    return text.splitlines()[0][:200] if text else type(inner).__name__


def is_cut_off(error: Exception) -> bool:
    """What looks like trouble with TLS is none of certificates: the connection broke off in the middle, or this machine
    had no descriptor left to read its authorities with."""
    inner = _innermost(error)
    if isinstance(inner, ssl.SSLError):
        return isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return isinstance(inner, OSError) and is_exhausted(inner)


def _innermost(error: BaseException) -> BaseException:
    inner = error
    while True:
        deeper = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if not isinstance(deeper, BaseException):
            return inner
        inner = deeper
