"""The conformance corpus: one Dockerfile per promise, with the result that BuildKit gives for it."""
