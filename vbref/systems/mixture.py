"""`vbref train mixture`: coordinate ascent, the bound term by term, a folder with pictures.

mixture.json    settings, bound, terms, history
posterior.npz   the parameters of q
*.png           the bound by update; the rows with the components
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vbref import checkpoint, data
from vbref.systems.base import Setting

if TYPE_CHECKING:
    from vbref.meanfield import GaussianMixture

Config = dict[str, Any]
RESULT = "mixture.json"
SETTINGS = {
    "components": Setting(6, "mixture: components (6)"),
    "covariance": Setting(
        "full", "mixture: covariance of a component (full)", ("full", "tied", "diag", "spherical")
    ),
    "weights": Setting("dirichlet", "mixture: prior of the weights (dirichlet)", ("dirichlet", "process")),
    "concentration": Setting(0.1, "mixture: α of that prior (0.1)"),
    "restarts": Setting(5, "mixture: starts, of which the best is kept (5)"),
}
DEFAULTS: Config = {name: setting.default for name, setting in SETTINGS.items()}
DEFAULTS |= {"data": "faithful", "seed": 0}


def completed(given: Config) -> Config:
    """The settings given over the defaults; ValueError for one that there is not, or a bad value."""
    for name in given:
        if name not in DEFAULTS:
            raise ValueError(f"this model has no setting {name!r}")
    config = DEFAULTS | given
    for name, setting in SETTINGS.items():
        setting.check(name, config[name])
    return config


def train(given: Config, folder: Path, say: Callable[[str], None] = print) -> "GaussianMixture":
    """Fit a mixture with the settings given, write the folder, then report.

    Whoever reads the report may leave: the folder is whole by then. ImportError where matplotlib is missing,
    at the very end.
    """
    from vbref.meanfield import GaussianMixture

    config = completed(given)
    x = data.load(config["data"]).x
    rows = x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)
    model = GaussianMixture(
        config["components"],
        concentration=config["concentration"],
        covariance=config["covariance"],
        process=config["weights"] == "process",
    )
    say(f"mixture on {config['data']}: {len(rows)} rows of {rows.shape[1]} values")
    model.fit(rows, rng=config["seed"], n_init=config["restarts"], progress=True)
    folder.mkdir(parents=True, exist_ok=True)
    write(model, config, folder)
    try:
        draw(model, rows, folder)
    finally:
        for line in report(model):
            say(line)
    return model


def report(model: "GaussianMixture") -> list[str]:
    """The bound term by term, the components, and how the run ended."""
    ending = "converged" if model.converged else "not converged"
    lines = [f"{ending} after {model.ascent.sweeps} sweeps of the best start", "", "the bound, in nats"]
    lines += [f"{name:>28} {value:14.4f}" for name, value in model.elbo_terms.items()]
    lines += [f"{'ELBO':>28} {model.elbo:14.4f}", "", "weight  mean"]
    order = np.argsort(-model.weights)
    shown = 8
    for k in order:
        mean = "  ".join(f"{value:10.4g}" for value in model.means[k][:shown])
        lines.append(f"{model.weights[k]:6.3f}  {mean}{'  …' * (model.means.shape[1] > shown)}")
    return lines


def write(model: "GaussianMixture", config: Config, folder: Path) -> None:
    """mixture.json and posterior.npz."""
    history = [list(update) for update in model.history]
    result = {"elbo": model.elbo, "terms": model.elbo_terms, "weights": model.weights.tolist()}
    checkpoint.write_json(folder / RESULT, {"config": config, **result, "history": history})
    posterior = {
        f"{name}.{i}" if isinstance(value, tuple) else name: array
        for name, value in model.posterior.items()
        for i, array in enumerate(value if isinstance(value, tuple) else (value,))
    }
    checkpoint.save(folder / "posterior.npz", posterior, {})


def draw(model: "GaussianMixture", x: Any, folder: Path) -> None:
    """bound.png and mixture.png."""
    from vbref.plot import meanfield, mixture, save

    save(meanfield.bound_by_update(model.history), folder / "bound.png")
    save(mixture.clusters(model, x), folder / "mixture.png")
