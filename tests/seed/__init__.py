"""The founders' seed cases: small real projects, with what BuildKit made of them."""
