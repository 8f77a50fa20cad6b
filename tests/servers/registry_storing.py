"""A scripted registry that also takes pushes, with the referrers API of distribution specification 1.1 when asked."""

from __future__ import annotations

import json
import threading

from orchestrator.core.image import Digest
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST
from tests.servers.registry_scripted import Asked, Reply, ScriptedRegistry

_INDEX = {"Content-Type": OCI_INDEX}


class StoringRegistry:
    """Stores what is pushed to ``server`` and serves it; ``referrers`` is whether it lists artifacts itself."""

    def __init__(self, server: ScriptedRegistry, *, referrers: bool = True) -> None:
        self._server, self._referrers = server, referrers
        self._artifacts: dict[tuple[str, str], dict[str, dict[str, object]]] = {}
        self._lock = threading.Lock()
        server.on("POST", "/v2/.*/blobs/uploads/", self._begin)
        server.on("PUT", "/v2/.*/blobs/uploads/.*", self._blob)
        server.on("PUT", "/v2/.*/manifests/.*", self._manifest)
        if referrers:
            server.on("GET", "/v2/.*/referrers/.*", self._list)

    def _begin(self, asked: Asked) -> Reply:
        return Reply(202, headers={"Location": f"{asked.path}1?state=x"})

    def _blob(self, asked: Asked) -> Reply:
        repository = asked.path.removeprefix("/v2/").partition("/blobs/")[0]
        digest = self._server.store_blob(repository, asked.body)
        self._server.on("HEAD", f"/v2/{repository}/blobs/{digest}", Reply(200))
        right = asked.query.get("digest") == [str(digest)] and asked.query.get("state") == ["x"]
        return Reply(201 if right else 400)

    def _manifest(self, asked: Asked) -> Reply:
        repository, _, reference = asked.path.removeprefix("/v2/").partition("/manifests/")
        media_type = asked.headers["content-type"]
        digest = self._server.store(repository, media_type, asked.body, None if ":" in reference else reference)
        document = json.loads(asked.body)
        subject = document.get("subject", {}).get("digest")
        if subject is None or not self._referrers:
            return Reply(201)
        entry = {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(asked.body)}
        entry |= {name: document[name] for name in ("artifactType", "annotations") if name in document}
        with self._lock:
            self._artifacts.setdefault((repository, subject), {})[str(digest)] = entry
        return Reply(201, headers={"OCI-Subject": subject})

    def _list(self, asked: Asked) -> Reply:
        repository, _, subject = asked.path.removeprefix("/v2/").partition("/referrers/")
        entries = list(self._artifacts.get((repository, str(Digest(subject))), {}).values())
        headers = dict(_INDEX)
        if wanted := asked.query.get("artifactType"):
            entries = [entry for entry in entries if entry.get("artifactType") == wanted[0]]
            headers["OCI-Filters-Applied"] = "artifactType"
        return Reply(200, json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), headers)
