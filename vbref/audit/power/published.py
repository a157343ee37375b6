"""Mistakes seen in published code, written into ours by hand: what the operators cannot make from a formula.

Each names the function, the text that stands there and the text that the mistake would have. A text that is
no longer there is an error, so that none goes stale unseen.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One mistake: in which function of which module, and the source before and after."""

    name: str
    module: str
    function: str
    before: str
    after: str


PUBLISHED = (
    Published(
        "series cut at 10 terms",
        "vbref.kl.kumaraswamy",
        "kumaraswamy_beta_kl",
        "r, _, _ = mean_log_ratio(a_q, b_q)\n    return",
        "r = type(a_q)(1) / b_q - sum([b_q / (m + a_q * b_q) * math.exp(log_beta(type(a_q)(m) / a_q, b_q))"
        " for m in range(1, 11)])\n    return",
    ),
    Published(
        "ψ for large arguments used at small ones",
        "vbref.numerics.special",
        "digamma",
        "while x < number(_LARGE):\n        shift += number(1) / x\n",
        "while x < number(0):\n        shift += number(1) / x\n",
    ),
    Published(
        "Σ w̃ log w reported as the bound",
        "vbref.bounds",
        "iwae",
        "return _like(log_w, _power_mean(w, 1.0))",
        "return _like(log_w, (_softmax(w, 1.0) * w).sum(axis=0))",
    ),
    Published(
        "mean of the logs for the log of the mean",
        "vbref.bounds",
        "iwae",
        "return _like(log_w, _power_mean(w, 1.0))",
        "return _like(log_w, _mean(w))",
    ),
    Published(
        "log of the mean for the mean of the logs",
        "vbref.bounds",
        "elbo",
        "return _like(log_w, _mean(w))",
        "return _like(log_w, _power_mean(w, 1.0))",
    ),
    Published(
        "K ignored",
        "vbref.bounds",
        "iwae",
        "return _like(log_w, _power_mean(w, 1.0))",
        "return _like(log_w, _power_mean(w, 1.0) + math.log(len(w)))",
    ),
    Published(
        "weights not detached",
        "vbref.bounds",
        "iwae_grad",
        "return _like(log_w, _softmax(w, 1.0), axis)",
        "s = _softmax(w, 1.0)\n    return _like(log_w, s * (1 + w - (s * w).sum(axis=0)), axis)",
    ),
    Published(
        "weights not squared",
        "vbref.gradients",
        "dreg_weights",
        "return np.square(bounds.iwae_grad(log_w))",
        "return bounds.iwae_grad(log_w)",
    ),
    Published(
        "weights not detached",
        "vbref.gradients",
        "dreg_weights",
        "return np.square(bounds.iwae_grad(log_w))",
        "s = bounds.iwae_grad(log_w)\n    return s - np.square(s)",
    ),
    Published(
        "a baseline that knows its own sample",
        "vbref.gradients",
        "leave_one_out",
        "return _over_others(np.add, f) / (len(f) - 1)",
        "return np.broadcast_to(f.mean(axis=0), f.shape)",
    ),
    Published(
        "L_{−k} with w_k in it",
        "vbref.gradients",
        "_log_mean_without",
        "return np.logaddexp(others, _over_others(np.add, w) / (k - 1)) - np.log(k)",
        "return np.logaddexp(others, w.mean(axis=0)) - np.log(k)",
    ),
    Published(
        "KL averaged over the batch",
        "vbref.models.vae",
        "VAE._value",
        "bounds.elbo_split_one(run.log_lik, kl)",
        "bounds.elbo_split_one(run.log_lik, np.full_like(kl, kl.mean() / len(kl)))",
    ),
    Published(
        "gradient of a learned prior missing",
        "vbref.models.vae",
        "VAE._grads_weighted",
        'd_h = self._statistics_backward(c, d_z + d_z_prior, run.saved["z"])',
        "d_prior = {name: 0 * g for name, g in d_prior.items()}\n"
        '        d_h = self._statistics_backward(c, d_z + d_z_prior, run.saved["z"])',
    ),
    Published(
        "a learned prior missing from the weights",
        "vbref.models.vae",
        "VAE._log_w",
        "return run.log_lik + log_prior - run.log_q, saved",
        "return run.log_lik - (run.z**2 + np.log(2 * np.pi)).sum(-1) / 2 - run.log_q, saved",
    ),
    Published(
        "the inner halves of xu/36",
        "vbref.kl.normal",
        "standard_normal_kl",
        "return deficit + (half * loc) * loc",
        "return deficit + (half * loc) * loc - half * (deficit - half * log_var)",
    ),
)
