"""Check a hand-written gradient against derivatives that come from values of the function alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.inexact[Any]]
Real = NDArray[np.float64]
Point = dict[str, Real]
Function = Callable[[Mapping[str, Array]], Any]

_EPS = float(np.finfo(np.float64).eps)

# Extrapolated central differences err by h⁴ from truncation and by ε/h from rounding: h = ε^(1/5) balances
# the two. A complex step subtracts nothing, so h need only be far below every x of interest.
_STEP = {"central": _EPS ** (1 / 5), "complex": 1e-100}
_RTOL = {"central": 1e-7, "complex": 1e-10}


@dataclass(frozen=True)
class Probe:
    """A direction v within the array `name`; `index` is None where it is not along one coordinate."""

    name: str
    v: Real
    index: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Comparison:
    """One derivative, given and measured; `index` is None where it is along a random direction.

    `unit` is the length of the step direction: what the measurement was divided by.
    """

    name: str
    index: tuple[int, ...] | None
    analytic: float
    numeric: float
    unit: float = 1.0

    def error(self, floor: float) -> float:
        """Return |analytic − numeric| over the larger of the two and `floor`; a NaN counts as infinite."""
        difference = abs(self.analytic - self.numeric)
        if not np.isfinite(difference):
            return np.inf
        return difference and difference / max(abs(self.analytic), abs(self.numeric), floor)

    def __str__(self) -> str:
        where = " along a random direction" if self.index is None else f"[{', '.join(map(str, self.index))}]"
        return f"{self.name}{where}: analytic {self.analytic:.12g}, numeric {self.numeric:.12g}"


class GradientMismatch(AssertionError):
    """The gradient disagrees with the function; `worst` holds the entry where it does so most."""

    def __init__(self, worst: Comparison, message: str) -> None:
        super().__init__(f"{worst}, {message}")
        self.worst = worst


def check_gradient(
    f: Callable[[Any], Any],
    grad: Any,
    x: Any,
    *,
    method: str = "central",
    rtol: float | None = None,
    atol: float | None = None,
    typical: float = 1.0,
    directions: int | None = None,
    rng: np.random.Generator | None = None,
) -> float:
    """Return the largest relative error of `grad` at x, or raise `GradientMismatch` where it exceeds `rtol`.

    `f` maps x, a float64 array or a flat dict of them, to a real scalar; `grad` is the gradient at x in the
    same form, or a function of x that returns it. It is compared with

    - "central": D(h) = [f(x + h v) − f(x − h v)]/2h, extrapolated to (4 D(h/2) − D(h))/3 with an error of h⁴;
    - "complex": Im f(x + i h v)/h, exact to rounding, where f is analytic and takes complex arrays,

    along each coordinate, or with `directions` along that many random sign vectors in each array (drawn from
    `rng`), which is cheap for large arrays and still sees one wrong entry. Steps are relative to
    max(|x|, `typical`): lower `typical` where x is small and positive.

    A relative error is |analytic − numeric| over the larger of the two, or over `atol`/`rtol` where both are
    smaller; by default `atol` is what rounding leaves of a derivative that is zero.

    Raises ValueError where x is not float64 and finite, f not scalar, finite and repeatable, or the
    gradient's names or shapes are not those of x.
    """
    rtol = _RTOL.get(method, 0) if rtol is None else rtol
    if method not in _SLOPES or not rtol > 0:
        raise ValueError(f"method must be one of {', '.join(_SLOPES)}, rtol > 0; was {method!r}, {rtol}")
    given = grad(x) if callable(grad) else grad
    if not isinstance(x, Mapping):
        whole = f
        f, given, x = (lambda point: whole(point["x"])), {"x": given}, {"x": x}
    point = _checked_point(x)
    value, gradient = _repeatable(f, point), _checked_gradient(given, point)
    h = _STEP[method] * typical
    slope, probes = _SLOPES[method], _probes(point, typical, directions, rng)
    found = [_compare(gradient, probe, slope(f, point, probe, h)) for probe in probes]
    # what rounding leaves: of f in the difference, of the largest terms in a sum that cancels
    subtraction = abs(value) / h if method == "central" else 0.0
    noise = 8 * _EPS * (subtraction + max(abs(each.numeric * each.unit) for each in found))
    return _judge(found, rtol, [noise / each.unit if atol is None else atol for each in found])


def _compare(gradient: Point, probe: Probe, numeric: float) -> Comparison:
    unit = 1.0 if probe.index is None else float(probe.v[probe.index])
    analytic = float((gradient[probe.name] * probe.v).sum())
    return Comparison(probe.name, probe.index, analytic / unit, numeric / unit, unit)


def _judge(found: list[Comparison], rtol: float, atols: list[float]) -> float:
    """Return the largest error, or raise with the worst entry."""
    errors = [each.error(atol / rtol) for each, atol in zip(found, atols, strict=True)]
    worst, failed = int(np.argmax(errors)), sum(error > rtol for error in errors)
    if failed:
        message = f"relative error {errors[worst]:.3g} > {rtol:.3g}; {failed} of {len(found)} fail"
        raise GradientMismatch(found[worst], message)
    return errors[worst]


def _probes(
    point: Point, typical: float, directions: int | None, rng: np.random.Generator | None
) -> Iterator[Probe]:
    """Yield the directions to measure along; they grow with |x|, so that a step is relative."""
    if directions is not None and (directions < 1 or rng is None):
        raise ValueError(f"directions must be >= 1 and come with an rng, was {directions} with rng {rng}")
    for name, x in point.items():
        size = np.maximum(abs(x) / typical, 1.0)
        if directions is None:
            for index in np.ndindex(x.shape):
                v = np.zeros_like(x)
                v[index] = size[index]
                yield Probe(name, v, index)
        elif rng is not None:
            for _ in range(directions):
                yield Probe(name, size * rng.choice([-1.0, 1.0], x.shape))


def _central_difference(f: Function, point: Point, probe: Probe, h: float) -> float:
    def difference(h: float) -> float:
        return (_real(f(_moved(point, probe, h))) - _real(f(_moved(point, probe, -h)))) / (2 * h)

    return (4 * difference(h / 2) - difference(h)) / 3


def _complex_step(f: Function, point: Point, probe: Probe, h: float) -> float:
    value = np.asarray(f(_moved(point, probe, 1j * h)))
    if not np.iscomplexobj(value):
        raise ValueError(f"f must be complex for complex x, returned {value.dtype}; use method='central'")
    _real(value.real)
    return float(value.imag) / h


_SLOPES = {"central": _central_difference, "complex": _complex_step}


def _moved(point: Point, probe: Probe, step: complex) -> dict[str, Array]:
    return {**point, probe.name: point[probe.name] + step * probe.v}


def _real(value: Any) -> float:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind != "f" or not np.isfinite(array):
        raise ValueError(f"f must return a finite real scalar, returned {array.dtype} {array}")
    return float(array)


def _repeatable(f: Function, point: Point) -> float:
    """Return f at the point, twice the same."""
    first, second = (_real(f({name: x.copy() for name, x in point.items()})) for _ in range(2))
    if first != second:
        raise ValueError(f"f must be repeatable (fix its noise), returned {first} and then {second}")
    return first


def _checked_point(point: Mapping[str, Any]) -> Point:
    for name, x in point.items():
        if not isinstance(x, np.ndarray | np.float64 | float) or np.asarray(x).dtype != np.float64:
            raise ValueError(f"{name} must be a float64 array, was {np.asarray(x).dtype}")
        if not np.isfinite(x).all():
            raise ValueError(f"{name} must be finite")
    if not sum(np.size(x) for x in point.values()):
        raise ValueError("x must have at least one entry")
    return {name: np.asarray(x) for name, x in point.items()}


def _checked_gradient(gradient: Mapping[str, Any], point: Point) -> Point:
    if gradient.keys() != point.keys():
        raise ValueError(f"the gradient must have the names {sorted(point)}, has {sorted(gradient)}")
    arrays = {name: np.asarray(each) for name, each in gradient.items()}
    for name, array in arrays.items():
        if array.shape != point[name].shape or array.dtype != np.float64:
            expected = f"float64 of shape {point[name].shape}"
            raise ValueError(f"the gradient of {name} must be {expected}, is {array.dtype} of {array.shape}")
    return arrays
