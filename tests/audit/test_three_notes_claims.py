"""The claims about `vlb`, `meanfield` and `lecture`: the verdicts derived by hand, and what they rest on."""

import numpy as np
import pytest
from scipy import special
from spoiled_claims import SPOILED, survivors

from vbref.audit import Claim, audit, claims_of_notes, equations, oracles, records, worlds
from vbref.audit.claims import meanfield_kl
from vbref.audit.claims.shared_decoder import error_by_characteristic, error_by_feature
from vbref.audit.worlds_decoder import one_pixel, sine_decoder
from vbref.audit.worlds_family import EdgeFamily, family

VERDICTS = {
    "vlb": {
        "definition": "D3",
        "holds": "D2 D4 D5 D6 D8 D9 I3 I4",
        "notation": "D1",
        "misprint": "D7 I2 I5",
    },
    "meanfield": {
        "definition": "D1 D4 D6 D10 D11 D12 D13 D26",
        "holds": "D2 D3 D5 D7 D8 D9 D14 D15 D16 D18 D19 D20 D21 D27 D29 D30",
        "holds-up-to-constant": "D22 D24 D25 D28",
        "misprint": "D17 D23",
    },
    "lecture": {
        "definition": "D10 D18 D20 D29 D30 IB IC",
        "holds": "D3 D4 D6 D7 D13 D14 D15 D17 D19 D23 D24 D25",
        "notation": "D1 D2 D11 D26 I5",
        "misprint": "D5 D8 D9 D12 D16 D22 D27 D28",
        "not-checkable": "D21",
    },
}
ENTRIES = [entry for entry in claims_of_notes() if entry.id.split("/")[0] in VERDICTS]
CLAIMS = [entry for entry in ENTRIES if isinstance(entry, Claim)]


def claim(id):
    return next(entry for entry in CLAIMS if entry.id == id)


@pytest.fixture(scope="module")
def found():
    return {record.id: record for record in records(audit(ENTRIES)) if record.note in VERDICTS}


@pytest.mark.parametrize("note", VERDICTS)
def test_every_equation_has_the_verdict_derived_by_hand(note, found):
    wanted = {f"{note}/{id}": verdict for verdict, ids in VERDICTS[note].items() for id in ids.split()}
    assert set(wanted) == {id for id in equations() if id.startswith(f"{note}/")}
    assert {id: found[id].verdict for id in wanted} == wanted
    assert [line for record in found.values() for line in record.failures] == []


@pytest.mark.parametrize("spoil", SPOILED)
def test_no_claim_lets_its_true_form_be_spoiled(spoil):
    zero = {"meanfield/D3a", "lecture/D14b"}  # their right side is 0
    unmoved = {"doubled": zero | {"meanfield/D24b"}, "negated": zero, "shifted": {"meanfield/D24b"}}  # ∞ is ∞
    assert survivors(CLAIMS, spoil) == unmoved[spoil]


def test_the_errors_of_a_sine_decoder_are_those_of_its_samples():
    rng = np.random.default_rng(4)
    w = sine_decoder(rng)
    z = w.mean + rng.standard_normal((200_000, len(w.mean))) @ w.root.T
    errors = np.square(w.x - w.f(z)).sum(1)
    for oracle in (error_by_characteristic, error_by_feature):
        assert abs(errors.mean() - oracle(w)) < 5 * errors.std() / np.sqrt(len(z))


def test_one_pixel_by_hand():
    """E(1 − sin z)² for z ~ N(½, 4): 1 − 2 e⁻² sin ½ + (1 − e⁻⁸ cos 1)/2."""
    w = one_pixel(x=1.0, frequency=1.0, mean=0.5, scale=2.0)
    by_hand = 1 - 2 * np.exp(-2.0) * np.sin(0.5) + (1 - np.exp(-8.0) * np.cos(1.0)) / 2
    assert w.noise_scale == 1.0
    assert [error_by_characteristic(w), error_by_feature(w)] == pytest.approx([by_hand, by_hand], abs=1e-13)


def test_families_are_normalised():
    rng = np.random.default_rng(5)
    for w in [EdgeFamily(np.array([0.3]), np.zeros(2), np.ones(2)), *(family(rng) for _ in range(10))]:
        assert w.integral(w.q(w.phi)) == pytest.approx(1, abs=1e-13)


def test_jensen_without_a_mean_is_true_on_tables_and_false_for_a_narrow_density():
    printed = claim("lecture/D5").printed
    for seed in range(20):
        w = worlds.finite(np.random.default_rng(seed))
        assert printed(w) <= oracles.log_evidence_by_sum(w)
    w = claim("lecture/D5").counterexample.instance
    assert printed(w) == pytest.approx(10 * np.log(2), abs=1e-12)


@pytest.mark.parametrize("id", ["lecture/D8", "lecture/D16"])
def test_what_has_lost_the_prior_or_counts_q_twice_exceeds_the_evidence(id):
    w = claim(id).counterexample.instance
    assert claim(id).printed(w) > oracles.log_evidence_by_sum(w) + 0.1


@pytest.mark.parametrize(("id", "least"), [("vlb/I2", 0), ("lecture/D27b", 1)])
def test_what_counts_kl_twice_or_loses_a_logarithm_is_a_looser_bound(id, least):
    rng = np.random.default_rng(6)
    for w in [worlds.latent(rng) for _ in range(20)]:
        assert claim(id).printed(w) < oracles.elbo_by_gap(w) - least


def test_a_lost_logarithm_costs_exactly_one_where_q_is_sure():
    one = np.ones(1)
    w = worlds.World(prior=one, likelihood=one / 4, q=one, dz=one)
    assert claim("lecture/D27b").printed(w) == oracles.elbo_by_gap(w) - 1


def test_the_gradient_through_a_step_is_that_of_its_jump():
    """E(1 − sign z)² = 4 Φ(−m/s), of which −½ is ①, here at m = 0 and s = 1."""
    w = claim("vlb/I4").conditions[0].outside
    by_mean, by_scale = claim("vlb/I4").oracles["normal distribution function"](w)
    step = 1e-5
    wanted = (-2 * special.ndtr(-step) + 2 * special.ndtr(step)) / (2 * step)
    assert (by_mean, by_scale) == pytest.approx((wanted, 0.0), abs=1e-9)


def test_the_optimum_of_the_objective_without_a_prior_ignores_it():
    rng = np.random.default_rng(7)
    w = worlds.finite(rng, 4)
    moved = worlds.World(worlds.dirichlet(rng, 4), w.likelihood, w.q, w.dz)
    assert claim("lecture/D9").printed(w) == claim("lecture/D9").printed(moved)
    assert oracles.log_evidence_by_sum(w) != pytest.approx(oracles.log_evidence_by_sum(moved), abs=1e-3)


def test_the_square_is_multiplied_out_at_every_noise():
    """meanfield/D18 and D19 agree inside the mean already, which the mean alone would not show."""
    w = claim("meanfield/D18").draw(np.random.default_rng(8))
    noise = np.random.default_rng(9).standard_normal((5, len(w.mu)))
    half_log_det = np.log(np.linalg.det(w.cov)) / 2
    assert meanfield_kl._multiplied_out(w, noise) / 2 - half_log_det == pytest.approx(
        meanfield_kl._reparameterised(w, noise), abs=1e-13
    )


def test_a_triangular_root_needs_its_transpose_on_the_left():
    w = claim("meanfield/D18").conditions[0].outside
    left = w.root.T @ np.linalg.inv(w.cov) @ w.root
    assert left == pytest.approx(np.eye(2), abs=1e-14)
    assert np.trace(np.linalg.inv(w.cov) @ w.root @ w.root) != pytest.approx(2, abs=0.1)
