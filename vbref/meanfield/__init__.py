"""Mean field: coordinate ascent, each factor of q set to q̂_j ∝ exp E_{−j} log p(x, z) (meanfield/D30)."""

from vbref.meanfield import families, identities
from vbref.meanfield.amortisation import amortisation_gap, cubature, fit_per_point
from vbref.meanfield.binary_field import BinaryField
from vbref.meanfield.engine import Ascent, Bound, BoundFell, Update, ascend, best_of
from vbref.meanfield.finite import FiniteField, coordinate_ascent
from vbref.meanfield.gaussian import Gaussian
from vbref.meanfield.linear_regression import LinearRegression
from vbref.meanfield.mixture import GaussianMixture, from_sklearn, sklearn_bound

__all__ = [
    "Ascent",
    "BinaryField",
    "Bound",
    "BoundFell",
    "FiniteField",
    "Gaussian",
    "GaussianMixture",
    "LinearRegression",
    "Update",
    "amortisation_gap",
    "ascend",
    "best_of",
    "coordinate_ascent",
    "cubature",
    "families",
    "fit_per_point",
    "from_sklearn",
    "identities",
    "sklearn_bound",
]
