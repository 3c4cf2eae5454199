"""A differential fuzzer: what is cached, built anew or built elsewhere must come to the same."""
