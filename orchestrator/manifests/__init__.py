"""Pure functions from manifest bytes to manifest bytes."""
