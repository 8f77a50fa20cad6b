"""Reads the streams of pushes and pulls. A failed one is a line in a 200 answer, never an exception of the library.

The stream is that of ``POST /images/{name}/push`` (https://docs.docker.com/reference/api/engine/): ``status`` with
``id`` and ``progressDetail`` per layer, ``aux.Digest`` at the end, ``error``/``errorDetail`` when it failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.core.errors import HybridCIError, Refused
from orchestrator.core.image import Digest, ImageReference, InvalidReference, PinnedImage, TaggedImage
from orchestrator.images.base import MEBIBYTE, PushFailed
from orchestrator.images.errors import LoginRefused, PullFailed, PushInterrupted, login_hint

_NO_LOGIN = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|incorrect username or password|\b401\b", re.I
)
_DENIED = re.compile(r"denied|forbidden|\b403\b|immutable|not allowed|quota", re.I)
_TRANSIENT = re.compile(
    r"blob unknown|unknown blob|blob upload|\b5\d\d\b|internal server error|bad gateway|unavailable|timeout|"
    r"timed out|connection re(set|fused)|broken pipe|\beof\b|toomanyrequests|too many requests|\b429\b|temporary|"
    r"no such host|server misbehaving|digest did not match",
    re.I,
)
_DONE = frozenset({"Pushed", "Layer already exists"})
_TAG_LINE = re.compile(r"(?P<tag>\S+): digest: (?P<digest>sha256:[0-9a-f]{64}) size: \d+")


class PushStream:
    """Feed it the events in order, then ask ``finish()``."""

    def __init__(self, target: TaggedImage, *, logged_in: bool) -> None:
        self._target = target
        self._logged_in = logged_in
        self._layers: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()
        self._claimed: Digest | None = None
        self._closed = False

    def feed(self, event: Mapping[str, object]) -> None:
        """Take one event. Raises Refused, LoginRefused, PushInterrupted or PushFailed when it says so."""
        error = error_of(event)
        if error is not None:
            raise push_error(error, self._target, logged_in=self._logged_in)
        self._take_progress(event)
        self._take_digest(event)

    def finish(self) -> Digest | None:
        """The digest that the engine claims, None when it claims none. Raises PushInterrupted for a cut stream."""
        if self._claimed is None and not self._complete:
            raise PushInterrupted(
                f"the push of {self._target} ended without saying that it succeeded",
                where=str(self._target.repository),
                hint="run again; the layers that arrived are not sent twice",
            )
        return self._claimed

    @property
    def progress(self) -> str:
        """One line for people: ``2 of 5 layers, 12.3 MiB``."""
        sent = sum(current for current, _ in self._layers.values()) / MEBIBYTE
        return f"{len(self._done)} of {len(self._layers)} layers, {sent:.1f} MiB"

    @property
    def _complete(self) -> bool:
        """Podman claims no digest: every layer ended, and so did the stream."""
        return self._closed or (bool(self._layers) and self._done.issuperset(self._layers))

    def _take_progress(self, event: Mapping[str, object]) -> None:
        layer, status = event.get("id"), event.get("status")
        if isinstance(status, str) and status.startswith("Writing manifest"):
            self._closed = True
        if not isinstance(layer, str) or not isinstance(status, str) or layer == self._target.tag:
            return
        current, total = self._layers.get(layer, (0, 0))
        detail = event.get("progressDetail")
        if isinstance(detail, Mapping):
            current = max(current, _count(detail.get("current")))
            total = max(total, _count(detail.get("total")))
        if status.startswith("The push refers to"):
            return
        self._layers[layer] = (current, total)
        if status in _DONE or status.startswith("Mounted from"):
            self._done.add(layer)

    def _take_digest(self, event: Mapping[str, object]) -> None:
        aux = event.get("aux")
        found = aux.get("Digest") if isinstance(aux, Mapping) else None
        if found is None and isinstance(event.get("status"), str):
            match = _TAG_LINE.fullmatch(str(event["status"]))
            found = match["digest"] if match and match["tag"] == self._target.tag else None
        if found is None:
            return
        try:
            digest = Digest(str(found))
        except InvalidReference:
            raise PushFailed(f"the engine claims a digest for {self._target} that is none: {found!r}") from None
        if self._claimed not in (None, digest):
            raise PushFailed(
                f"the engine claims two digests for {self._target}", details=[str(self._claimed), str(digest)]
            )
        self._claimed = digest


def push_error(message: str, target: TaggedImage, *, logged_in: bool) -> HybridCIError:
    """The error of our tree for what an engine says about a push."""
    repository = target.repository
    if _NO_LOGIN.search(message) or (_DENIED.search(message) and not logged_in):
        return LoginRefused(
            f"the registry {repository.registry} refused the login for {repository.path}",
            where=str(repository),
            hint=login_hint(repository.registry, logged_in=logged_in),
            details=[message],
        )
    if _DENIED.search(message):
        return Refused(
            f"the registry does not allow this job to push to {repository}",
            where=str(repository),
            hint="give the account the right to push there, or correct the image's repository",
            details=[message],
        )
    kind = PushInterrupted if _TRANSIENT.search(message) else PushFailed
    return kind(f"the push of {target} failed", where=str(repository), details=[message])


def pull_error(message: str, image: PinnedImage | ImageReference, *, logged_in: bool) -> HybridCIError:
    """The error of our tree for what an engine says about a pull."""
    repository = image.repository
    if _NO_LOGIN.search(message) or _DENIED.search(message):
        return LoginRefused(
            f"the registry {repository.registry} does not let this job pull {repository.path}",
            where=str(repository),
            hint=login_hint(repository.registry, logged_in=logged_in),
            details=[message],
        )
    return PullFailed(
        f"the engine could not pull {image}",
        where=str(repository),
        hint="run again; where it is never found, correct its name",
        details=[message],
    )


def error_of(event: Mapping[str, object]) -> str | None:
    """What a line of an engine's stream says went wrong; None when it says nothing of that kind."""
    detail = event.get("errorDetail")
    message = detail.get("message") if isinstance(detail, Mapping) else None
    found = message if message is not None else event.get("error")
    return None if found is None else str(found)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
