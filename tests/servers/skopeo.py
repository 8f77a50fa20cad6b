"""skopeo, the witness that nobody here wrote: what it finds in a registry."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers import TlsRegistry


def skopeo(registry: TlsRegistry, *arguments: str, login: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run it; with ``login`` it may use the registry's password.

    The login goes in a file: other tests watch every command line of this machine for that password.
    """
    program = shutil.which("skopeo")
    assert program, "skopeo is among the packages of the tests"
    with tempfile.TemporaryDirectory() as folder:
        pair = f"{registry.username}:{registry.password}" if login else ""
        auths = {registry.host: {"auth": base64.b64encode(pair.encode()).decode()}} if login else {}
        file = Path(folder) / "auth.json"
        file.write_text(json.dumps({"auths": auths}))
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": folder, "REGISTRY_AUTH_FILE": str(file)},
            timeout=60,
        )


def inspect(registry: TlsRegistry, reference: str, *options: str) -> bytes:
    """What ``skopeo inspect`` says of an image. Fails where it finds none."""
    done = skopeo(registry, "inspect", f"--cert-dir={registry.certificates}", *options, f"docker://{reference}")
    assert done.returncode == 0, done.stderr
    return done.stdout
