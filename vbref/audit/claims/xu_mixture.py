"""xu/37 to xu/40 and xu/43: a variational autoencoder's mixture prior, and Bayes' rule for its component."""

import math

import numpy as np

from vbref.audit import Aside, Case, Claim, Counterexample, Definition, Form, oracles, worlds

# -- the lines of the model, xu/37 --


def _component(rng):
    k, d = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    z = np.eye(k)[rng.integers(k)]
    return Case(
        z=z, loc=rng.normal(size=(k, d)), scale=rng.uniform(0.5, 2.0, size=(k, d)), x=rng.normal(size=d)
    )


def _selected_by_scipy(w):
    from scipy.stats import norm

    k = list(w.z).index(1.0)
    return math.prod(norm.pdf(w.x, w.loc[k], w.scale[k]))


def _selected_by_inversion(w):
    """The density from the characteristic function of the component that z names."""
    t = np.linspace(-20.0, 20.0, 801)
    loc, scale = w.z @ w.loc, w.z @ w.scale
    waves = [np.exp(1j * t * (m - x) - 0.5 * (s * t) ** 2) for x, m, s in zip(w.x, loc, scale, strict=True)]
    return math.prod(float(wave.real.sum()) * 0.05 / (2 * math.pi) for wave in waves)


def _power_product(w):
    density = worlds.normal_density(w.x, w.loc, w.scale).prod(1)
    return math.prod(n**z for n, z in zip(density, w.z, strict=True))


def _observation(rng):
    """y given x, with p(w|x) on a few weights w."""
    n = int(rng.integers(2, 5))
    x, y, a = rng.normal(size=3)
    s, s_of_w = rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0, size=n)
    return Case(y=y, loc=a * x, scale=s, scale_of_w=s_of_w, p_w=worlds.dirichlet(rng, n))


def _observed_by_normalising(w):
    """The joint of xu/41 at this x, over its integral by y; its factors without y cancel."""
    grid, step = np.linspace(-30.0, 30.0, 1201, retstep=True)
    own, *others = np.exp(-((np.append(w.y, grid) - w.loc) ** 2) / (2 * w.scale**2))
    return own / (sum(others) * step)


def _observed_by_scipy(w):
    from scipy.stats import norm

    return norm.pdf(w.y, w.loc, w.scale)


# -- Bayes' rule for the component, xu/43 --


def _components(rng):
    k, d = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    return Case(
        i=int(rng.integers(k)),
        p_z=worlds.dirichlet(rng, k),
        loc=rng.normal(size=(k, d)),
        scale=rng.uniform(0.5, 2.0, size=(k, d)),
        x=rng.normal(size=d),
    )


def _posterior_by_odds(w):
    from scipy.stats import norm

    log_joint = np.log(w.p_z) + norm.logpdf(w.x, w.loc, w.scale).sum(1)
    return np.array([1 / math.fsum(math.exp(other - own) for other in log_joint) for own in log_joint])


def _posterior_by_slope(w):
    """∂ log Σ_k π_k N_k / ∂ log π_j, by a complex step."""
    exponent = -0.5 * np.sum(((w.x - w.loc) / w.scale) ** 2 + 2 * np.log(w.scale), axis=1)
    return oracles.complex_step(lambda log_p: np.log(np.exp(log_p + exponent).sum()), np.log(w.p_z))


_POSTERIOR = {"odds": _posterior_by_odds, "slope of the log evidence": _posterior_by_slope}


def _density(w):
    """N(x; μ_k(w), diag σ_k²(w)) for each k."""
    return worlds.normal_density(w.x, w.loc, w.scale).prod(1)


def _scaled_by_data_index(w):
    return w.p_z[w.i] / w.p_z * _posterior_by_odds(w)


CLAIMS = [
    Definition("xu/37a", r"\mathbf w \sim \mathcal N(0, \mathbf I)", "A line of the model"),
    Definition(
        "xu/37b",
        r"\mathbf z \sim \text{Mult}(\boldsymbol\pi)",
        "A line of the model: one draw, so that z is one-hot",
    ),
    Claim(
        "xu/37c",
        statement=r"\mathbf x|\mathbf z,\mathbf w \sim \prod_{k=1} \mathcal N(\boldsymbol\mu_{z_k}(\mathbf"
        r" w;\beta), \text{diag}(\boldsymbol\sigma_{z_k}^2(\mathbf w;\beta)))^{z_k}",
        verdict="notation",
        domain="2 to 4 components of 1 or 2 dimensions at a given w; the density of the one z names",
        draw=_component,
        oracles={
            "SciPy, the named component": _selected_by_scipy,
            "inverted characteristic function": _selected_by_inversion,
        },
        why="The product has no upper limit, and μ carries z_k, which is 0 or 1, where it needs k",
        reading=Form(
            r"\prod_{k=1}^K \mathcal N(\mathbf x; \boldsymbol\mu_k(\mathbf w;\beta),"
            r" \text{diag}(\boldsymbol\sigma_k^2(\mathbf w;\beta)))^{z_k}",
            _power_product,
        ),
        rejected={
            "z_k as the component's number": lambda w: math.prod(
                worlds.normal_density(w.x, w.loc[0], w.scale[0])
            )
        },
        note="With a one-hot z all factors but one are 1",
    ),
    Claim(
        "xu/37d",
        statement=r"\mathbf y|\mathbf x \sim \mathcal N(\boldsymbol\mu(\mathbf x;\theta),"
        r" \text{diag}(\boldsymbol\sigma^2(\mathbf w;\theta)))",
        verdict="notation",
        domain="one dimension, any x and y; p(w|x) on 2 to 4 weights",
        draw=_observation,
        oracles={"joint normalised over y": _observed_by_normalising, "SciPy": _observed_by_scipy},
        why="w is unbound in a law given x alone; xu/39 and xu/41 have p_θ(y|x)",
        reading=Form(
            r"\mathcal N(\boldsymbol\mu(\mathbf x;\theta), \text{diag}(\boldsymbol\sigma^2(\mathbf"
            r" x;\theta)))",
            lambda w: worlds.normal_density(w.y, w.loc, w.scale),
        ),
        rejected={
            "w averaged over p(w|x)": lambda w: w.p_w @ worlds.normal_density(w.y, w.loc, w.scale_of_w)
        },
        note="With σ²(w) the law given x would be a scale mixture and not a normal",
    ),
    Definition(
        "xu/38",
        r"p(\mathbf z) \longrightarrow p(\mathbf w)p(\mathbf z)p_\beta(\mathbf x|\mathbf w,\mathbf z)",
        "Two notations set side by side: the prior of the latent variables",
    ),
    Definition(
        "xu/39",
        r"p(\mathbf x|\mathbf z) \longrightarrow p_\theta(\mathbf y|\mathbf x)",
        "Two notations set side by side: the decoder",
    ),
    Definition(
        "xu/40",
        r"q(\mathbf x,\mathbf w,\mathbf z|\mathbf y) = \prod_i q_{\phi_x}(\mathbf x_i|\mathbf y_i)"
        r" q_{\phi_w}(\mathbf w_i|\mathbf y_i) p_\beta(\mathbf z_i|\mathbf x_i,\mathbf w_i)",
        "The family of q is chosen; p_β(z|x, w), a prior in the text, is the model's posterior of z (xu/43)",
    ),
    Claim(
        "xu/43a",
        statement=r"p_\beta(z_{i,j}=1|\mathbf x,\mathbf w) = \frac{p(z_{i,j}=1) p(\mathbf x|z_{i,j}=1,\mathbf"
        r" w)}{\sum_{k=1}^K p(z_{i,k}=1) p(\mathbf x|z_{i,k}=1,\mathbf w)}",
        verdict="holds",
        domain="mixtures of 2 to 4 normals in 1 or 2 dimensions at a given w, every j",
        draw=_components,
        printed=lambda w: w.p_z * _density(w) / np.sum(w.p_z * _density(w)),
        oracles=_POSTERIOR,
        note="Bayes' rule; z does not depend on w",
    ),
    Claim(
        "xu/43b",
        statement=r"= \frac{\pi_i\,\mathcal N(\mathbf x|z_j=1,\mathbf w)}"
        r"{\sum_{k=1}^K p(z_j=k) p(\mathbf x|z_j=k,\mathbf w)}",
        verdict="misprint",
        domain="mixtures of 2 to 4 normals in 1 or 2 dimensions at a given w, every j, data index i ≤ K",
        draw=_components,
        printed=lambda w: w.p_z[w.i] * _density(w) / np.sum(w.p_z * _density(w)),
        oracles=_POSTERIOR,
        note="i numbers the data, so the weight is π_j. Beside that, z_j = k stands for z_k = 1 (z_j is 0"
        " or 1), and 𝒩 has lost its mean and covariance",
        corrected=Form(
            r"\frac{\pi_j\,\mathcal N(\mathbf x;\boldsymbol\mu_j(\mathbf"
            r" w),\text{diag}(\boldsymbol\sigma_j^2(\mathbf w)))}{\sum_{k=1}^K \pi_k\,\mathcal N(\mathbf x;"
            r"\boldsymbol\mu_k(\mathbf w),\text{diag}(\boldsymbol\sigma_k^2(\mathbf w)))}",
            lambda w: w.p_z * _density(w) / np.sum(w.p_z * _density(w)),
        ),
        counterexample=Counterexample(
            "two equal components, π = (¾, ¼), i = 1: j = 1 and 2",
            Case(i=0, p_z=np.array([0.75, 0.25]), loc=np.zeros((2, 1)), scale=np.ones((2, 1)), x=np.zeros(1)),
        ),
        aside=Aside(
            "it is the posterior times π_i/π_j, and no longer sums to one over j", _scaled_by_data_index
        ),
    ),
]
