"""Measures jettison beside the builders that this machine has; see docs/performance.md."""
