"""Burda, Grosse and Salakhutdinov (2016): one stochastic layer, 784-200-200-50 tanh, binarised MNIST.

    python -m benchmarks.burda --train IMAGES --test IMAGES [--epochs 3280] [--objective iwae] [--k 50]

Every epoch draws binary images anew. Batches of 20; stage i = 0 … 7 has 3^i epochs at learning rate
1e-3 · 10^(−i/7), Adam with ε = 1e-4: 3280 epochs in all. `--epochs` shortens each stage in proportion, and
the output says so. Test rows are binarised once. The paper's rows are −log p(x) by IWAE-5000, in nats.
"""

import argparse
import json
import sys
import time

import numpy as np

import vbref
from benchmarks.cuda import gpu
from benchmarks.machine import machine
from vbref.data import load
from vbref.data.prepare import Prepare
from vbref.models import VAE
from vbref.nn.optim import Adam

PAPER = {("elbo", 1): 86.76, ("elbo", 5): 86.47, ("elbo", 50): 86.35,
         ("iwae", 1): 86.76, ("iwae", 5): 85.54, ("iwae", 50): 84.78}  # fmt: skip
STAGES, WHOLE = 8, 3280


def main() -> int:
    """Train, evaluate, print one line, and write it."""
    options = _parser().parse_args()
    if options.device == "cuda":
        from vbref.cuda import device

        try:
            device.require()
        except device.Unavailable as missing:
            print(f"benchmarks.burda: {missing}", file=sys.stderr)
            return 2
    row = run(options)
    print(json.dumps(row, indent=1))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(row, file, indent=1)
    return 0


def run(options: argparse.Namespace) -> dict:
    """The result as a record, with what of the paper's schedule was run."""
    train, test = (load(path).x.reshape(-1, 784) for path in (options.train, options.test))
    model = VAE(784, 50, (200, 200), objective=options.objective, dtype="float32")
    rng = np.random.default_rng(options.seed)
    stages = schedule(options.epochs)
    rates = [rate for epochs, rate in stages for _ in range(epochs)]
    begun = time.perf_counter()
    params, history = vbref.fit(
        model, train, epochs=len(rates), batch_size=20, rng=rng, k=options.k,
        optimizer=Adam(1.0, epsilon=1e-4), schedule=lambda epoch: rates[epoch],
        prepare=Prepare(255.0, "dynamic", "float32"),
        device=options.device, on_epoch=lambda epoch, row: print(epoch, row, file=sys.stderr, flush=True),
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    held_out = Prepare(255.0, "dynamic", "float32")(test, np.random.default_rng(0))
    estimate = vbref.evaluate.iwae(model, params, held_out, rng, options.samples, device=options.device)
    return {
        "objective": options.objective,
        "k": options.k,
        "epochs": len(rates),
        "schedule": f"{len(rates)} of the paper's {WHOLE} epochs, the same eight rates",
        "test_nll": -estimate.mean,
        "standard_error": estimate.standard_error,
        "samples": options.samples,
        "paper_nll": PAPER.get((options.objective, options.k)),
        "train_bound": float(history["train"][-1]),
        "train_seconds": seconds,
        "machine": machine() | ({"gpu": gpu()} if options.device == "cuda" else {}),
    }


def schedule(epochs: int) -> list[tuple[int, float]]:
    """(epochs, learning rate) of each stage: 3^i, shrunk to some `epochs` in all, at least one each."""
    rates = [1e-3 * 10 ** (-i / (STAGES - 1)) for i in range(STAGES)]
    counts = [max(1, round(3**i * epochs / WHOLE)) for i in range(STAGES)]
    return list(zip(counts, rates, strict=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.burda")
    parser.add_argument("--train", required=True, help="images, uint8, idx(.gz) or npz")
    parser.add_argument("--test", required=True, help="images, uint8, idx(.gz) or npz")
    parser.add_argument("--objective", choices=("elbo", "iwae"), default="iwae")
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=WHOLE, help=f"in all (default {WHOLE}, the paper's)")
    parser.add_argument("--samples", type=int, default=5000, help="of the evaluation (default 5000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--json", metavar="FILE", help="also write the record here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
