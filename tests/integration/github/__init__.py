"""The GitHub adapter over HTTP, against a GitHub on loopback with a real repository behind it."""
