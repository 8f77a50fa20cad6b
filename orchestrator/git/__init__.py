"""Every git process hybrid-ci starts."""
