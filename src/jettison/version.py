"""The version of jettison, read by packaging and by `jettison --version`."""

VERSION = "0.1.0"
