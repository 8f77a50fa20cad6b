"""The GitOps repository: read, plan, commit, push, hand off."""
