"""Secrets in plain text: which are, which are not, and that no value is told."""

from __future__ import annotations

import base64

import pytest

from orchestrator.core.names import RepoPath
from orchestrator.manifests.plaintext import PlainSecret, plaintext_secrets

FILE = RepoPath("apps/shop/dev/db.yaml")
VALUE = "hunter2-canary"
ENCODED = base64.b64encode(VALUE.encode()).decode()


def found(text: str, path: RepoPath = FILE) -> tuple[PlainSecret, ...]:
    return plaintext_secrets(path, text.encode())


@pytest.mark.parametrize(
    ("text", "line", "name", "keys"),
    [
        (f"kind: Secret\nmetadata: {{name: db}}\nstringData:\n  password: {VALUE}\n", 4, "db", ("password",)),
        (f"kind: Secret\ndata:\n  a: {ENCODED}\n  b: eA==\n", 3, "(no name)", ("a", "b")),
        (f"kind: List\nitems:\n- kind: Secret\n  metadata: {{name: x}}\n  data: {{k: {VALUE}}}\n", 5, "x", ("k",)),
        (f'kind: ConfigMap\n---\n"kind": "Secret"\n"stringData": {{"k": "{VALUE}"}}\n', 4, "(no name)", ("k",)),
        (f"kind: Secret\nstringData: &v\n  k: {VALUE}\ndata: {{}}\n", 2, "(no name)", ("k",)),
        (f"secretGenerator:\n- name: gen\n  literals:\n  - user={VALUE}\n", 4, "gen", ("user",)),
        (f"kind: Secret\nstringData: {{a: '', b: '${{B}}', c: {VALUE}}}\n", 2, "(no name)", ("c",)),
    ],
)  # fmt: skip
def test_a_secret_with_values_is_found(text: str, line: int, name: str, keys: tuple[str, ...]) -> None:
    (one,) = found(text)
    assert (one.line, one.name, one.keys) == (line, name, keys)
    assert VALUE not in repr(one)


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\nmetadata: {name: db}\n",
        "kind: Secret\ndata: {}\n",
        "kind: Secret\nstringData: {password: ''}\n",
        "kind: Secret\nstringData:\n  password: ENC[AES256_GCM,data:x,type:str]\nsops: {mac: x}\n",
        "kind: Secret\nstringData:\n  password: ENC[AES256_GCM,data:x,type:str]\n",
        "kind: SealedSecret\nspec: {encryptedData: {password: AgB}}\n",
        "kind: ExternalSecret\nspec: {data: [{secretKey: password}]}\n",
        "kind: Secret\nstringData: {password: '${PASSWORD}'}\n",
        "kind: Secret\nstringData: {password: '{{ .Values.password }}'}\n",
        "kind: Secret\nstringData: {password: <path:secret/data/db#password>}\n",
        "kind: Pod\nspec: {containers: [{env: [{valueFrom: {secretKeyRef: {name: Secret, key: data}}}]}]}\n",
        "secretGenerator:\n- name: gen\n  files: [password.txt]\n",
        "secretGenerator:\n- name: gen\n  literals: [password=]\n",
        "kind: Secret\n  broken: [\n",
        "",
    ],
)
def test_what_is_encrypted_empty_filled_in_later_or_no_secret_is_not_found(text: str) -> None:
    assert found(text) == ()


def test_json_is_read_too() -> None:
    (one,) = found(f'{{"kind": "Secret", "data": {{"k": "{VALUE}"}}}}', RepoPath("a/secret.json"))
    assert one.where == "a/secret.json:1"


@pytest.mark.parametrize("content", [b"kind: Secret\xff\xfe", b"Secret" + b"[" * 100_000, b"\x00Secret"])
def test_hostile_bytes_raise_nothing(content: bytes) -> None:
    assert plaintext_secrets(FILE, content) == ()
