"""What an error of the network comes down to: libraries wrap the operating system's own words several times over."""

from __future__ import annotations


def root_reason(error: Exception) -> str:
    """The innermost reason in one line, without addresses of objects."""
    inner: object = error
    while isinstance(inner, BaseException):
        deeper = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    text = (inner.strerror if isinstance(inner, OSError) else None) or str(inner)
    text = text.rpartition(": ")[2] if "object at 0x" in text else text
    return text.splitlines()[0][:200] if text else type(inner).__name__
