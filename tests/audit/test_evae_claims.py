"""The claims about `evae`: the verdicts derived by hand, and no claim lets its formula be spoiled."""

from dataclasses import replace

import numpy as np
import pytest

from vbref.audit import Case, Claim, audit, claims_of_notes, judge, records
from vbref.audit import worlds_energy as energy

VERDICTS = {
    "definition": "D7 D10 D12 D13 D14 D27 D32",
    "holds": "D1 D4 D15 D24 D25 D29 D36",
    "holds-up-to-constant": "L1 D28 D30",
    "notation": "D2 D3 D5 D8 D9 D23 D26 D33 D34 D35",
    "misprint": "D6 D11 D17 D18 D19 D20 D21 D22 D31 D37",
    "not-checkable": "D16",
}
ENTRIES = [entry for entry in claims_of_notes() if entry.id.startswith("evae/")]
CLAIMS = [entry for entry in ENTRIES if isinstance(entry, Claim)]
SPOILED = {
    "doubled": lambda form: lambda w: 2 * form(w),
    "negated": lambda form: lambda w: -form(w),
    "shifted": lambda form: lambda w: form(w) + 0.01,
}


def with_true_form(claim, change):
    """The claim with the form that its record calls true changed."""
    if claim.corrected:
        return replace(claim, corrected=replace(claim.corrected, value=change(claim.corrected.value)))
    if claim.reading:
        return replace(claim, reading=replace(claim.reading, value=change(claim.reading.value)))
    return replace(claim, printed=change(claim.printed))


def test_every_equation_has_the_verdict_derived_by_hand():
    found = {record.id: record.verdict for record in records(audit(ENTRIES)) if record.note == "evae"}
    wanted = {f"evae/{id}": verdict for verdict, ids in VERDICTS.items() for id in ids.split()}
    assert {id: found[id] for id in wanted} == wanted
    assert len(wanted) == 38


@pytest.mark.parametrize("spoil", SPOILED)
def test_no_claim_lets_its_true_form_be_spoiled(spoil):
    unmoved = {"evae/D29a", "evae/D30b"} if spoil != "negated" else set()  # twice infinity is infinity
    passed = {claim.id for claim in CLAIMS if not judge(with_true_form(claim, SPOILED[spoil])).failures}
    assert passed == unmoved


@pytest.mark.parametrize("id", ["D20a", "D20b", "D22"])
def test_the_wrong_sign_of_the_entropy_is_least_at_a_point_mass_on_the_map(id):
    claim = next(claim for claim in CLAIMS if claim.id == f"evae/{id}")
    w = claim.draw(np.random.default_rng(3))
    table = getattr(w, "table", w)
    mass = np.full(table.posterior.shape, 1e-15)
    mass[np.arange(len(mass)), table.posterior.argmax(1)] = 1.0
    at_map = replace(table, encoder=mass)
    w = Case(table=at_map, weight=w.weight) if table is not w else at_map
    assert claim.printed(w) == pytest.approx(claim.asides[1].value(w), abs=1e-11)


def test_energy_tables_are_normalised_and_their_scores_have_mean_zero():
    w = energy.energies(np.random.default_rng(0))
    for law in (w.prior, w.marginal, w.pushed, w.law, w.posterior.sum(1) / len(w.law)):
        assert law.sum() == pytest.approx(1, abs=1e-14)
    assert w.prior @ w.d_log_prior == pytest.approx(0, abs=1e-14)
    assert np.einsum("zx,zxm->zm", w.lik, w.d_log_lik) == pytest.approx(0, abs=1e-14)


def test_a_channel_has_the_moments_of_its_gaussians():
    w = energy.channel(0.8, 1.1, encoder=0.5, sigma=0.9)
    nodes = np.linspace(-9, 9, 121)
    z = nodes * np.hypot(0.8, 1.1)
    assert w.integral(w.q) == pytest.approx(1, abs=1e-14)
    assert w.integral(w.q * np.outer(nodes, z)) == pytest.approx(0.8, abs=1e-13)
    near = w.p_lambda[:, 50:71] * w.dw  # where no tail of the law of w is cut off
    assert near.sum(0) == pytest.approx(np.ones(21), abs=1e-14)
    assert nodes @ near == pytest.approx(0.5 * z[50:71], abs=1e-14)
    assert nodes**2 @ near == pytest.approx(0.9**2 + (0.5 * z[50:71]) ** 2, abs=3e-14)


def test_a_generator_has_the_covariance_of_its_samples():
    w = energy.generators(np.random.default_rng(1), d=2, n=2)
    noise = np.random.default_rng(2).standard_normal((200_000, 4))
    z = noise[:, :2] @ w.G.T + w.delta * noise[:, 2:]
    products = np.einsum("ki,kj->kij", z, z)
    error = products.std(0) / np.sqrt(len(z))
    assert (abs(products.mean(0) - w.cov_z) < 5 * error).all()
    assert w.against_product.cov_1[2:, 2:] == pytest.approx(w.cov_z)
    assert w.energy(w.m) == pytest.approx(w.c)
