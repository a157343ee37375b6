"""Grids of GPU threads over the same scalar functions as the CPU's loops.

`device="cuda"` is a keyword of all KLs of `vbref.kl` and their gradients but kumaraswamy_beta_series, of
`vbref.fit` and `vbref.evaluate`'s iwae, annealed and sandwich for a VAE with Bernoulli likelihood, and of
`GaussianMixture.fit`. Nothing here is imported until it is asked for.
In reading order:

1. `device`: what a GPU needs before a kernel can run, and how many threads it gets.
2. `elementwise`: one thread an element, for every KL that has a scalar formula.
3. `matrices`: one warp a matrix, the columns over its lanes.
4. `noise`: random numbers from (seed, index), those of the CPU.
5. `products`: the product of two matrices: plain, then tiled, then in registers with the layer fused.
6. `steps`: the small kernels between products: sampling, likelihood, weights, Adam.
7. `network`, `training`: a training step that never leaves the device, and `vbref.fit` on it.
8. `importance`: decoder, likelihood and log Σ w in one kernel, in memory that does not grow with K.
9. `mixture`: responsibilities and sufficient statistics in one pass.
10. `chains`: Langevin and annealed importance sampling, all chains a step at a time.

Without a GPU, `pytest tests/cuda` runs every kernel in Numba's simulator against the CPU. Where there is a
toolkit it also compiles it, runs its PTX in an emulator (`tests/cuda/emulator`) that finds races, bad
addresses and what is read before it was written, and assembles it (with VBREF_ALL_KERNELS=1, for all types
and architectures). With a GPU, `pytest -n 0 -m gpu tests/cuda`, `python -m benchmarks.cuda`, or both and
more: `sh benchmarks/gpu_run.sh`.
"""
