"""Build arguments stay in the image's history for every reader; so a secret is refused as one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import MASK, Redactor

# Whole words of a name, so that KEYBOARD, MONKEY or TOKENIZER_VERSION stay usable.
_SECRET_WORDS = frozenset(
    [
        "TOKEN",
        "TOKENS",
        "PASSWORD",
        "PASSWORDS",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "SECRET",
        "SECRETS",
        "KEY",
        "KEYS",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "AUTH",
        "PAT",
        "COOKIE",
        "NETRC",
        "NPMRC",
    ]
)
_SECRET_ENDINGS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "PRIVATEKEY", "ACCESSKEY", "CREDENTIALS")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class SecretBuildArgument(ConfigurationError):
    """A build argument carries, or by its name would carry, a credential."""


def check_build_arguments(arguments: Mapping[str, str], redact: Redactor, where: str) -> None:
    """Let only arguments pass that are no secret by their name, by their value or by their shape.

    Raises SecretBuildArgument, naming the argument and never its value.
    """
    for name, value in arguments.items():
        if looks_secret(name):
            raise SecretBuildArgument(
                f"the build argument {name} has the name of a secret",
                where=where,
                hint="a build argument stays readable in the image's history; fetch what needs the credential "
                "before the build and COPY the result, or rename the argument if it is not a secret",
            )
        if MASK in redact(value) and MASK not in value:
            raise SecretBuildArgument(
                f"the value of the build argument {name} is a credential",
                where=where,
                hint="a build argument stays readable in the image's history; remove it from the configuration",
            )


def looks_secret(name: str) -> bool:
    """By its words, does this name stand for a credential?"""
    words = [word.upper() for word in _WORD.findall(name)]
    if words and words[0] == "PUBLIC":
        return False
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words)
