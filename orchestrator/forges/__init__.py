"""Pull requests on GitHub, GitLab and the embedded local forge."""
