"""The Bayesian mixture of Gaussians, by coordinate ascent (Bishop 2006, 10.2) or by natural gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.engine import Ascent, Update, ascend, best_of, check_count, check_limits
from vbref.meanfield.limits import within_float64
from vbref.meanfield.mixture import rows, stochastic
from vbref.meanfield.mixture.door import check_start, checked_rows, numbers, positive_number, switch
from vbref.meanfield.mixture.hyper import check_words, make_prior
from vbref.meanfield.mixture.start import nearest_mean, seeds
from vbref.meanfield.mixture.state import Prior, State
from vbref.meanfield.mixture.statistics import Statistics, centred, empty, gather, moments, responsibilities
from vbref.numerics import check
from vbref.numerics.device import choice

Array = NDArray[np.float64]
Start = Callable[[np.random.Generator], Statistics]
_IN_RANGE = "x, the prior's numbers and the start"


class GaussianMixture:
    """x_n | z_n = k ~ N(μ_k, Λ_k⁻¹), z_n ~ π, with q(z) q(π) q(μ, Λ) for the posterior.

    `concentration` is α_0 of each component of a symmetric Dirichlet, or with `process=True` γ of the
    sticks v_k ~ Beta(1, γ) of a Dirichlet process cut to `n_components`: `truncation="model"` makes the
    last stick whole, v_K = 1, a model of its own, and `truncation="posterior"` leaves the process whole and
    cuts q alone (see `Sticks`).

    `mean` (D,) is m_0 (default: the mean of the rows), `mean_precision` β_0 > 0: μ_k | Λ_k ~ N(m_0, (β_0
    Λ_k)⁻¹). `df` is ν_0 (default D; > D − 1 for full and tied, > 0 else), `inverse_scale` C_0: E[Λ_k] = ν_0
    C_0⁻¹ under the prior, whose law `covariance` says: "full" and "tied" (one for all components) a Wishart
    with C_0 = W_0⁻¹ (D, D), "diag" a gamma a coordinate with C_0 (D,), "spherical" a gamma a component with
    one number (`components`). A number stands for so many times the identity. The default is the covariance
    of the rows; for rows that do not span the space see `rows.default_inverse_scale`.

    The bound has every constant: with one component and `truncation="model"` it is the log evidence. The
    posterior has K! modes alike but for labels, of which q covers one; no log K! is added for that.

    Raises ValueError for hyperparameters out of range; what depends on D is looked at when there are rows.
    """

    def __init__(
        self,
        n_components: int,
        *,
        concentration: float = 1.0,
        mean: ArrayLike | None = None,
        mean_precision: float = 1.0,
        df: float | None = None,
        inverse_scale: ArrayLike | None = None,
        covariance: str = "full",
        process: bool = False,
        truncation: str = "model",
    ) -> None:
        check_count(n_components=n_components)
        check_words(covariance, truncation)
        self.n_components = int(n_components)
        self.concentration = positive_number("concentration", concentration)
        self.mean, self.inverse_scale = mean, inverse_scale
        self.mean_precision = positive_number("mean_precision", mean_precision)
        self.df = None if df is None else positive_number("df", df)
        self.covariance, self.process, self.truncation = covariance, switch("process", process), truncation
        self._fitted: State | None = None

    @within_float64(_IN_RANGE)
    def fit(
        self,
        x: ArrayLike,
        *,
        rng: np.random.Generator | int | None = None,
        tol: float = 1e-10,
        max_iter: int = 1000,
        n_init: int = 1,
        resp: ArrayLike | None = None,
        means: ArrayLike | None = None,
        progress: bool = False,
        device: str = "cpu",
    ) -> "GaussianMixture":
        """Coordinate ascent on rows x (N, D), float32 or float64, from `n_init` starts; returns itself.

        Of the runs the one with the highest bound is kept. A start is a k-means of some rows, drawn from
        `rng`; or `resp` (N, K), responsibilities that sum to one over k, or `means` (K, D), each of which
        gets the rows nearest to it, with either `n_init` 1; one component needs none of these. A sweep is an
        E-step and an M-step. `tol` and `max_iter` end a run as in `engine.ascend`.

        x is read in one pass a sweep, a part at a time, and not copied: it may be a memory map larger than
        the memory. Sums are float64, their order the same for any number of threads.

        `device="cuda"` keeps the rows, which must fit there, on a GPU, and makes the E-step's pass over them
        there, in float64 too.

        Raises ValueError for bad input, masked arrays and what float64 cannot hold among it, and as
        `engine.ascend` does; FloatingPointError where `inverse_scale` is too small beside the data to be seen
        in float64.
        """
        check_limits(tol, max_iter)
        data, prior, start, generator = self._prepared(x, rng, n_init, resp, means)

        e_step = _gather(data, device)

        def attempt(child: np.random.Generator) -> State:
            state = State(data, prior, start(child), gather=e_step)
            state.ascent = ascend(
                state.updates, state.evidence_bound, tol=tol, max_iter=max_iter, progress=progress
            )
            return state

        self._fitted = best_of(attempt, n_init, generator)
        return self

    @within_float64(_IN_RANGE)
    def fit_stochastic(
        self,
        x: ArrayLike,
        *,
        batch_size: int,
        epochs: int,
        rng: np.random.Generator | int | None = None,
        step: Callable[[int], float] = stochastic.robbins_monro,
        resp: ArrayLike | None = None,
        means: ArrayLike | None = None,
    ) -> "GaussianMixture":
        """Natural-gradient steps on minibatches of x (Hoffman et al. 2013); returns itself.

        `step(t)` ∈ (0, 1], t = 1, 2, …, is the size of each (see `stochastic`); with all rows in a batch
        and step 1 it is the coordinate update. The start is as in `fit`. `history` holds an unbiased
        estimate of the bound before each step; `elbo` is the bound itself, from a pass over all rows at the
        end.
        """
        check_count(batch_size=batch_size, epochs=epochs)
        data, prior, start, generator = self._prepared(x, rng, 1, resp, means)
        shuffle, child = generator.spawn(2)
        state = State(data, prior, start(child))
        state.ascent.history = list(stochastic.ascend(state, batch_size, epochs, shuffle, step))
        state.update_assignments()
        self._fitted = state
        return self

    @within_float64(_IN_RANGE)
    def started(
        self,
        x: ArrayLike,
        *,
        rng: np.random.Generator | int | None = None,
        resp: ArrayLike | None = None,
        means: ArrayLike | None = None,
    ) -> State:
        """Where `fit` would start, before its first sweep: for sweeps by hand, by `engine.ascend`."""
        data, prior, start, generator = self._prepared(x, rng, 1, resp, means)
        return State(data, prior, start(generator.spawn(1)[0]))

    def _prepared(
        self, x: ArrayLike, rng: Any, n_init: int, resp: ArrayLike | None, means: ArrayLike | None
    ) -> tuple[NDArray[Any], Prior, Start, np.random.Generator]:
        starts = {"rng": rng, "resp": resp, "means": means}
        check_start([name for name, value in starts.items() if value is not None], self.n_components, n_init)
        generator, data = check.generator(0 if rng is None else rng), checked_rows(x)
        center = rows.center_of(data)
        whole = rows.overall(data, center)
        prior = make_prior(self, whole, center)
        scale = rows.spreads(whole, center)
        return data, prior, self._start(data, prior, scale, resp, means), generator

    def _start(
        self, x: NDArray[Any], prior: Prior, scale: Array, resp: ArrayLike | None, means: ArrayLike | None
    ) -> Start:
        k, dense, center = self.n_components, prior.components.precision.dense, prior.center
        if resp is not None:
            first = self._moments(x, prior, resp)
            return lambda rng: first
        if means is None:
            return lambda rng: nearest_mean(x, center, seeds(x, k, center, scale, rng), scale, dense)
        given = numbers("means", means)
        check.shape("means", given, (k, x.shape[1]))
        return lambda rng: nearest_mean(x, center, given - center, scale, dense)

    def _moments(self, x: NDArray[Any], prior: Prior, resp: ArrayLike) -> Statistics:
        r = numbers("resp", resp)
        check.shape("resp", r, (len(x), self.n_components))
        check.probabilities(resp=r)
        dense = prior.components.precision.dense
        total = empty(self.n_components, x.shape[1], dense)
        first = 0
        for part in rows.parts(x, x.shape[1] * self.n_components):
            total = total + moments(centred(part, prior.center), r[first : first + len(part)], dense)
            first += len(part)
        return total

    @property
    def _state(self) -> State:
        if self._fitted is None:
            raise ValueError("the mixture must be fitted first")
        return self._fitted

    @property
    def elbo(self) -> float:
        """The bound on log p(x), in nats, with every constant."""
        return self._state.evidence_bound().value

    @property
    def elbo_terms(self) -> dict[str, float]:
        """The terms of Bishop 10.71–10.77, in nats, with their signs in the bound: their sum is `elbo`.

        To the rounding of the largest of them: E[log p(π)] and −E[log q(π)] cancel where concentrations are
        tiny, so that at 1e-12, where each is near 1e12, the sum is off by 1e-4. `elbo` itself takes their
        difference from a closed form, and loses nothing.
        """
        return self._state.terms()

    @property
    def history(self) -> list[Update]:
        """The bound after every update: (sweep, factor, bound)."""
        return self._state.ascent.history

    @property
    def ascent(self) -> Ascent:
        """The history, and whether it converged."""
        return self._state.ascent

    @property
    def converged(self) -> bool:
        """Whether the last sweep changed the bound by less than the tolerance; not after `fit_stochastic`."""
        return self._state.ascent.converged

    @property
    def weights(self) -> Array:
        """E[π] (K,), which sums to one, or with `truncation="posterior"` to less."""
        return self._state.weights.mean

    @property
    def means(self) -> Array:
        """E[μ] (K, D)."""
        return self._state.components.means + self._state.prior.center

    @property
    def covariances(self) -> Array:
        """E[Λ]⁻¹ = C/ν: full (K, D, D), tied (D, D), diag (K, D), spherical (K,)."""
        return self._state.prior.components.precision.covariance(self._state.components.law)

    @property
    def posterior(self) -> dict[str, Array | tuple[Array, ...]]:
        """The parameters of q: weights α or (a, b), mean_precision β, mean m, df ν, inverse_scale C."""
        c = self._state.components
        return {
            "weights": self._state.weights.parameters,
            "mean_precision": c.mean_precision,
            "mean": self.means,
            "df": c.law.df,
            "inverse_scale": c.law.inverse_scale,
        }

    @within_float64("x")
    def predict_proba(self, x: ArrayLike) -> NDArray[Any]:
        """q(z = k) (N, K) of rows x (N, D), as the E-step gives them; in the dtype of x."""
        state, frame = self._state, self._state.frame()

        def proba(part: NDArray[Any]) -> Array:
            return responsibilities(centred(part, state.prior.center), frame)

        return self._by_parts(x, proba)

    @within_float64("x")
    def log_predictive(self, x: ArrayLike) -> NDArray[Any]:
        """log p(x | data) under q, (N,) in nats, of rows x (N, D): a mixture of Students (Bishop 10.81).

        ∫ Σ_k π_k N(x | μ_k, Λ_k⁻¹) q(π) q(μ, Λ), with the weights E[π_k]; with `truncation="posterior"`
        what these leave is the prior's, a component not yet seen. In the dtype of x.
        """
        state = self._state
        own = _students(state, state.frame().whitened)
        unseen = self._unseen(state)

        def log_density(part: NDArray[Any]) -> Array:
            centred_part = centred(part, state.prior.center)
            addends = np.concatenate([own(centred_part), *(f(centred_part) for f in unseen)], axis=1)
            largest = addends.max(axis=1)
            return largest + np.log(np.exp(addends - largest[:, None]).sum(axis=1))

        return self._by_parts(x, log_density)

    def _unseen(self, state: State) -> list[Callable[[Array], Array]]:
        left = 1 - state.weights.mean.sum()
        if not self.process or self.truncation == "model" or left <= 0:
            return []
        d = state.x.shape[1]
        prior = State(
            state.x, state.prior, empty(self.n_components, d, state.prior.components.precision.dense)
        )
        density = _students(prior, prior.frame().whitened)
        first = np.log(prior.weights.mean[0])
        return [lambda rows: density(rows)[:, :1] - first + np.log(left)]

    def _by_parts(self, x: ArrayLike, function: Callable[[NDArray[Any]], Array]) -> NDArray[Any]:
        data = checked_rows(x, self._state.x.shape[1])
        width = data.shape[1] * (self.n_components + 1)
        return np.concatenate([function(part) for part in rows.parts(data, width)]).astype(data.dtype)


def _gather(data: NDArray[Any], device: str) -> Callable[..., Statistics]:
    if not choice(device):
        return gather
    from vbref.cuda.mixture import Rows

    return Rows(data)


def _students(state: State, whitened: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """log E[π_k] + log St_k of rows from the centre, (N, K)."""
    c, precision = state.components, state.prior.components.precision
    with np.errstate(divide="ignore"):  # a weight may have left the range of float64
        log_weights = np.log(state.weights.mean)

    def log_density(rows: Array) -> Array:
        gaps = whitened(rows[:, None, :] - c.means)
        return log_weights + precision.log_predictive(gaps, c.law, c.mean_precision)

    return log_density
