"""Puts content into a real registry, by the distribution API and nothing of ours."""

from __future__ import annotations

import base64
import ssl
import urllib.request
from dataclasses import dataclass
from urllib.parse import urljoin

from orchestrator.core.image import Digest
from tests.servers import PlainRegistry, TlsRegistry


@dataclass(frozen=True)
class RegistryWriter:
    """Uploads blobs and manifests."""

    registry: PlainRegistry | TlsRegistry

    def blob(self, repository: str, content: bytes) -> Digest:
        """POST, then PUT in one piece."""
        digest = Digest.of(content)
        started = self._send("POST", f"/v2/{repository}/blobs/uploads/")
        location = started.headers["Location"]
        joint = "&" if "?" in location else "?"
        self._send("PUT", f"{location}{joint}digest={digest}", content, "application/octet-stream")
        return digest

    def manifest(self, repository: str, media_type: str, content: bytes, reference: str) -> Digest:
        """PUT under a tag, or under its digest."""
        self._send("PUT", f"/v2/{repository}/manifests/{reference}", content, media_type)
        return Digest.of(content)

    def _send(self, method: str, path: str, body: bytes = b"", media_type: str = "") -> urllib.request.addinfourl:
        secure = isinstance(self.registry, TlsRegistry)
        url = urljoin(f"{'https' if secure else 'http'}://{self.registry.host}", path)
        request = urllib.request.Request(url, data=body, method=method)
        context = None
        if isinstance(self.registry, TlsRegistry):
            pair = f"{self.registry.username}:{self.registry.password}".encode()
            request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
            context = ssl.create_default_context(cafile=str(self.registry.ca))
        if media_type:
            request.add_header("Content-Type", media_type)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        answer: urllib.request.addinfourl = opener.open(request, timeout=20)
        with answer:
            answer.read()
        return answer
