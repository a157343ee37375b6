"""The power of the checks: mutants of every formula and claim, and whether tests and audit kill them."""
