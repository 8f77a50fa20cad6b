"""Building, testing, pushing and proving images."""
