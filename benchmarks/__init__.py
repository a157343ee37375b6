"""Check that vbref and its peers compute the same number, then time them in the same run: `python -m benchmarks`."""
