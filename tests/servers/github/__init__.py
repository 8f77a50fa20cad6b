"""A GitHub on loopback: REST and GraphQL over a real bare repository, held against GitHub's own descriptions."""
