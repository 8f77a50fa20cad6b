"""The two configuration files: models, loader, schema."""
