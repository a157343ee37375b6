"""Numba's options, special functions that Numba lacks, stable elementary functions, counter-based random numbers."""
