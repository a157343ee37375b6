"""meanfield/D26 to meanfield/D30: the mean-field bound and its best factor."""

import numpy as np

from vbref.audit import Case, Claim, Code, Condition, Constant, Definition, oracles, worlds

_DOMAIN = "dense tables p(x, z_j, z_-j) of 2 or 3 by 2 to 4 states, z_-j any number of variables in a row"


def _factorised(rng):
    n, rest = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    q_j, q_rest = worlds.dirichlet(rng, n), worlds.dirichlet(rng, rest)
    world = worlds.World(
        prior=worlds.dirichlet(rng, n * rest),
        likelihood=rng.uniform(0.05, 1.0, size=n * rest),
        q=np.outer(q_j, q_rest).ravel(),
        dz=np.ones(n * rest),
    )
    return Case(world=world, joint=world.joint.reshape(n, rest), q_j=q_j, q_rest=q_rest)


def _correlated():
    """q with z_-j = z_j, and its marginals; p uniform."""
    half, flat = np.array([0.5, 0.5]), np.full(4, 0.25)
    world = worlds.World(prior=flat, likelihood=np.ones(4), q=np.array([0.5, 0.0, 0.0, 0.5]), dz=np.ones(4))
    return Case(world=world, joint=world.joint.reshape(2, 2), q_j=half, q_rest=half)


_ELBO = {
    "evidence less KL to the posterior": lambda w: oracles.elbo_by_gap(w.world),
    "slope of E_q[w^α] at 0": lambda w: oracles.elbo_by_cumulant(w.world),
}


def _mean_log_joint(w):
    """E_{z_-j ~ q_-j}[log p(x, z_-j, z_j)], at each z_j."""
    return np.log(w.joint) @ w.q_rest


def _field(w):
    from vbref.meanfield import FiniteField

    return FiniteField(np.log(w.joint), [w.q_j, w.q_rest])


def _updated(update, w):
    field = _field(w)
    update(field, 0)
    return field.factors[0]


def _move_q_j(w, rng):
    return Case(world=w.world, joint=w.joint, q_j=worlds.dirichlet(rng, len(w.q_j)), q_rest=w.q_rest)


# -- the best q_j, by maximising; neither way knows its form --


def _by_mirror_ascent(objective, n):
    """q ← q · e^(slope/2), normalised: each step halves the distance in log q."""
    q = np.ones(n)
    for _ in range(50):
        q = q * np.exp(oracles.complex_step(objective, q) / 2)
        q = q / q.sum()
    return q


def _by_stationarity(objective, n):
    """The logits where the slope vanishes (the last logit is 0): climb near with BFGS, then find the root."""
    from scipy.optimize import minimize, root

    def distribution(logits):
        return worlds.softmax(np.append(logits, 0.0))

    def slope(logits):
        return oracles.central_difference(lambda v: objective(distribution(v)), logits)

    near = minimize(lambda v: -objective(distribution(v)), np.zeros(n - 1), jac=lambda v: -slope(v)).x
    return distribution(root(slope, near, tol=1e-12).x)


def _bound_of(w):
    """The bound of q_j, any positive vector near the simplex, term by term over the table."""

    def bound(q_j):
        q = q_j[:, None] * w.q_rest
        return (q * np.log(w.joint)).sum() - (q * np.log(q)).sum()

    return bound


def _bound_by_gap(w):
    return lambda q_j: oracles.elbo_by_gap(w.world.with_q(np.outer(q_j, w.q_rest).ravel()))


_BEST_FOR_BOUND = {
    "mirror ascent on the bound": lambda w: _by_mirror_ascent(_bound_of(w), len(w.q_j)),
    "stationary point of log p(x) − KL": lambda w: _by_stationarity(_bound_by_gap(w), len(w.q_j)),
}


def _target(rng):
    n = int(rng.integers(2, 5))
    return Case(hat=worlds.dirichlet(rng, n), candidates=worlds.dirichlet(rng, 6, n))


_CLOSEST = {
    "mirror descent": lambda w: _by_mirror_ascent(
        lambda q: -(q * (np.log(q) - np.log(w.hat))).sum(), len(w.hat)
    ),
    "stationary point": lambda w: _by_stationarity(lambda q: -oracles.kl_by_sum(q, w.hat), len(w.hat)),
}


def _with_argmin(values):
    return np.append(values, np.argmin(values))


CLAIMS = [
    Definition(
        "meanfield/D26",
        r"ELBO(q, x, \theta) = E_{z \sim q} \left[\log \frac{P_\theta(x, z)}{q(z)} \right]",
        "The bound of meanfield/D3, once more",
    ),
    Claim(
        "meanfield/D27",
        statement=r"= E_{z_j\sim q_j} E_{z_{-j}\sim q_{-j}}\left[\log P_\theta(x,z_j,z_{-j})"
        r" - \log q_{-j}(z_{-j}) - \log q_j(z_j)\right]",
        verdict="holds",
        domain=_DOMAIN,
        draw=_factorised,
        printed=lambda w: w.q_j @ (np.log(w.joint) - np.log(w.q_rest) - np.log(w.q_j)[:, None]) @ w.q_rest,
        oracles=_ELBO,
        note="The mean-field assumption put in",
        code=Code(
            "vbref.meanfield.finite.FiniteField.evidence_bound", lambda bound, w: bound(_field(w)).value
        ),
        conditions=[Condition("q = q_j q_-j; outside, z_-j = z_j under q", _correlated())],
    ),
    Claim(
        "meanfield/D28",
        statement=r"= -E_{z_j\sim q_j}\left[\log q_j(z_j) - E_{z_{-j}\sim q_{-j}}[\log"
        r" P_\theta(x,z_{-j},z_j)]"
        r"\right] + \text{constant}",
        verdict="holds-up-to-constant",
        domain=_DOMAIN,
        draw=_factorised,
        printed=lambda w: -(w.q_j @ (np.log(w.q_j) - _mean_log_joint(w))),
        oracles=_ELBO,
        constant=Constant(
            r"H[q_{-j}] = -E_{q_{-j}}[\log q_{-j}(z_{-j})]",
            lambda w: -(w.q_rest @ np.log(w.q_rest)),
            free_of="q_j",
            vary=_move_q_j,
        ),
        note="What has no q_j; it moves when the other factors do, and a bound that is monitored needs it",
    ),
    Claim(
        "meanfield/D29a",
        statement=r"\argmin_{q_j} E_{z_j\sim q_j}\left[\log\frac{q_j(z_j)}{\hat q_j(z_j)}\right] ="
        r" \argmin_{q_j} KL(q_j\|\hat q_j)",
        verdict="holds",
        domain="6 candidates for q_j on 2 to 4 states: the objective at each, and its argmin",
        draw=_target,
        printed=lambda w: _with_argmin([q @ np.log(q / w.hat) for q in w.candidates]),
        oracles={
            "exact sums": lambda w: (lambda kls: np.append(kls, kls.index(min(kls))))(
                [oracles.kl_by_sum(q, w.hat) for q in w.candidates]
            ),
            "slope of the Chernoff curve": lambda w: (lambda kls: np.append(kls, np.argsort(kls)[0]))(
                np.array([oracles.kl_by_slope(q, w.hat) for q in w.candidates])
            ),
        },
        note="The definition of KL; an unnormalised q̂_j shifts it by a constant",
    ),
    Claim(
        "meanfield/D29b",
        statement=r"\argmin_{q_j} KL(q_j\|\hat q_j) = \hat q_j(z_j)",
        verdict="holds",
        domain="2 to 4 states, over all distributions q_j",
        draw=_target,
        printed=lambda w: w.hat,
        oracles=_CLOSEST,
        note="Gibbs' inequality. What it needs: the family of q_j is not restricted",
    ),
    Claim(
        "meanfield/D30",
        statement=r"\hat q_j(z_j) \propto \exp\left(E_{z_{-j}\sim q_{-j}}[\log"
        r" P_\theta(x,z_{-j},z_j)]\right)",
        verdict="holds",
        domain=_DOMAIN + "; compared with the q_j that maximises the bound, both sides normalised",
        draw=_factorised,
        printed=lambda w: (lambda mass: mass / mass.sum())(np.exp(_mean_log_joint(w))),
        oracles=_BEST_FOR_BOUND,
        code=Code("vbref.meanfield.finite.FiniteField.update", _updated),
        note="By meanfield/D28 and D29: the update of coordinate ascent. ∝ is read as printed, up to a"
        " factor that normalises; on the real line that factor must be finite",
    ),
]
