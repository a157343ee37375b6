"""The claims about the five notes, one file a chapter. Every module here is part of the audit.

How a claim is written: transcribe the right-hand side of one step literally as `printed`; give two or more
`oracles` for the left-hand side that run no common function (the judge looks); record the verdict you
derived, with the reasoning as `note`, its first sentence short enough for a table. A misprint has
`corrected`, the smallest `counterexample`, and an `aside` where the printed form is still something. See
`vbref.audit.claim.Claim`.
"""
