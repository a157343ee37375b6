"""Each row's own posterior by coordinate ascent, and what an encoder loses against it: the amortisation gap.

With statistics ψ_i of its own for every row, J(θ, ψ_1:N) = Σ_i ELBO(q_ψi, x_i, θ) (meanfield/D4) is raised by
turns over ψ_1:N and over θ, by its gradient in each (meanfield/D5). An encoder ψ_i = h_φ(x_i) (meanfield/D6
to D11) is the same with ψ_1:N confined to what h_φ can reach. For the same θ

    gap_i = max_ψ ELBO(q_ψ, x_i, θ) − ELBO(q_φ(·|x_i), x_i, θ) ≥ 0,

and log p(x_i) exceeds that maximum by what the family of q cannot do, which no encoder makes good.

With its noise given, the ELBO is a function of the parameters alone, and a quasi-Newton climb never lowers
it. But ψ_i fits whatever noise it is given: with 24 draws a row that hides half of the gap on digits. Hence
`cubature`, and other noise for the comparison, the same for both sides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vbref.meanfield.engine import Ascent, ascend, check_count
from vbref.models import VAE, door, inference
from vbref.numerics import check

Array = NDArray[Any]
Params = dict[str, Array]


@dataclass(frozen=True)
class PerPoint:
    """A per-point model and its parameters: θ by the amortised model's names, and tables "posterior.…"."""

    model: VAE
    params: Params
    ascent: Ascent


@dataclass(frozen=True)
class Gap:
    """The ELBO of each row (N,), in nats, by the encoder and by the row's own posterior."""

    amortised: NDArray[np.float64]
    per_point: NDArray[np.float64]
    fitted: PerPoint

    @property
    def per_datum(self) -> NDArray[np.float64]:
        """per_point − amortised (N,): ≥ 0 up to how far the climb got and how well the noise stands for E."""
        return self.per_point - self.amortised

    @property
    def mean(self) -> float:
        """The mean gap, in nats per datum."""
        return float(self.per_datum.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, over the data."""
        return float(self.per_datum.std(ddof=1) / np.sqrt(len(self.per_datum)))


def cubature(n: int, latent_dim: int, dtype: str = "float64") -> Array:
    """Noise (2D, n, D) whose average is E over N(0, I) of any polynomial up to the third degree: ±√D e_d.

    For a linear decoder with a Gaussian likelihood log p(x | z) is quadratic in the noise: no sampling is
    left.
    """
    door.size(n=n, latent_dim=latent_dim)
    door.choice("dtype", np.dtype(dtype).name, ("float32", "float64"))
    nodes = np.sqrt(latent_dim) * np.eye(latent_dim)
    both = np.concatenate([nodes, -nodes]).astype(dtype)
    return np.repeat(both[:, None], n, axis=1)


def fit_per_point(
    model: VAE,
    params: Mapping[str, Array],
    x: Array,
    noise: Array,
    *,
    learn: bool = False,
    steps: int = 30,
    tol: float = 1e-8,
    max_iter: int = 200,
    progress: bool = False,
) -> PerPoint:
    """Coordinate ascent on J(θ, ψ_1:N) from ψ_i = h_φ(x_i), the encoder's, with `noise` (K, N, D) held fixed.

    With `learn` θ fits the noise as ψ does, the more so the fewer the draws: then `cubature`, exact for a
    linear decoder and a Gaussian likelihood, is for these alone. A sweep is at most `steps` quasi-Newton
    steps on ψ_1:N and then, with `learn`, on θ, which else stays as `params` has it. `tol` and `max_iter` end
    it as in `engine.ascend`. `model` is amortised, x (N, data_dim).

    Raises ValueError as the model does, and for a model that is not amortised.
    """
    params, x = _checked(model, params, x)
    check_count(steps=steps)
    own = VAE(**model.config | {"inference": "per-point", "rows": len(x)})
    state = _start(model, own, params, x)

    def climb(names: list[str]) -> Callable[[], None]:
        return lambda: state.update(_climbed(own, state, x, noise, names, steps))

    tables = [name for name in state if name.startswith("posterior.")]
    updates = {"posteriors": climb(tables)}
    if learn:
        updates["generative parameters"] = climb([name for name in state if name not in tables])
    ascent = ascend(
        updates, lambda: own.objective(state, x, noise), tol=tol, max_iter=max_iter, progress=progress
    )
    return PerPoint(own, state, ascent)


def amortisation_gap(
    model: VAE,
    params: Mapping[str, Array],
    x: Array,
    noise: Array,
    *,
    evaluation_noise: Array | None = None,
    **options: Any,
) -> Gap:
    """The ELBO of each row by the encoder and by the row's own posterior, for the same θ.

    The posteriors are fitted with `noise` (K, N, D) and both sides evaluated with `evaluation_noise` (K', N,
    D), by default the same; `options` are those of `fit_per_point` but `learn`.
    """
    params, x = _checked(model, params, x)
    given = (
        {"noise": noise}
        if evaluation_noise is None
        else {"noise": noise, "evaluation_noise": evaluation_noise}
    )
    noises = check.floats(**given)
    for name, each in zip(given, noises, strict=True):
        check.shape(name, each, (None, len(x), model.latent_dim))
    fitted = fit_per_point(model, params, x, noises[0], learn=False, **options)
    return Gap(
        _each_row(model, params, x, noises[-1]), _each_row(fitted.model, fitted.params, x, noises[-1]), fitted
    )


def _checked(model: VAE, params: Mapping[str, Array], x: Array) -> tuple[Params, Array]:
    """The parameters and the rows as arrays that are `model`'s."""
    if not isinstance(model, VAE) or model.config["inference"] != "amortised":
        raise ValueError("model must be amortised, a VAE with an encoder to start from")
    checked, (rows,) = door.together(params, model.shapes(), x=x)
    door.batch(rows, model.data_dim)
    return checked, rows


def _start(model: VAE, own: VAE, params: Params, x: Array) -> Params:
    """The encoder's statistics as tables, and copies of all that is not the encoder's."""
    assert isinstance(own.inference, inference.PerPoint)
    h, _ = model.inference.forward(params, x)
    start = own.inference.tables(h) | {name: params[name] for name in own.shapes() if name in params}
    return {name: array.copy() for name, array in start.items()}


def _climbed(model: VAE, params: Params, x: Array, noise: Array, names: list[str], steps: int) -> Params:
    """The parameters `names` after at most `steps` of L-BFGS on the objective, the others held."""
    from scipy.optimize import minimize

    shapes = [params[name].shape for name in names]
    ends = np.cumsum([params[name].size for name in names])[:-1]

    def unpacked(flat: Array) -> Params:
        parts = np.split(flat, ends)
        return {
            name: part.reshape(shape).astype(x.dtype)
            for name, part, shape in zip(names, parts, shapes, strict=True)
        }

    def loss(flat: Array) -> tuple[float, Array]:
        value, grads = model.objective_and_grad(params | unpacked(flat), x, noise)
        return -value, -np.concatenate([grads[name].ravel() for name in names]).astype(np.float64)

    first = np.concatenate([params[name].ravel() for name in names]).astype(np.float64)
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 0, "gtol": 1e-12}
    )
    return unpacked(found.x)


def _each_row(model: VAE, params: Params, x: Array, noise: Array) -> NDArray[np.float64]:
    """The model's own objective of each row alone (N,); an encoder has no use for its index."""
    return np.array(
        [model.objective(params, x[i : i + 1], noise[:, i : i + 1], index=[i]) for i in range(len(x))]
    )
