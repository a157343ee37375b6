"""Mean field by one equation, from four states to Old Faithful: `python examples/meanfield.py PICTURES`.

q(z) = Π_j q_j(z_j) is climbed by setting one factor after another to q̂_j(z_j) ∝ exp E_{−j} log p(x, z)
(meanfield/D30). Each function below is one model: it prints what theory says beside what was found, and
leaves a picture in the folder PICTURES.
"""

import sys
from pathlib import Path

import numpy as np

import vbref
from vbref.meanfield import (
    BinaryField,
    Gaussian,
    GaussianMixture,
    amortisation_gap,
    coordinate_ascent,
    cubature,
)
from vbref.models import VAE
from vbref.plot import meanfield, mixture, save


def finite_table(folder: Path) -> None:
    """Two bits that agree nearly always: beside each of the two modes there is an optimum."""
    log_joint = np.log([[0.6, 0.02], [0.02, 0.36]])
    print("Any finite table: two bits, p(0, 0) = 0.6 and p(1, 1) = 0.36; log p(x) = 0")
    for q in ([0.9, 0.1], [0.1, 0.9]):
        found = coordinate_ascent(log_joint, init=[q, q])
        bits = ", ".join(f"q(z{j + 1} = 1) = {q_j[1]:.3f}" for j, q_j in enumerate(found.factors))
        print(f"  from q(1) = {q[1]}: {bits}, bound {found.elbo:.4f}, KL(q ‖ p) {found.gap:.4f}")
    print(f"  p(z = 1) is {found.marginals[0][1]:.3f}: q covers one mode, and the start says which")


def gaussian(folder: Path) -> None:
    """Two coordinates with a correlation of 0.9: exact means, narrow variances, a known rate."""
    model = Gaussian([1.0, -1.0], [[1.0, 0.9], [0.9, 1.0]]).fit(start=[-1.0, 2.5])
    gaps = np.linalg.norm(model.path - model.mean, axis=1)
    print("\nA normal with correlation ρ = 0.9, one factor a coordinate")
    print(
        f"  means {model.means.round(4)}, those of p; variances {model.variances.round(4)}, those of p are 1"
    )
    print(f"  a sweep multiplies the error by {gaps[12] / gaps[10]:.6f}, ρ² = {model.rate:.6f} was predicted")
    print(f"  KL(q ‖ p) = {-model.elbo:.6f} nats, −½ log(1 − ρ²) = {model.optimal_gap:.6f}")
    save(meanfield.gaussian_path(model), folder / "gaussian.png")


def curie_weiss(folder: Path, n: int = 30) -> None:
    """Spins that all pull at each other: none of them takes a side until βJ = 1."""
    couplings = np.linspace(0.5, 1.7, 25)
    model = {j: BinaryField.curie_weiss(n, j) for j in couplings}
    means = [model[j].fit(init=np.full(n, side)).means[0] for side in (-0.9, 0.9) for j in couplings]
    exact = BinaryField.curie_weiss(20, 1.5).exact()
    print(f"\nCurie and Weiss, {n} spins: m = tanh(βJ m) has a solution m > 0 where βJ > 1")
    for j, m in zip(couplings, means[len(couplings) :], strict=True):
        if round(j, 2) in (0.75, 0.95, 1.05, 1.5):
            print(f"  βJ = {j:.2f}: m = {m:.4f}, tanh(βJ m) = {np.tanh(j * m):.4f}")
    print(
        f"  by enumeration of 20 spins at βJ = 1.5: m = {abs(exact.means[0]):.4f}, as both signs are equal,"
    )
    print(f"  but E[s_1 s_2] = {exact.correlations[0, 1]:.4f}: they agree. q has to choose one")
    save(meanfield.magnetisation([*couplings, *couplings], means), folder / "curie-weiss.png")


def amortisation(folder: Path, rows: int = 150) -> None:
    """What an encoder loses, beside a posterior of its own for each digit."""
    x = (vbref.load_digits().x[: 2 * rows] > 7).astype(np.float64)
    rng = np.random.default_rng(0)
    model = VAE(64, 2, (16,))
    params, _ = vbref.fit(model, x[:rows], epochs=40, batch_size=25, rng=rng, learning_rate=1e-2)
    print(f"\nThe amortisation gap of an encoder trained on {rows} digits, nats per digit")
    for name, batch in (("seen", x[:rows]), ("not seen", x[rows:])):
        fresh = model.draw_noise(rng, rows, 50)
        gap = amortisation_gap(model, params, batch, cubature(rows, 2), evaluation_noise=fresh, max_iter=20)
        print(f"  digits {name}: {gap.mean:.3f} ± {gap.standard_error:.3f}")


def old_faithful(folder: Path) -> None:
    """Six components for two kinds of eruption: the bound leaves four of them without weight."""
    x = vbref.load_faithful()
    model = GaussianMixture(6, concentration=1e-3).fit(x, rng=0, n_init=3)
    print("\nA mixture of six normals on Old Faithful, by coordinate ascent")
    print(f"  bound {model.elbo:.4f} after {model.ascent.sweeps} sweeps, weights {model.weights.round(3)}")
    save(meanfield.bound_by_update(model.history), folder / "bound.png")
    save(mixture.clusters(model, x), folder / "mixture.png")


def in_steps(folder: Path) -> None:
    """Natural gradients on minibatches, and the step that is the coordinate update itself."""
    x, start = vbref.load_faithful(), [[3.0, 60.0], [3.5, 90.0]]
    model = GaussianMixture(2)
    best = model.fit(x, means=start).elbo
    found = model.fit_stochastic(x, batch_size=34, epochs=40, rng=0, means=start)
    print("\nThe same by stochastic natural gradients, 34 rows a step, two components")
    print(f"  bound {found.elbo:.3f} after {len(found.history)} steps; coordinate ascent has {best:.3f}")
    save(meanfield.stochastic_bound(found.history, best), folder / "stochastic.png")
    one = GaussianMixture(2).fit(x, means=start, max_iter=1).means
    step = model.fit_stochastic(x, batch_size=len(x), epochs=1, step=lambda t: 1.0, means=start, rng=0).means
    print(f"  a step of 1 on all rows is a sweep: the means differ by {abs(step - one).max()}")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for model in (finite_table, gaussian, curie_weiss, amortisation, old_faithful, in_steps):
        model(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
