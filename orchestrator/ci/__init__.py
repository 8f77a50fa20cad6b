"""The CI around us: which one, its outputs, its secrets, its dangers."""
