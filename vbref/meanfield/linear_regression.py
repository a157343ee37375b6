"""Bayesian linear regression with a normal–gamma prior, whose precisions are known, shared or a weight's own.

    y_n | w, τ ~ N(x_nᵀ w, 1/τ),   w | τ, α ~ N(0, (τ diag α)⁻¹),   τ ~ Gam(a₀, b₀)

With α known this is conjugate: q(w, τ) is the posterior, and the bound the log evidence. With α ~ Gam(c₀,
d₀), one for all weights (Bishop 2006, 10.3) or one a weight (automatic relevance determination), q(w, τ) q(α)
is mean field, and E_{−j} log p (meanfield/D30) has

    q(w, τ) = NG(m, P, a, b):  P = XᵀX + diag E[α],  P m = Xᵀy,  a = a₀ + N/2,
                               b = b₀ + ½ (‖y − Xm‖² + mᵀ diag(E[α]) m)
    q(α_g)  = Gam(c, d):       c = c₀ + ½ |g|,  d = d₀ + ½ Σ_{j ∈ g} E[τ w_j²]

for each group g of weights that share an α. P is never formed: m and its root come from the QR factors of X
on top of diag √E[α], whose condition number is the root of P's.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vbref.meanfield.engine import Ascent, Update, ascend
from vbref.meanfield.limits import number, within_float64
from vbref.meanfield.normal_gamma import LOG_2PI, Gammas, NormalGamma
from vbref.meanfield.regression_state import Design, State
from vbref.meanfield.student import log_gamma_step, log_student
from vbref.numerics import check
from vbref.numerics.special import log_ratio

Array = NDArray[Any]
PRIORS = ("fixed", "shared", "ard")


class Student(NamedTuple):
    """Student's t of each row: location and scale (N,), and the degrees of freedom that all share."""

    loc: Array
    scale: Array
    df: float


def _scalar(name: str, value: ArrayLike) -> Array:
    """The number, or array of one, as an array (); else ValueError."""
    check.shape(name, np.asarray(value), ())
    return np.asarray(number(name, np.asarray(value).item()))


class LinearRegression:
    """Regression of y on the columns of x; see the module's docstring. An intercept is a column of ones.

    `prior` says what is known of α: "fixed", `weight_precision` α, a number or one a column; "shared", α ~
    Gam(weight_concentration, weight_rate) for all weights; "ard", such an α for each. `noise_concentration`
    and `noise_rate` are a₀ and b₀. All are > 0; gammas have rates, not scales.

    Raises ValueError for hyperparameters out of range.
    """

    def __init__(
        self,
        *,
        prior: str = "ard",
        weight_precision: ArrayLike = 1.0,
        weight_concentration: float = 1e-6,
        weight_rate: float = 1e-6,
        noise_concentration: float = 1e-6,
        noise_rate: float = 1e-6,
    ) -> None:
        if prior not in PRIORS:
            raise ValueError(f"prior must be one of {', '.join(PRIORS)}, was {prior!r}")
        gammas = {
            "weight_concentration": weight_concentration,
            "weight_rate": weight_rate,
            "noise_concentration": noise_concentration,
            "noise_rate": noise_rate,
        }
        given = {name: _scalar(name, value) for name, value in gammas.items()}
        precision = np.asarray(weight_precision)
        if precision.dtype.kind not in "iuf":
            raise ValueError(
                f"weight_precision must be a number or an array of them, was {weight_precision!r}"
            )
        precision = precision.astype(np.float64)
        check.floats(weight_precision=precision)
        check.positive(weight_precision=precision, **given)
        self.prior, self.weight_precision = prior, precision
        self.weight_prior = Gammas(given["weight_concentration"], given["weight_rate"])
        self.noise_prior = Gammas(given["noise_concentration"], given["noise_rate"])
        self.ascent = Ascent()
        self._fitted: State | None = None

    @within_float64("x, y and the hyperparameters")
    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        tol: float = 1e-10,
        max_iter: int = 10_000,
        progress: bool = False,
    ) -> "LinearRegression":
        """Coordinate ascent on rows x (N, D) and targets y (N,), float32 or float64; returns itself.

        It starts at E[α] = weight_concentration/weight_rate. `tol` and `max_iter` end it as in
        `engine.ascend`. Sums are float64. Raises ValueError for bad input, and for hyperparameters that do
        not fit the D columns.
        """
        rows, targets = check.floats(x=x, y=y)
        check.shape("x", rows, (None, None))
        check.shape("y", targets, (len(rows),))
        if rows.size == 0:
            raise ValueError(f"x must have at least one row and one column, has shape {rows.shape}")
        state = self._start(Design.of(rows.astype(np.float64), targets.astype(np.float64)))
        self.ascent = ascend(
            state.updates, state.evidence_bound, tol=tol, max_iter=max_iter, progress=progress
        )
        self._fitted = state
        return self

    def _start(self, design: Design) -> State:
        d = design.root.shape[1]
        alpha = self.weight_precision
        if alpha.shape not in ((), (d,)):
            raise ValueError(f"weight_precision must have shape () or ({d},), has {alpha.shape}")
        groups = {"fixed": 0, "shared": 1, "ard": d}[self.prior]
        law = self.weight_prior.copies(groups) if groups else None
        nothing = NormalGamma(np.zeros(d), np.eye(d), self.noise_prior)
        return State(design, np.broadcast_to(alpha, (d,)), self.noise_prior, law, nothing, law)

    @property
    def _state(self) -> State:
        if self._fitted is None:
            raise ValueError("the regression must be fitted first")
        return self._fitted

    @property
    def elbo(self) -> float:
        """The bound on log p(y | x), in nats, with every constant; with a fixed prior it is log p(y | x)."""
        return self._state.evidence_bound().value

    @property
    def elbo_terms(self) -> dict[str, float]:
        """The terms of the bound with their signs, in nats: their sum is `elbo`."""
        return self._state.terms()

    @property
    def history(self) -> list[Update]:
        """The bound after every update: (sweep, factor, bound)."""
        return self.ascent.history

    @property
    def converged(self) -> bool:
        """Whether the last sweep changed the bound by less than the tolerance."""
        return self.ascent.converged

    @property
    def log_evidence(self) -> float:
        """log p(y | x) where `prior="fixed"`, in nats, from p(y) = p(y, w, τ)/p(w, τ | y) at any w and τ.

        ½ Σ log α_j − ½ log|P| + a₀ log b₀ − a log b + log Γ(a) − log Γ(a₀) − ½ N log 2π. Raises ValueError
        for the other priors, whose evidence is not known.
        """
        if self.prior != "fixed":
            raise ValueError(f"log_evidence is exact for prior='fixed' alone, prior is {self.prior!r}")
        state, half = self._state, self._state.design.n / 2
        a0, b0 = float(self.noise_prior.concentration), float(self.noise_prior.rate)
        b = float(state.weight_noise.noise.rate)
        roots = np.log(state.precision).sum() / 2 - np.log(abs(np.diagonal(state.weight_noise.root))).sum()
        powers = -a0 * log_ratio(b0, b, state.square / 2) - half * (math.log(b) + LOG_2PI)
        return float(roots) + powers + float(log_gamma_step(a0, half))

    @property
    def weights(self) -> Array:
        """E[w] (D,)."""
        return self._state.weight_noise.mean

    @property
    def weight_scales(self) -> Array:
        """√((b/a) (P⁻¹)_jj) (D,), the scales of the Student's t that q(w_j) is."""
        return np.sqrt(self._state.weight_noise.spread / self.noise_precision)

    @property
    def expected_precision(self) -> Array:
        """E[α] (D,): large where a weight is not needed."""
        return self._state.alpha.copy()

    @property
    def noise_precision(self) -> float:
        """E[τ]."""
        return float(self._state.weight_noise.noise.mean)

    @property
    def relevance(self) -> Array:
        """1 − E[α_j] (P⁻¹)_jj ∈ [0, 1] (D,): the share of what is known of w_j that data say (MacKay 1992).

        Vague hyperpriors leave a weight on where the data put it beyond about one standard error of zero, so
        that some columns of noise stay: hold `weights` against `weight_scales` to select.
        """
        return 1 - self._state.alpha * self._state.weight_noise.spread

    @property
    def posterior(self) -> dict[str, Array]:
        """q's parameters: of (w, τ) mean m, precision P, noise a and b; of α its c and d where not fixed."""
        q, law = self._state.weight_noise, self._state.weight_law
        own = {"weight_concentration": law.concentration, "weight_rate": law.rate} if law is not None else {}
        return {
            "mean": q.mean,
            "precision": q.root.T @ q.root,
            "noise_concentration": q.noise.concentration,
            "noise_rate": q.noise.rate,
        } | own

    @within_float64("x")
    def predict(self, x: ArrayLike) -> Student:
        """The law of y at rows x (N, D) under q: Student's t, exact for a fixed prior; in the dtype of x.

        2a degrees of freedom, location xᵀm, squared scale (b/a) (1 + xᵀ P⁻¹ x).
        """
        q = self._state.weight_noise
        (rows,) = check.floats(x=x)
        check.shape("x", rows, (None, len(q.mean)))
        wide = rows.astype(np.float64)
        spread = np.square(wide @ q.inverse_root).sum(axis=1)
        scale = np.sqrt((1 + spread) / q.noise.mean)
        df = 2 * float(q.noise.concentration)
        return Student((wide @ q.mean).astype(rows.dtype), scale.astype(rows.dtype), df)

    @within_float64("x and y")
    def log_predictive(self, x: ArrayLike, y: ArrayLike) -> Array:
        """log p(y | x, data) of each row (N,) under q, in nats: the density of `predict`."""
        rows, targets = check.floats(x=x, y=y)
        loc, scale, df = self.predict(rows)
        check.shape("y", targets, loc.shape)
        z = (targets - loc) / scale
        return log_student(z * z / df, 2 * np.log(scale), df, 1).astype(rows.dtype)
