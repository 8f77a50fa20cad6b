"""hybrid-ci: from a tested image to a pull request on the GitOps repository, without a cluster credential."""

__version__ = "0.1.0"
