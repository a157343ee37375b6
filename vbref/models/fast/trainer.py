"""`Trainer`: a VAE's parameters and Adam's moments in flat arrays, and compiled steps on them."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from vbref.models import door
from vbref.models.fast import layout, rows, step
from vbref.models.likelihood import Bernoulli, Gaussian
from vbref.nn.optim import Adam
from vbref.numerics import blas, check

Array = NDArray[Any]
_SHARED = 5_000_000  # products of one forward pass: about a tenth of a millisecond
_ACTIVATIONS = {"tanh": rows.TANH, "relu": rows.RELU}


def applies(model: Any) -> bool:
    """Whether the compiled step computes this model's objective and gradient.

    It does for a VAE with an amortised diagonal posterior, a standard prior, a Bernoulli likelihood or a
    Gaussian one with fixed σ, tanh or ReLU, the ELBO with its KL in closed form or IWAE's pathwise gradient.
    """
    options = getattr(model, "config", None) or {}
    likelihood = getattr(model, "likelihood", None)
    return (
        type(model).__name__ == "VAE"
        and (options["posterior"], options["inference"]) == ("diagonal", "amortised")
        and options["prior"] == "standard"
        and options["activation"] in _ACTIVATIONS
        and options["gradient"] == "pathwise"
        and (options["objective"] == "iwae" or options["kl"] == "analytic")
        and (isinstance(likelihood, Bernoulli) or getattr(likelihood, "scale", None) == "fixed")
    )


class Trainer:
    """Steps of Adam up a VAE's objective, whole runs of them inside one compiled call.

        trainer = Trainer(model, params, batch_size=100)
        values = trainer.steps(x, order, noise)      # an epoch: the objective of each minibatch
        trainer.params                               # views into the flat array, by name

    The numbers are those of `VAE.objective_and_grad` and `nn.Adam` to rounding. `threads` share each batch
    (by default all of Numba's, or one where a step is too short to share); at a given number of them the same
    call gives the same bits. Raises ValueError where `applies(model)` does not hold, for sizes below 1, and
    for params and a state that are not the model's.
    """

    def __init__(
        self,
        model: Any,
        params: Mapping[str, Array],
        *,
        batch_size: int,
        k: int = 1,
        optimizer: Adam | None = None,
        state: Mapping[str, Array] | None = None,
        threads: int | None = None,
    ) -> None:
        if not applies(model):
            raise ValueError("model must be one that vbref.models.fast.applies to")
        threads = _threads(model, batch_size, k) if threads is None else threads
        door.size(batch_size=batch_size, k=k, threads=threads)
        self.model, self.batch_size, self.k = model, batch_size, k
        self.optimizer = Adam() if optimizer is None else optimizer
        self._lay_out(min(threads, batch_size))
        self.params = self._named(self._memory.params)
        self.state = {"step": np.zeros((), np.int64)}
        for moment, flat in (("m", self._memory.m), ("v", self._memory.v)):
            self.state |= {f"{moment}.{name}": view for name, view in self._named(flat).items()}
        self.reset(params, state)

    def reset(self, params: Mapping[str, Array], state: Mapping[str, Array] | None = None) -> None:
        """Copy parameters in, and Adam's state, which starts anew where none is given."""
        layout.copy_into(self.params, params)
        anew = {name: np.zeros_like(array) for name, array in self.state.items()}
        layout.copy_into(self.state, anew if state is None else state)

    def _lay_out(self, threads: int) -> None:
        model, decoder_rows = self.model, self.batch_size * self.k
        weights, room = layout.Stack(), layout.Stack()
        encoder = layout.network(
            model.inference.encoder.widths, self.batch_size, weights, room, in_place=False, input_grad=False
        )
        decoder = layout.network(
            model.decoder.widths, decoder_rows, weights, room, in_place=True, input_grad=True
        )
        self._problem = problem(model, encoder, decoder, self.k)

        def zeros(size: int) -> Array:
            return layout.aligned(size, model.dtype)

        self._memory = step.Memory(
            params=zeros(weights.size),
            grads=zeros(weights.size),
            m=zeros(weights.size),
            v=zeros(weights.size),
            room=zeros(room.size),
            scale=zeros(self.batch_size * model.latent_dim).reshape(self.batch_size, -1),
            c=np.zeros(decoder_rows, model.dtype),
            log_w=np.zeros(decoder_rows),
            lanes=np.zeros((threads, 2, rows.LANES), model.dtype),
        )

    def _named(self, flat: Array) -> dict[str, Array]:
        encoder = layout.views(flat, "encoder", self._problem.encoder)
        return encoder | layout.views(flat, "decoder", self._problem.decoder)

    def steps(
        self, x: Array, order: NDArray[np.int64], noise: Array, *, scale: float = 1.0, schedule: float = 1.0
    ) -> NDArray[np.float64]:
        """One step for each minibatch of rows `order` of x; the objective, summed over rows, of each.

        `noise` has the minibatches' noise one after another, each (k, n, latent_dim), in any shape of the
        right size. Adam is given `scale` times the gradient of the sum divided by the minibatch's size;
        `schedule` multiplies its steps. An objective that is not finite ends the run: what follows is NaN.

        Raises ValueError for rows that x does not have, and for noise of another size or dtype.
        """
        self._check(x, order, noise)
        values = np.full(-(-len(order) // self.batch_size), np.nan)
        adam, flat = self.optimizer, noise.reshape(-1)
        rule = (adam.learning_rate * schedule, adam.beta1, adam.beta2, adam.epsilon)
        run = step.steps if len(self._memory.lanes) == 1 else self._shared_steps
        with blas.single_threaded():
            run(self._problem, self._memory, x, order, flat, self.batch_size, float(scale),
                int(self.state["step"]), *rule, values)  # fmt: skip
        self.state["step"] += np.isfinite(values).sum()  # a step that broke is none
        return values

    def _check(self, x: Array, order: NDArray[np.int64], noise: Array) -> None:
        """Raise ValueError for what the kernels, which are handed addresses, must not meet."""
        door.batch(x, self.model.data_dim)
        door.dtypes(self.model.dtype, x=x, noise=noise)
        check.shape("order", order, (None,))
        if order.dtype.kind not in "iu" or len(order) == 0 or order.min() < 0 or order.max() >= len(x):
            raise ValueError(f"order must name at least one row, and rows of x alone, from 0 to {len(x) - 1}")
        expected = len(order) * self.k * self.model.latent_dim
        if noise.size != expected:
            raise ValueError(f"noise must have {expected} elements for {len(order)} rows, has {noise.size}")

    def _shared_steps(
        self, problem: Any, memory: Any, x: Array, order: Array, noise: Array, batch: int, scale: float,
        done: int, learning_rate: float, beta1: float, beta2: float, epsilon: float, values: Array,
    ) -> None:  # fmt: skip
        """`step.steps` where threads share each step, which then is long: a call a step costs little."""
        width = len(noise) // len(order)
        settings = np.empty(step.SETTINGS, memory.params.dtype)
        for b in range(len(values)):
            rows = order[b * batch : (b + 1) * batch]
            step.adam_settings(
                done + b + 1, scale / len(rows), learning_rate, beta1, beta2, epsilon, settings
            )
            own = noise[b * batch * width : (b * batch + len(rows)) * width]
            values[b] = step.shared(problem, memory, x, rows, own, True, settings)
            if not math.isfinite(values[b]):
                break

    def finite(self) -> bool:
        """Whether all parameters are."""
        return bool(np.isfinite(self._memory.params).all())

    def objective_and_grad(self, x: Array, noise: Array) -> tuple[float, dict[str, Array]]:
        """The model's `objective_and_grad` at the present parameters, for at most `batch_size` rows."""
        if len(x) > self.batch_size:
            raise ValueError(f"x must have at most batch_size = {self.batch_size} rows, has {len(x)}")
        self._check(x, np.arange(len(x)), noise)
        with blas.single_threaded():
            run = step.alone if len(self._memory.lanes) == 1 else step.shared
            settings = np.zeros(step.SETTINGS, self._memory.params.dtype)
            order = np.arange(len(x))
            value = run(self._problem, self._memory, x, order, noise.reshape(-1), False, settings)
        return value, {name: view.copy() for name, view in self._named(self._memory.grads).items()}


def _threads(model: Any, batch_size: int, k: int) -> int:
    """All of Numba's threads, or one where they would wait for each other longer than they work."""
    pairs = [pairwise(model.inference.encoder.widths), pairwise(model.decoder.widths)]
    encoder, decoder = (sum(a * b for a, b in widths) for widths in pairs)
    return numba.get_num_threads() if batch_size * (encoder + k * decoder) > _SHARED else 1


def problem(model: Any, encoder: layout.Network, decoder: layout.Network, k: int) -> step.Problem:
    """The compiled step's view of a model."""
    gaussian = isinstance(model.likelihood, Gaussian)
    return step.Problem(
        encoder=encoder.layers,
        decoder=decoder.layers,
        activation=_ACTIVATIONS[model.decoder.activation],
        samples=k,
        likelihood=step.GAUSSIAN if gaussian else step.BERNOULLI,
        precision=model.likelihood.sigma**-2 if gaussian else math.nan,
        iwae=model.bound == "iwae",
    )
