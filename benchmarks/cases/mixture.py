"""Coordinate ascent for Gaussian mixtures, a sweep (E-step, M-step, bound) over 100,000 rows in float64."""

from collections.abc import Callable

import numpy as np

from benchmarks import peers
from benchmarks.timing import Case
from vbref.meanfield import GaussianMixture, ascend, sklearn_bound

_ROWS, _SWEEPS = 100_000, 20


def two_dimensions(cores: int) -> Case:
    """D = 2, K = 6."""
    return _case("mixture_2d", d=2, k=6, cores=cores)


def sixteen_dimensions(cores: int) -> Case:
    """D = 16, K = 16."""
    return _case("mixture_16d", d=16, k=16, cores=cores)


def _case(name: str, d: int, k: int, cores: int) -> Case:
    """Both sides sweep from the same posterior, that of random responsibilities; its making is not timed."""
    del cores  # the harness sets the threads of both
    x, resp = _data(d, k)
    prior = {"concentration": 1.0, "mean": x.mean(axis=0), "inverse_scale": np.cov(x.T)}
    peer = _sklearn(x, resp, prior)

    def check(ours: object, theirs: object) -> None:
        """The same bound, every constant in it, after the same number of sweeps from the same start."""
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)

    return Case(
        name=name,
        dtype="float64",
        unit="sweep",
        units=_SWEEPS,
        ours=_ours(x, resp, prior),
        peers={"sklearn": peer} if peer else {},
        check=check,
    )


def _data(d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters, and random responsibilities to start from."""
    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((k, d))
    x = centers[rng.integers(0, k, _ROWS)] + rng.standard_normal((_ROWS, d))
    return x, rng.dirichlet(np.ones(k), _ROWS)


def _ours(x: np.ndarray, resp: np.ndarray, prior: dict) -> Callable[[], float]:
    start = GaussianMixture(resp.shape[1], **prior).started(x, resp=resp)

    def run() -> float:
        state = start.copy()
        return ascend(state.updates, state.evidence_bound, tol=0.0, max_iter=_SWEEPS).bound

    return run


def _sklearn(x: np.ndarray, resp: np.ndarray, prior: dict) -> Callable[[], float] | None:
    mixture = peers.sklearn_mixture()
    if mixture is None:
        return None
    peer = mixture.BayesianGaussianMixture(
        n_components=resp.shape[1],
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=prior["concentration"],
        mean_prior=prior["mean"],
        covariance_prior=prior["inverse_scale"],
        reg_covar=0.0,
    )
    peer._check_parameters(x)
    peer._initialize(x, resp)
    start = peer._get_parameters()

    def run() -> float:
        """Its own iterations, as in its `fit_predict`."""
        peer._set_parameters(start)
        for _ in range(_SWEEPS):
            log_prob_norm, log_resp = peer._e_step(x)
            peer._m_step(x, log_resp)
            peer.lower_bound_ = peer._compute_lower_bound(log_resp, log_prob_norm)
        peer._set_parameters(peer._get_parameters())
        return sklearn_bound(peer)

    return run
