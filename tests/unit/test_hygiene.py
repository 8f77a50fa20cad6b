"""The guards of tests/conftest.py hold: a test that leaves this machine, or sees its user's settings, must not pass."""

import os
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import OutsideConnection


def test_a_connection_to_the_outside_is_stopped() -> None:
    with socket.socket() as outside, pytest.raises(OutsideConnection):
        outside.connect(("192.0.2.1", 9))


def test_a_name_of_the_outside_is_not_even_looked_up() -> None:
    with pytest.raises(OutsideConnection):
        urllib.request.urlopen("http://registry.example/v2/", timeout=1)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass


@pytest.mark.parametrize("prefix", ["GITHUB_", "GITLAB_", "CI", "DOCKER_", "HYBRID_CI_", "KUBE", "AWS_", "REQUESTS_CA"])
def test_no_variable_of_the_machine_is_seen(prefix: str) -> None:
    assert [name for name in os.environ if name.startswith(prefix)] == []


def test_home_is_an_empty_folder_of_this_test() -> None:
    assert list(Path.home().iterdir()) == []
