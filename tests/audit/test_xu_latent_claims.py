"""The claims about xu/37 to xu/57: the verdicts derived by hand, and what they rest on."""

from dataclasses import replace

import numpy as np
import pytest
from spoiled_claims import SPOILED, survivors

from vbref.audit import Claim, audit, claims_of_notes, oracles, records
from vbref.audit.claims import xu_saddle
from vbref.audit.claims.shared_critic import TWO_POINT, critic_by_ascent, critic_by_bisection
from vbref.audit.registry import equation_of
from vbref.audit.worlds_critic import duel
from vbref.audit.worlds_mixture import mixture
from vbref.audit.worlds_sticks import sticks
from vbref.dist import kumaraswamy

VERDICTS = {
    "definition": "38 39 40 45 47",
    "holds": "44 48 52 54 55 56",
    "notation": "37",
    "misprint": "41 42 43 46 49 50 51 53 57",
}
WANTED = {f"xu/{n}": verdict for verdict, ids in VERDICTS.items() for n in ids.split()}
ENTRIES = [entry for entry in claims_of_notes() if equation_of(entry.id) in WANTED]
CLAIMS = {entry.id: entry for entry in ENTRIES if isinstance(entry, Claim)}


def test_every_equation_has_the_verdict_derived_by_hand():
    assert set(WANTED) == {f"xu/{n}" for n in range(37, 58)}
    found = records(audit(ENTRIES), WANTED)
    assert [line for record in found for line in record.failures] == []
    assert {record.id: record.verdict for record in found if record.id in WANTED} == WANTED


@pytest.mark.parametrize("spoil", SPOILED)
def test_no_claim_lets_its_true_form_be_spoiled(spoil):
    assert survivors([replace(claim, instances=2) for claim in CLAIMS.values()], spoil) == set()


def test_worlds_are_normalised():
    rng = np.random.default_rng(8)
    for w in [mixture(rng) for _ in range(10)]:
        assert w.mean(1.0) == pytest.approx(1, abs=1e-12)
        assert np.sum(w.p_w * w.p_z * w.p_x) * w.dw * w.dx == pytest.approx(1, abs=1e-12)
        assert w.flat.integral(w.flat.prior) == pytest.approx(1, abs=1e-12)
    for w in [duel(rng) for _ in range(10)]:
        assert [w.mean_q(1.0), w.mean_p(np.ones(w.q.shape))] == pytest.approx([1, 1], abs=1e-12)
        assert w.at(0).integral(w.at(0).prior) == pytest.approx(1, abs=1e-12)
    s = np.linspace(-50.0, 50.0, 251)[:, None]
    log_v, log_rest = -np.logaddexp(0.0, -s), -np.logaddexp(0.0, s)
    for w in [sticks(rng) for _ in range(10)]:
        one = replace(w, a=w.a[:1], b=w.b[:1])
        for log_density in (one.log_q(log_v), one.log_prior(log_v, log_rest)):
            assert np.exp(log_density + (log_v + log_rest)[:, 0]).sum() * 0.4 == pytest.approx(1, abs=1e-12)


def test_what_the_decoupled_kl_loses_by_hand():
    claim = CLAIMS["xu/42b"]
    w = claim.counterexample.instance  # joint 0.4, 0.1, 0.1, 0.4 against ¼ each: 0.3 log 4
    lost = claim.corrected.value(w) - claim.printed(w)
    assert lost == pytest.approx(0.3 * np.log(4), abs=1e-14)


def test_a_decoupled_kl_is_a_bound_only_with_the_exact_posterior_of_z():
    claim = CLAIMS["xu/42b"]
    w = replace(claim.counterexample.instance)
    object.__setattr__(w, "p_z_given", w.p_z_given[:, ::-1])
    assert claim.printed(w) > oracles.elbo_by_gap(w.flat) + 0.1


@pytest.mark.parametrize("id", ["xu/49c", "xu/53b"])
def test_what_takes_max_for_argmax_exceeds_the_evidence(id):
    claim = CLAIMS[id]
    evidence = oracles.log_evidence_by_sum(TWO_POINT.at(0))
    assert np.all(claim.printed(claim.counterexample.instance) > evidence + 0.1)


def test_the_critic_by_hand():
    for best in (critic_by_bisection, critic_by_ascent):
        np.testing.assert_allclose(best(TWO_POINT), np.log([[1.5, 0.5]]), rtol=0, atol=1e-14)
        np.testing.assert_allclose(best(TWO_POINT.with_one_number()), 0.0, atol=1e-14)


def test_a_worse_critic_errs_either_way():
    """E_q[T] for T of half and of twice the log ratio: below and above the KL."""
    ratio = np.log(TWO_POINT.q / TWO_POINT.prior)
    kl = TWO_POINT.mean_q(ratio)
    assert TWO_POINT.mean_q(ratio / 2) < kl - 0.01 < kl + 0.01 < TWO_POINT.mean_q(2 * ratio)


def test_the_saddle_of_the_f_divergence_is_stationary():
    w = duel(np.random.default_rng(11))
    best = 1 + np.log(w.q / w.prior)
    slope = oracles.complex_step(lambda t: xu_saddle._saddle_at(w, t), best)
    np.testing.assert_allclose(slope, 0.0, atol=1e-15)


def test_the_sampler_of_xu_48_by_kolmogorov_and_smirnov():
    from scipy.stats import kstest

    u, a, b = np.random.default_rng(9).random(20_000), 1.7, 0.6
    law = lambda v: 1 - (1 - v**a) ** b  # noqa: E731
    assert kstest(kumaraswamy.sample(u, a, b), law).pvalue > 1e-4
    assert kstest(kumaraswamy.sample(u, b, a), law).pvalue < 1e-6
