"""What an error of the network comes down to, as requests and urllib3 wrap it."""

from __future__ import annotations

import errno
import socket
import ssl
import threading

import pytest
import requests
import urllib3

from orchestrator.engine.causes import is_cut_off, root_reason


def wrapped(inner: Exception) -> requests.exceptions.SSLError:
    """As it comes out of ``requests.get``."""
    told = urllib3.exceptions.SSLError(inner)
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(None, "/v2/", told))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inner", "cut_off"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
        (ssl.SSLCertVerificationError(1, "certificate verify failed: self signed certificate"), False),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
    ],
)
def test_trouble_with_tls_that_is_none_of_certificates_is_told_apart(inner: Exception, cut_off: bool) -> None:
    error = wrapped(inner)
    assert is_cut_off(error) is cut_off
    assert root_reason(error) == (inner.args[1])


def test_a_server_that_hangs_up_in_the_handshake_has_cut_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(requests.exceptions.ConnectionError) as caught:
            requests.get(f"https://127.0.0.1:{server.getsockname()[1]}/v2/", timeout=5, proxies={})
    assert not isinstance(caught.value, requests.exceptions.SSLError) or is_cut_off(caught.value)
