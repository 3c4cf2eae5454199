"""Fakes and fixtures that users of the Python API may use in their own tests."""
