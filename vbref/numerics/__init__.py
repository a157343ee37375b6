"""Numba's options, special functions that Numba lacks, stable functions, random numbers by counter.

The names here take arrays and check them. Kernels call the scalars of `special`, `stable`, `random` instead.
"""

from vbref.numerics.arrays import (
    digamma,
    digamma_difference,
    log1mexp,
    log1pexp,
    log_beta,
    log_mean_exp,
    log_sigmoid,
    logsumexp,
    sigmoid,
    trigamma,
)
from vbref.numerics.random import normals, uniforms

__all__ = [
    "digamma",
    "digamma_difference",
    "log1mexp",
    "log1pexp",
    "log_beta",
    "log_mean_exp",
    "log_sigmoid",
    "logsumexp",
    "normals",
    "sigmoid",
    "trigamma",
    "uniforms",
]
