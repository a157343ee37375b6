"""`vbref train gmvae`.

From a random start clusters merge or split by stroke width, as the paper says too. What was needed is a
start in three steps: an ordinary VAE, whose encoder and decoder are kept; a variational mixture of Gaussians
with full covariances (`vbref.meanfield`) on the first principal components of the data, the best of several
starts; and components placed where the VAE's codes of each of its clusters lie. Then all is trained together,
not for long: the encoder goes on to move each row of the data deeper into the cluster that it has.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from vbref.fit import fit
from vbref.systems.base import Array, Config, Params, Rng, Setting, System
from vbref.systems.vae import sigma_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGMA = 0.3
_PRETRAIN_EPOCHS, _PRETRAIN_RATE = 60, 2e-3
_PRINCIPAL, _STARTS = 10, 20
_LEAST_VARIANCE = 0.05
_DRAWS = 50


def build(config: Config, data_dim: int) -> Any:
    """The model that the configuration says."""
    from vbref.models import GMVAE

    names = ("activation", "likelihood", "dtype", "w_dim", "weights", "form")
    options = {name: config[name] for name in names} | _sigma(config)
    options |= {"min_information": config["min_information"], "hidden": tuple(config["hidden"])}
    return GMVAE(data_dim, config["latent"], config["components"], **options)


def _sigma(config: Config) -> dict[str, Any]:
    """σ starts at 0.3 of the range of a pixel, not at 1."""
    started = {"sigma": _SIGMA} if config["likelihood"] == "gaussian" else {}
    return started | sigma_options(config)


def start(task: Any, rng: Rng) -> Params:
    """The three steps above."""
    from vbref.models import VAE

    config, model = task.config, task.model
    options = {name: config[name] for name in ("activation", "likelihood", "dtype")} | _sigma(config)
    vae = VAE(model.data_dim, model.latent_dim, tuple(config["hidden"]), **options)
    settings = {"batch_size": config["batch_size"], "learning_rate": _PRETRAIN_RATE}
    trained, _ = fit(vae, task.train, epochs=_PRETRAIN_EPOCHS, rng=rng, prepare=task.prepare, **settings)
    rows = task.prepare(task.train[np.arange(len(task.train))], rng)
    codes = vae.encode(trained, rows)[0]
    return placed(model, model.init(rng) | trained, codes, partition(rows, model.components, rng))


def partition(rows: Array, components: int, rng: Rng) -> Array:
    """A cluster for each row (N,): the mixture's, on the rows' first principal components."""
    from vbref.meanfield import GaussianMixture

    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:_PRINCIPAL]
    principal = centred @ axes.T
    mixture = GaussianMixture(components).fit(principal, rng=rng, n_init=_STARTS, tol=1e-6, max_iter=200)
    return mixture.predict_proba(principal).argmax(axis=1)


def placed(model: Any, params: Params, codes: Array, clusters: Array) -> Params:
    """The prior's components at the mean and the variances of each cluster's codes, nearly still in w."""
    whole = codes.mean(axis=0), codes.var(axis=0)
    parts = [codes[clusters == c] for c in range(model.components)]
    means, variances = zip(
        *((part.mean(axis=0), part.var(axis=0)) if len(part) else whole for part in parts), strict=True
    )
    bias = model.prior.packed(np.stack(means), np.log(np.stack(variances) + _LEAST_VARIANCE))
    weight = model.prior.last_bias.replace("bias", "weight")
    found = params | {model.prior.last_bias: bias, weight: params[weight] / 10}
    return {name: found[name].astype(model.dtype) for name in model.shapes()}


def responsibilities(task: Any, params: Params, rng: Rng) -> Array:
    """p(z | y) of the held-out rows, by 50 draws of x and w."""
    model, test = task.model, task.test
    return model.responsibilities(params, test, model.draw_noise(rng, len(test), _DRAWS))


def notes(task: Any, params: Params, rng: Rng) -> list[str]:
    """The paper's accuracy, where there are labels, and how many clusters are in use."""
    from vbref.evaluate import clustering, diagnostics

    r = responsibilities(task, params, rng)
    found = [f"clusters in use: {diagnostics.effective_clusters(r):.1f} of {task.model.components}"]
    if task.test_labels is not None:
        named = clustering.exemplar_labels(r, task.test_labels)
        accuracy = clustering.clustering_accuracy(r, task.test_labels, named)
        found.append(f"clustering accuracy {accuracy:.3f}, each cluster named by its most certain member")
    return found


def warnings(task: Any, params: Params, rng: Rng) -> list[str]:
    """Collapsed clusters, clusters that are all alike, and latents that do not move with y."""
    from vbref.evaluate import diagnostics

    model, r = task.model, responsibilities(task, params, rng)
    used, sure = diagnostics.effective_clusters(r), diagnostics.confidence(r)
    moving = diagnostics.active_units(model.encode(params, task.test)[0])
    moving_w = diagnostics.active_units(model.encode_w(params, task.test)[0])
    found = []
    if used < model.components / 2:
        found.append(
            f"collapsed clusters: {used:.1f} of {model.components} in use; try fewer --components, "
            "--min-information 1 or another --seed"
        )
    if sure < 0.5:
        found.append(
            f"clusters overlap (mean certainty {sure:.2f}): try --min-information 1 or more --epochs"
        )
    if moving < model.latent_dim / 2:
        found.append(
            f"posterior collapse: {moving} of {model.latent_dim} units of x are active; try a smaller "
            "--latent, a smaller --learning-rate or more --epochs"
        )
    if moving_w == 0:
        found.append("w says nothing of y: the components are plain Gaussians; try a smaller --latent")
    return found


def pictures(task: Any, params: Params, rng: Rng) -> dict[str, "Figure"]:
    """Reconstructions, samples (one cluster a row), the latent plane by label and by cluster, the shares."""
    from vbref import plot

    model, test = task.model, task.test
    codes, r = model.encode(params, test)[0], responsibilities(task, params, rng)
    noise = model.draw_noise(rng, 12 * model.components)[0]
    each = np.repeat(np.arange(model.components), 12)
    prior = np.exp(model.prior.log_weights(params, np.float64))
    return {
        "reconstructions": plot.reconstructions(test[:48], model.decode(params, codes[:48])),
        "samples": plot.samples(model.sample(params, noise[:96])),
        "clusters": plot.samples(
            model.sample(params, noise, component=each), title="the decoder's mean, a cluster each row"
        ),
        "latent": plot.latent_plane(codes, task.test_labels),
        "latent-clusters": plot.latent_plane(codes, r.argmax(axis=1), legend="cluster"),
        "shares": plot.shares({"prior": prior, "posterior": r.mean(axis=0)}, "cluster"),
    }


SYSTEM = System(
    build,
    pictures,
    warnings,
    notes,
    start,
    settings={
        "components": Setting(10, "gmvae: clusters (10)"),
        "w_dim": Setting(1, "gmvae: dimensions of w (1)"),
        "weights": Setting("uniform", "gmvae: π (uniform)", ("uniform", "learned")),
        "form": Setting("exact", "gmvae: the ELBO, or xu/42 as printed (exact)", ("exact", "decoupled")),
        "min_information": Setting(0.0, "gmvae: floor of KL(p(z|x,w) ‖ π), in nats (0)", zero=True),
    },
    defaults={"latent": 12, "hidden": [128], "likelihood": "gaussian", "learning_rate": 3e-4, "epochs": 30},
    ignores=("prior", "posterior", "objective", "gradient"),
)
