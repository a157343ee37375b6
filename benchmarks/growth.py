"""`python -m benchmarks.growth [--out FILE.png]`: how a step's time grows with batch, width, K and threads.

Each point is the least of several timed runs; the memory of IWAE-K is the peak of what NumPy allocates.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence

import numba
import numpy as np

from vbref.models import VAE
from vbref.models.fast import Trainer, Weights

DATA, LATENT = 256, 16
BATCHES, WIDTHS, SAMPLES = (25, 50, 100, 200, 400), (64, 128, 256, 512, 1024), (1, 4, 16, 64, 256)
EVALUATED = (128, 1024, 8192, 65_536)


def step_seconds(batch: int = 100, width: int = 256, k: int = 1, threads: int = 1, runs: int = 7) -> float:
    """Seconds of one training step, 256-`width`-16, float32."""
    model = VAE(DATA, LATENT, (width,), objective="iwae" if k > 1 else "elbo", dtype="float32")
    rng = np.random.default_rng(0)
    x = (rng.random((4 * batch, DATA)) < 0.3).astype(np.float32)
    noise = np.concatenate([model.draw_noise(rng, batch, k).ravel() for _ in range(4)])
    trainer = Trainer(model, model.init(rng), batch_size=batch, k=k, threads=threads)
    order = np.arange(len(x))
    # What other processes take of a shared machine does not count against one thread.
    clock = time.thread_time if threads == 1 else time.perf_counter
    return least(lambda: trainer.steps(x, order, noise), runs, clock) / 4


def least(run: Callable[[], object], runs: int, clock: Callable[[], float]) -> float:
    """The shortest of `runs` runs, after one that is not counted."""
    run()
    seconds = []
    for _ in range(runs):
        start = clock()
        run()
        seconds.append(clock() - start)
    return min(seconds)


def peak_bytes(k: int) -> int:
    """The peak of what IWAE-K of one row allocates."""
    model = VAE(DATA, LATENT, (64,), objective="iwae", dtype="float32")
    rng = np.random.default_rng(0)
    x = (rng.random((1, DATA)) < 0.3).astype(np.float32)
    weights = Weights(model, model.init(rng), threads=1)
    weights.iwae(x, 2)
    tracemalloc.start()
    weights.iwae(x, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def panels(threads: Sequence[int]) -> list[tuple[str, str, Sequence[int], list[float], bool]]:
    """(what grows, what is measured, where, values, whether proportional growth is the expectation)."""
    milli = "milliseconds a step"
    return [
        ("batch", milli, BATCHES, [1e3 * step_seconds(batch=b) for b in BATCHES], True),
        ("width of the hidden layer", milli, WIDTHS, [1e3 * step_seconds(width=w) for w in WIDTHS], True),
        ("K (IWAE, batch 20)", milli, SAMPLES, [1e3 * step_seconds(20, k=k) for k in SAMPLES], True),
        (
            "threads (batch 400, width 1024)",
            milli,
            threads,
            [1e3 * step_seconds(400, 1024, threads=t, runs=3) for t in threads],
            False,
        ),
        ("K (evaluation)", "KiB allocated", EVALUATED, [peak_bytes(k) / 1024 for k in EVALUATED], False),
    ]


def draw(measured: list, out: str) -> None:
    """A panel for each, on logarithmic axes; the dashed line is proportional growth from the last point."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(measured), figsize=(3.4 * len(measured), 3.2), layout="constrained")
    for axis, (name, unit, at, values, proportional) in zip(axes, measured, strict=True):
        axis.loglog(at, values, "o-", color="#1f4e79")
        if proportional:
            axis.loglog(at, [values[-1] * a / at[-1] for a in at], "--", color="0.6", label="proportional")
            axis.legend(frameon=False)
        axis.set(xlabel=name, ylabel=unit, ylim=(min(values) / 2, max(values) * 2))
        axis.set_xticks(at, [str(a) for a in at])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=130)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="growth.png", metavar="FILE", help="where to draw (growth.png)")
    parser.add_argument("--threads", type=int, default=numba.get_num_threads(), help="at most this many")
    arguments = parser.parse_args()
    measured = panels(range(1, arguments.threads + 1))
    for name, unit, at, values, _ in measured:
        print(f"{name}, {unit}: " + ", ".join(f"{a}: {v:.3g}" for a, v in zip(at, values, strict=True)))
    draw(measured, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
