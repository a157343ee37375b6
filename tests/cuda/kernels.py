"""Every kernel there is, with the types it gets: what the tests compile."""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np

from vbref.cuda import chains, elementwise, importance, matrices, mixture, noise, products, steps
from vbref.cuda.activations import ACTIVATIONS
from vbref.cuda.device import TILES
from vbref.kl.beta import beta_kl, beta_kl_grad, dirichlet_slopes, stick_kl
from vbref.kl.discrete import bernoulli_kl, bernoulli_kl_grad, categorical_term, categorical_term_grad
from vbref.kl.gamma import gamma_kl, gamma_kl_grad
from vbref.kl.kumaraswamy import kumaraswamy_beta_kl, kumaraswamy_beta_kl_grad
from vbref.kl.normal import normal_kl, normal_kl_grad, standard_normal_kl, standard_normal_kl_grad
from vbref.kl.wishart import row_kl, row_slopes

Kernel = tuple[str, Any, tuple[Any, ...]]
LONG, COUNTER, DOUBLE = numba.int64, numba.uint64, numba.float64[::1]
_FORMULAS = {
    (2, 1): (bernoulli_kl, categorical_term, standard_normal_kl),
    (2, 2): (bernoulli_kl_grad, categorical_term_grad, standard_normal_kl_grad),
    (4, 1): (normal_kl, beta_kl, gamma_kl, kumaraswamy_beta_kl, row_kl),
    (4, 2): (normal_kl_grad, beta_kl_grad, gamma_kl_grad, kumaraswamy_beta_kl_grad),
    (5, 1): (stick_kl,),
    (5, 2): (dirichlet_slopes, row_slopes),
}


class Types:
    """Arrays of one number by their dimensions."""

    def __init__(self, number: Any) -> None:
        scalar = numba.from_dtype(np.dtype(number))
        self.scalar, self.one, self.two, self.three = scalar, scalar[::1], scalar[:, ::1], scalar[:, :, ::1]


def every(number: Any) -> Iterator[Kernel]:
    """(name, kernel, signature) of all kernels that work in `number`."""
    t = Types(number)
    for rooms in (_kl, _matrices, _noise, _products, _steps, _importance, _mixture, _chains):
        yield from rooms(number, t)


def _kl(number: Any, t: Types) -> Iterator[Kernel]:
    for (arguments, dimensions), formulas in _FORMULAS.items():
        signature = (t.one,) * arguments + ((t.one, t.two)[dimensions - 1],)
        for formula in formulas:
            yield formula.__name__, elementwise.compiled(formula, arguments, dimensions), signature


def _matrices(number: Any, t: Types) -> Iterator[Kernel]:
    six = (t.two, t.three, t.three) * 2
    for d in (1, 7, matrices.LARGEST):
        yield f"matrices.value {d}", matrices.compiled(matrices.value_kernel, d, number), (*six, t.one)
        outs = (t.two, t.three) * 2
        yield f"matrices.grad {d}", matrices.compiled(matrices.grad_kernel, d, number), (*six, *outs)


def _noise(number: Any, t: Types) -> Iterator[Kernel]:
    for draw in (noise.NORMAL[number], noise.UNIFORM[number]):
        yield draw.__name__, noise.filler(draw), (COUNTER, LONG, t.one)
    yield "word", noise.filler(noise.word), (COUNTER, LONG, COUNTER[::1])


def _products(number: Any, t: Types) -> Iterator[Kernel]:
    yield "plain", products.plain, (t.two,) * 3
    yield "tiled", products.tiled(16, number), (t.two,) * 3
    for tile in TILES:
        for turned, names in (
            *(((False, False), (name, "identity")) for name in ACTIVATIONS),
            *(((False, True), ("identity", name)) for name in ACTIVATIONS),
            ((True, False), ("identity", "identity")),
        ):
            name = f"blocked {tile.side} {turned} {names}"
            yield name, products.compiled(tile, number, turned, *names), (t.two, t.two, t.one, t.two, t.two)


def _steps(number: Any, t: Types) -> Iterator[Kernel]:
    clock = LONG[::1]
    for binarise in (False, True):
        yield "gather", steps.gather(number, binarise), (t.two, clock, clock, COUNTER, t.two)
    yield "sample", steps.sample(number), (t.two, clock, COUNTER, t.two)
    for weighted in (False, True):
        rows = (t.two, t.two, t.two, t.two, clock, COUNTER, t.one)
        yield "weights", steps.weights(number, 128, weighted), rows
        back = (t.two, t.one, t.two, t.two, clock, COUNTER, t.two)
        yield "posterior", steps.posterior(number, weighted, 32, 8), back
    for bound in (steps.iwae_bound, steps.elbo_bound):
        yield bound.__name__, bound(number, 128), (t.one, t.two, t.one)
    yield "cotangent", steps.cotangent, (t.two, t.two, t.one)
    # Totals and Adam's corrections are float64 whatever the number.
    yield "close float64", steps.close(128), (t.one, LONG, LONG, DOUBLE, clock, DOUBLE, t.one)
    yield "adam", steps.adam(number), (t.one,) * 4 + (t.scalar, t.one, t.one)


def _importance(number: Any, t: Types) -> Iterator[Kernel]:
    longs = LONG[::1]
    signature = (t.two, t.two, t.one, longs, longs, COUNTER, LONG, LONG, LONG, t.three)
    for width in (50, 200, 248):
        samples, threads = importance.shape(number, width)
        for activation in ACTIVATIONS:
            run = importance.compiled(number, activation, width, samples, threads)
            yield f"importance {width} {activation}", run, signature


def _mixture(number: Any, t: Types) -> Iterator[Kernel]:
    f64 = Types(np.float64)
    for k, d, dense in ((6, 2, True), (16, 16, True), (16, 16, False)):
        run = mixture.compiled(k, d, dense, mixture.rows_a_block(k, d))
        inputs = (t.two, f64.one, f64.two, f64.two, f64.two, f64.one)
        yield f"mixture float64 {k} {d} {dense}", run, (*inputs, f64.two, f64.three, f64.three, f64.one)
    yield "over_blocks float64", mixture.over_blocks, (f64.two, f64.one)


def _chains(number: Any, t: Types) -> Iterator[Kernel]:
    yield "kick", chains.kick(number), (t.two, t.two, t.two, t.one, t.scalar, t.scalar)
    yield "drift", chains.drift, (t.two, t.two, t.one)
    yield "jitter", chains.jitter(number), (t.one, COUNTER, LONG, t.one)
    yield "energy", chains.energy(number), (t.two, t.two, t.one, t.scalar, t.one)
    rows = (t.one, t.one, t.two, t.two, t.two, t.two, t.one, t.one, COUNTER, LONG)
    yield "metropolis", chains.metropolis(number), rows
    yield "langevin", chains.langevin(number), (t.two, t.two, t.scalar, t.scalar, COUNTER, LONG)
