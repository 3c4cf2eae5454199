"""The secrets that a build is given: read once, hidden in output, and represented in keys."""
