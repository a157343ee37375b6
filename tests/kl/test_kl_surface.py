"""The public surface: every KL of the design, with its twin: functions, not modules of the same names."""

import inspect

import pytest

from vbref import kl

NAMES = {
    "normal": ("loc_q", "scale_q", "loc_p", "scale_p"),
    "diag_normal": ("loc_q", "scale_q", "loc_p", "scale_p"),
    "standard_normal": ("loc", "log_var"),
    "multivariate_normal": ("mean_q", "cov_q", "mean_p", "cov_p"),
    "bernoulli": ("probs_q", "probs_p"),
    "categorical": ("probs_q", "probs_p"),
    "beta": ("a_q", "b_q", "a_p", "b_p"),
    "gamma": ("concentration_q", "rate_q", "concentration_p", "rate_p"),
    "dirichlet": ("concentration_q", "concentration_p"),
    "wishart": ("df_q", "scale_q", "df_p", "scale_p"),
    "kumaraswamy_beta": ("a_q", "b_q", "a_p", "b_p"),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_kl_has_its_signature_and_its_twin(name):
    for function in (getattr(kl, name), getattr(kl, f"{name}_grad")):
        parameters = inspect.signature(function).parameters.values()
        assert tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY) == NAMES[name]
        assert function.__doc__


def test_nothing_else_is_exported():
    assert set(kl.__all__) == {
        *NAMES,
        *(f"{name}_grad" for name in NAMES),
        "kumaraswamy_beta_series",
        "kumaraswamy_beta_series_grad",
        "kumaraswamy_beta_value_and_grad",
    }
