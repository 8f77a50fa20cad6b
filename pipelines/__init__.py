"""The pipelines: what a command does, as a visible list of steps over the ports."""
