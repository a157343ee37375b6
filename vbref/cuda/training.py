"""A VAE's training step on the device: data, parameters, noise and Adam's state never leave it.

The objective and its gradient are those of `vbref.models.vae`: split one, or the IWAE, pathwise. A step's
noise (K, N, D) is the next K N D draws of the stream `seed`, in C order.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device, steps
from vbref.cuda.graph import Graph
from vbref.cuda.network import Flat, Network
from vbref.data.prepare import Prepare
from vbref.models import door
from vbref.models.vae import VAE
from vbref.nn.optim import Adam
from vbref.numerics import check

_SUPPORTED = {
    "likelihood": "bernoulli",
    "prior": "standard",
    "posterior": "diagonal",
    "inference": "amortised",
    "gradient": "pathwise",
}


def supported(model: Any) -> None:
    """Raise ValueError, naming the option, unless the device has this model."""
    if type(model) is not VAE:
        raise ValueError(f"device='cuda' has the model VAE, was given {type(model).__name__}")
    for name, word in _SUPPORTED.items():
        if model.config[name] != word:
            raise ValueError(f"device='cuda' has {name}={word!r} alone, was {model.config[name]!r}")
    if model.bound == "elbo" and not model.analytic_kl:
        raise ValueError("device='cuda' has kl='analytic' alone for objective='elbo', was 'sampled'")


def checked(model: VAE, params: Mapping[str, Any]) -> dict[str, Any]:
    """The model's parameters, where they are all there, finite and of its dtype; ValueError elsewhere."""
    given, _ = door.together(params, model.shapes())
    door.dtypes(model.dtype, **given)
    return given


def checked_rows(model: VAE, x: Any) -> Any:
    """Rows that the model can have made, finite and of its dtype; ValueError elsewhere."""
    (x,) = check.floats(x=x)
    door.batch(x, model.data_dim)
    model.likelihood.check(x)
    door.dtypes(model.dtype, x=x)
    return x


class Trainer:
    """Data, parameters and Adam's state on the device, and the steps that change them."""

    def __init__(
        self,
        model: VAE,
        params: Mapping[str, Any],
        x: Any,
        *,
        k: int,
        seed: int,
        optimizer: Adam | None = None,
        binarise: bool = False,
        stream: Any = 0,
    ) -> None:
        device.require()
        supported(model)
        self.model, self.k, self.seed, self.stream = model, k, np.uint64(seed), stream
        self.number: Any = np.dtype(model.dtype).type
        self.binarise = binarise
        self.data = device.put(x)
        self.order = device.put(np.arange(len(x)))
        given = checked(model, params)
        self.params = Flat({name: given[name] for name in model.shapes()}, self.number)
        zeros = {name: np.zeros(shape) for name, shape in model.shapes().items()}
        self.grads, self.m, self.v = (Flat(zeros, self.number) for _ in range(3))
        self.adam = Adam() if optimizer is None else optimizer
        self.betas = device.put(np.array([self.adam.beta1, self.adam.beta2]))
        self.rates = device.put(np.zeros(5, self.number))
        self.corrections = device.put(np.ones(2, self.number))
        self.clock = device.put(np.zeros(4, np.int64))
        self.totals = device.put(np.zeros(1))
        self._steps: dict[int, Step] = {}
        self._graphs: dict[int, Graph] = {}

    def start_epoch(self, order: Any, factor: float, schedule: float = 1.0) -> None:
        """Rows in this order; `factor` multiplies a batch's mean gradient, `schedule` Adam's change."""
        self.order.copy_to_device(np.asarray(order, np.int64))
        a = self.adam
        rates = [a.learning_rate * schedule, factor, a.beta1, a.beta2, a.epsilon]
        self.rates.copy_to_device(np.array(rates, self.number))
        self.clock[1:2].copy_to_device(np.zeros(1, np.int64))
        self.totals.copy_to_device(np.zeros(1))

    def at(self, rows: int) -> "Step":
        """The step for batches of so many rows, with its buffers."""
        if rows not in self._steps:
            self._steps[rows] = Step(self, rows)
        return self._steps[rows]

    def step(self, rows: int, *, graph: bool = False) -> None:
        """One step on the next rows of the order; `graph` replays it as a CUDA graph from the second on."""
        if graph and rows in self._steps:
            if rows not in self._graphs:
                self._graphs[rows] = Graph(self.at(rows).run, self.stream)
            self._graphs[rows].launch()
        else:
            self.at(rows).run()

    def total(self) -> float:
        """The objective summed over the rows since the epoch started; waits for the device."""
        if self.stream:
            self.stream.synchronize()
        return float(self.totals.copy_to_host()[0])


class Step:
    """The kernels of one step for batches of `rows` rows, in order."""

    def __init__(self, trainer: Trainer, rows: int) -> None:
        t, model = trainer, trainer.model
        self.t, self.rows, self.samples = t, rows, rows * t.k
        d, number = model.latent_dim, t.number
        self.x = device.empty((rows, model.data_dim), number)
        self.z = device.empty((self.samples, d), number)
        self.c = device.empty(self.samples, number)
        self.values = device.empty(rows, number)
        self.d_h = device.empty((rows, 2 * d), number)
        self.encoder = Network(model.inference.encoder, rows, t.params, t.grads, t.stream)  # type: ignore[union-attr]
        self.decoder = Network(model.decoder, self.samples, t.params, t.grads, t.stream)

    def run(self) -> None:
        """Forward, backward, Adam."""
        self.gather()
        self.gradient()
        self.update()

    def gather(self) -> None:
        """The batch's rows."""
        t = self.t
        self._each(
            steps.gather,
            (t.number, t.binarise),
            self.x.size,
            t.data,
            t.order,
            t.clock,
            self._data_seed,
            self.x,
        )

    def gradient(self) -> None:
        """The bound of each row, and the gradient of their sum by the parameters."""
        t, weighted = self.t, self.t.model.bound == "iwae"
        h = self.encoder.forward(self.x)
        self._each(steps.sample, (t.number,), self.z.size, h, t.clock, t.seed, self.z)
        logits = self.decoder.forward(self.z)
        size = steps.reducers()
        log_weights = steps.compiled(steps.weights, t.number, size, weighted)
        log_weights[self.samples, size, t.stream](logits, self.x, h, self.z, t.clock, t.seed, self.c)
        bound = steps.compiled(steps.iwae_bound if weighted else steps.elbo_bound, t.number, size)
        bound[self.rows, size, t.stream](self.c, h, self.values)
        steps.compiled(steps.cotangent)[self.samples, size, t.stream](logits, self.x, self.c)
        d_z = self.decoder.backward(logits, input_grad=True)
        block = steps.strip()
        posterior = steps.compiled(steps.posterior, t.number, weighted, *block)
        blocks = device.blocks(self.rows * t.model.latent_dim, block[0])
        posterior[blocks, block, t.stream](d_z, self.c, self.z, h, t.clock, t.seed, self.d_h)
        self.encoder.backward(self.d_h, input_grad=False)

    def update(self) -> None:
        """Count the step, and take it along the gradient."""
        t, size = self.t, steps.reducers()
        steps.compiled(steps.close, size)[1, size, t.stream](
            self.values, self.z.size, self.x.size, t.totals, t.clock, t.betas, t.corrections
        )
        flat = (t.params.flat, t.grads.flat, t.m.flat, t.v.flat)
        self._each(
            steps.adam,
            (t.number,),
            t.params.flat.size,
            *flat,
            t.number(1 / self.rows),
            t.rates,
            t.corrections,
        )

    @property
    def _data_seed(self) -> Any:
        """Binarisation has a stream of its own."""
        return np.uint64(~int(self.t.seed) & (2**64 - 1))

    def _each(self, make: Any, options: tuple[Any, ...], n: int, *arguments: Any) -> None:
        """Launch one thread for each of n."""
        steps.compiled(make, *options)[device.blocks(n), device.threads(), self.t.stream](*arguments)


def objective_and_grad(
    model: VAE, params: Mapping[str, Any], x: Any, seed: int, k: int
) -> tuple[float, dict[str, Any]]:
    """`model.objective_and_grad` on the device, at noise `numerics.normals(seed, 0, (k, N, D))`."""
    trainer = Trainer(model, params, checked_rows(model, x), k=k, seed=seed)
    step = trainer.at(len(x))
    step.gather()
    step.gradient()
    return float(step.values.copy_to_host().sum(dtype=np.float64)), trainer.grads.host()


def fit(
    model: Any,
    x: Any,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    optimizer: Any,
    schedule: Callable[[int], float] | None,
    k: int,
    scale: str,
    prepare: Any,
    params: Mapping[str, Any] | None,
    reports: Sequence[Callable[[int, dict[str, float]], None]],
    graph: bool = not device.SIMULATED,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`vbref.fit` on the device: its start, orders of rows drawn from `rng`, noise from a seed it gives.

    With `graph` a step is replayed as a CUDA graph: its 25 launches one by one take longer than it does.
    """
    device.require()
    supported(model)
    if type(optimizer) is not Adam:
        raise ValueError(f"device='cuda' has the optimizer Adam alone, was {optimizer!r}")
    data, binarise = prepared(model, x, prepare)
    start = model.init(rng) if params is None else params
    options: dict[str, Any] = {
        "k": k,
        "seed": int(rng.integers(2**63)),
        "optimizer": optimizer,
        "binarise": binarise,
    }
    trainer = Trainer(model, start, data, stream=cuda.stream() if graph else 0, **options)
    history: dict[str, list[float]] = {"train": [], "seconds": []}
    for epoch in range(epochs):
        begun = time.perf_counter()
        rate = 1.0 if schedule is None else schedule(epoch)
        trainer.start_epoch(rng.permutation(len(data)), 1.0 if scale == "mean" else float(len(data)), rate)
        for first in range(0, len(data), batch_size):
            trainer.step(min(batch_size, len(data) - first), graph=graph)
        row = {"train": trainer.total() / len(data), "seconds": time.perf_counter() - begun}
        if not np.isfinite(row["train"]):
            raise FloatingPointError(f"the objective was {row['train']} in epoch {epoch + 1}")
        for name, value in row.items():
            history[name].append(value)
        for report in reports:
            report(epoch + 1, row)
    return trainer.params.host(), {name: np.array(values) for name, values in history.items()}


def prepared(model: VAE, x: Any, prepare: Any) -> tuple[Any, bool]:
    """The rows as the device keeps them, in [0, 1], and whether each step makes them binary by chance."""
    if prepare is not None and type(prepare) is not Prepare:
        raise ValueError(f"device='cuda' has prepare=data.prepare.Prepare(...) alone, was {prepare!r}")
    rows = x[np.arange(len(x))]
    dynamic = prepare is not None and prepare.binarise == "dynamic"
    if prepare is not None:
        plain = Prepare(prepare.maximum, "none" if dynamic else prepare.binarise, model.dtype)
        rows = plain(rows, np.random.default_rng(0))
    return checked_rows(model, rows), dynamic
