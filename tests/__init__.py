"""The tests. A package, so that tests can import the makers and fixtures that lie beside them."""
