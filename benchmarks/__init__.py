"""`python -m benchmarks`: check that vbref and its peers compute the same number, then time them together."""
