"""Log-weights to draw from, and a finite latent space whose K-tuples can be enumerated."""

import itertools
import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

log_weight = st.floats(-800.0, 800.0) | st.sampled_from([0.0, -0.0, 1e-300, -1e-300, 5.0])
samples = st.integers(1, 7).flatmap(lambda k: arrays(np.float64, k, elements=log_weight))
with_zeros = st.integers(1, 7).flatmap(
    lambda k: arrays(np.float64, k, elements=log_weight | st.just(-np.inf))
)


def slack(log_w):
    """A few roundings of the largest log-weight, or of one nat."""
    finite = log_w[np.isfinite(log_w)]
    return 1e-15 * (10 + 4 * abs(finite).max(initial=0.0))


# Finite latent space: z in {0, 1, 2}, every K-tuple with its probability under q^K.
Q = np.array([0.5, 0.3, 0.2])
PRIOR = np.array([0.2, 0.7, 0.1])
LIKELIHOOD = np.array([0.05, 0.4, 0.9])
LOG_W = np.log(PRIOR * LIKELIHOOD / Q)
EVIDENCE = PRIOR @ LIKELIHOOD


def every_tuple(k, q=Q):
    """(K, 3^K) states, (3^K,) probabilities."""
    states = np.array(list(itertools.product(range(3), repeat=k))).T
    return states, q[states].prod(axis=0)


def exact_iwae(k):
    states, probability = every_tuple(k)
    return math.fsum(probability * np.log(np.exp(LOG_W)[states].mean(axis=0)))
