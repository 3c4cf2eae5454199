"""Checks of a Dockerfile, without network or store: BuildKit's rules and some for multistage practice."""
