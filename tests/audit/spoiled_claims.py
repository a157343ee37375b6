"""Claims with their true form spoiled: what every judge must notice."""

from dataclasses import replace

from vbref.audit import judge

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


def survivors(claims, spoil):
    """The ids of the claims that pass all the same, on a few instances each."""
    spoiled = (replace(with_true_form(claim, SPOILED[spoil]), instances=3) for claim in claims)
    return {claim.id for claim in spoiled if not judge(claim).failures}
