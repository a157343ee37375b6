"""Closed-form KL divergences, in nats, each with its gradient twin: `kl.normal`, `kl.normal_grad`, …

`kl.NAME(parameters of q…, parameters of p…)` is KL(q ‖ p) = E_q[log q − log p]. `kl.NAME_grad` returns a
tuple with one array an argument: the derivative of each value by its own copy of the argument, in the
broadcast shape.

`device="cuda"`, where there is the keyword, runs the same formulas on a GPU, on the same arrays of the host
(`multivariate_normal` to D = 16; of `wishart` all but the matrices' algebra); RuntimeError says what is
missing where that cannot be.
"""

from vbref.kl.beta import beta, beta_grad, dirichlet, dirichlet_grad
from vbref.kl.discrete import bernoulli, bernoulli_grad, categorical, categorical_grad
from vbref.kl.gamma import gamma, gamma_grad
from vbref.kl.kumaraswamy import (
    kumaraswamy_beta,
    kumaraswamy_beta_grad,
    kumaraswamy_beta_series,
    kumaraswamy_beta_series_grad,
    kumaraswamy_beta_value_and_grad,
)
from vbref.kl.multivariate_normal import multivariate_normal, multivariate_normal_grad
from vbref.kl.normal import (
    diag_normal,
    diag_normal_grad,
    normal,
    normal_grad,
    standard_normal,
    standard_normal_grad,
)
from vbref.kl.wishart import wishart, wishart_grad

__all__ = [
    "bernoulli",
    "bernoulli_grad",
    "beta",
    "beta_grad",
    "categorical",
    "categorical_grad",
    "diag_normal",
    "diag_normal_grad",
    "dirichlet",
    "dirichlet_grad",
    "gamma",
    "gamma_grad",
    "kumaraswamy_beta",
    "kumaraswamy_beta_grad",
    "kumaraswamy_beta_series",
    "kumaraswamy_beta_series_grad",
    "kumaraswamy_beta_value_and_grad",
    "multivariate_normal",
    "multivariate_normal_grad",
    "normal",
    "normal_grad",
    "standard_normal",
    "standard_normal_grad",
    "wishart",
    "wishart_grad",
]
