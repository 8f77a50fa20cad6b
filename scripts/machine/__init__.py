"""What the demo and the tests need of a machine: packages, a Docker Engine, a registry. Standard library only."""
