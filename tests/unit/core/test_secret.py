"""Secrets: no readable form, and no form that passes the redactor."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.secret import MASK, Redactor, Secret, spellings

CANARIES = [
    "canary-0123456789",
    "c4n/4ry+with=odd%chars&and spaces",
    "quote\"back\\slash'canary",
    "canary\nin two lines",
    "kanarienvögel-zwölf",
    "tab\tcanary",
    "bytes\udcff\udc80canary",  # an environment variable that is not UTF-8
]


@pytest.fixture(params=CANARIES, ids=ascii)
def canary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- the opaque type ----------------------------------------------------------------------------------------------


def test_a_secret_has_no_readable_form(canary: str) -> None:
    secret = Secret(canary, "$TOKEN")
    forms = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        repr([secret]),
        repr({"a": secret}),
    ]
    assert all(canary not in form and MASK in form for form in forms)
    assert secret.reveal() == canary
    assert secret.source == "$TOKEN"


def test_a_secret_is_not_serialised(canary: str) -> None:
    secret = Secret(canary, "$TOKEN")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars):
        with pytest.raises(TypeError) as caught:
            attempt(secret)  # type: ignore[operator]
        assert canary not in "".join(traceback.format_exception(caught.value))


def test_secrets_are_equal_by_value() -> None:
    assert Secret("canary-01", "$A") == Secret("canary-01", "$B")
    assert Secret("canary-01", "$A") != Secret("canary-02", "$A")
    assert Secret("canary-01", "$A") != "canary-01"
    assert len({Secret("canary-01", "$A"), Secret("canary-01", "$B")}) == 1


# --- every spelling -----------------------------------------------------------------------------------------------


def encodings(text: str) -> dict[str, str]:
    value = text.encode("utf-8", "surrogateescape")
    return {
        "raw": text,
        "json": json.dumps(text)[1:-1],
        "json without ascii": json.dumps(text, ensure_ascii=False)[1:-1],
        "url": quote(value, safe=""),
        "url, slashes kept": quote(value),
        "url, lower case": _lower_escapes(quote(value, safe="")),
        "form": quote_plus(value),
        "form, lower case": _lower_escapes(quote_plus(value)),
        "hex": value.hex(),
        "HEX": value.hex().upper(),
        "base64": base64.b64encode(value).decode(),
        "base64, url-safe": base64.urlsafe_b64encode(value).decode(),
    }


def _lower_escapes(text: str) -> str:
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


@pytest.mark.parametrize("name", encodings("x"))
def test_a_known_secret_is_masked_in_every_encoding(canary: str, name: str) -> None:
    redact = Redactor([Secret(canary, "$TOKEN")])
    text = encodings(canary)[name]
    shown = redact(f"before {text} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert MASK in shown
    core = text.rstrip("=")[:-1]  # base64 shares its last digit with what follows
    assert core not in shown


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(CANARIES))
def test_a_secret_inside_longer_base64_is_masked_at_every_offset(before: int, after: int, value: str) -> None:
    redact = Redactor([Secret(value, "$TOKEN")])
    raw = value.encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(b"u" * before + raw + b"x" * after).decode()
        shown = redact(text)
        assert MASK in shown
        kept = shown.replace(MASK, "").rstrip("=")
        # Of each end at most one digit depends on the secret, and that one on a neighbour too.
        whole = len(text.rstrip("="))
        assert whole - len(kept) >= len(raw) * 8 // 6 - 2


def test_basic_authentication_is_masked() -> None:
    redact = Redactor([Secret("canary-0123456789", "$TOKEN")])
    for user in ("", "x", "ab", "bot", "oauth2", "x-access-token"):
        header = base64.b64encode(f"{user}:canary-0123456789".encode()).decode()
        shown = redact(f"Authorization: Basic {header}")
        left = shown.removeprefix("Authorization: Basic ").replace(MASK, "").rstrip("=")
        assert MASK in shown
        assert len(left) <= len(user) * 8 // 6 + 4


@given(st.text(min_size=8, max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_any_long_enough_secret_is_masked_wherever_it_stands(value: str, before: str, after: str) -> None:
    shown = Redactor([Secret(value, "$TOKEN")])(before + value + after)
    assert value not in shown.replace(MASK, "") or value in before + after


def test_each_line_of_a_secret_is_masked_alone() -> None:
    redact = Redactor([Secret("first-line-of-it\nsecond-line-of-it\nend", "$TOKEN")])
    assert redact("x first-line-of-it x") == f"x {MASK} x"
    assert redact("x second-line-of-it x") == f"x {MASK} x"


def test_a_secret_within_another_is_masked_with_it() -> None:
    redact = Redactor([Secret("canary-0123", "$A"), Secret("canary-0123-and-more", "$B")])
    assert redact("canary-0123-and-more canary-0123") == f"{MASK} {MASK}"


@pytest.mark.parametrize("value", ["", "a", "main", "1234567"])
def test_a_short_value_masks_no_ordinary_words(value: str) -> None:
    text = "a main branch of 1234567 commits"
    assert Redactor([Secret(value, "$TOKEN")])(text) == text
    assert all(len(form) >= 8 for form in spellings(value))


def test_secrets_can_be_added_later() -> None:
    redact = Redactor()
    assert redact("canary-0123") == "canary-0123"
    redact.add(Secret("canary-0123", "$TOKEN"))
    assert redact("canary-0123") == MASK


# --- what looks like a secret -------------------------------------------------------------------------------------

LETTERS = "AbCdEf0123456789GhIjKlMnOpQrStUvWxYz"
WELL_KNOWN = [
    "ghp_" + LETTERS,
    "gho_" + LETTERS,
    "ghu_" + LETTERS,
    "ghs_" + LETTERS,
    "ghr_" + LETTERS,
    "github_pat_" + LETTERS + "_" + LETTERS,
    "glpat-" + LETTERS[:20],
    "glpat-" + LETTERS[:10] + "-_" + LETTERS[:8],
    "glcbt-64_" + LETTERS[:20],
    "gldt-" + LETTERS[:20],
    "glrt-" + LETTERS[:20],
    "dckr_pat_" + LETTERS[:27],
    "AKIA" + "ABCDEFGH01234567",
    "ASIA" + "ABCDEFGH01234567",
    "xoxb-0123456789-" + LETTERS,
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl-_x",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjE\\n-----END OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("token", WELL_KNOWN, ids=[token[:14] for token in WELL_KNOWN])
def test_a_credential_of_known_shape_is_masked_though_nobody_named_it(token: str) -> None:
    assert Redactor()(f"before '{token}' after\n") == f"before '{MASK}' after\n"


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "ab" * 32,
        "ghcr.io/acme/api:1.2.3",
        "ghp_short",
        "AKIAshort",
        "eyJhbGciOiJSUzI1NiJ9",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIIB",
        "hybrid-ci/prod_2feu-1/shop",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor()(text) == text


def test_a_private_key_without_an_end_is_masked_to_where_the_text_ends_or_a_quote_closes() -> None:
    redact = Redactor()
    assert redact("key: -----BEGIN PRIVATE KEY-----\nMIIEvQ\n") == f"key: {MASK}\n"
    line = json.dumps({"line": "-----BEGIN PRIVATE KEY-----\nMIIEvQ", "time": 1})
    assert json.loads(redact(line)) == {"line": MASK, "time": 1}
