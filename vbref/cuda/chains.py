"""Langevin and annealed importance sampling on the device: all chains of all data, kernel by kernel.

The target is a VAE's p(x, z) in z, with the prior N(0, I) at the other end of the path f_β ∝ N(z; 0, I)
p(x | z)^β: `vbref.evaluate.ais` derives what the weights bound. With ℓ = log p(x | z) and g = ∇ℓ,
∇ log f_β = β g − z. Chain r = c N + n is chain c of datum n. Decoder, likelihood and their way back are those
of the training step; noise comes from (seed, index), every draw used once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import cuda

from vbref.cuda import device, steps
from vbref.cuda.network import Flat, Network
from vbref.cuda.noise import NORMAL, UNIFORM, filler
from vbref.cuda.training import supported
from vbref.evaluate import ais
from vbref.models import door
from vbref.models.vae import VAE
from vbref.numerics.jit import scalar


@scalar
def slope(z, g, beta):
    """∂ log f_β/∂z of a coordinate."""
    return beta * g - z


@scalar
def acceptance(gain):
    """min(1, e^gain), and 0 where a trajectory has diverged."""
    one, none = type(gain)(1), type(gain)(0)
    return one if gain >= none else (steps.exponential(gain) if gain < none else none)


def kick(number: Any) -> Any:
    """p ← p + share ε_r ∇ log f_β."""

    def kicked(p, z, g, size, beta, share):
        i = cuda.grid(1)
        if i < p.shape[0] * p.shape[1]:
            r, j = i // p.shape[1], i % p.shape[1]
            p[r, j] += share * size[r] * slope(z[r, j], g[r, j], beta)

    return kicked


def drift(p, z, size):
    """z ← z + ε_r p."""
    i = cuda.grid(1)
    if i < z.shape[0] * z.shape[1]:
        r, j = i // z.shape[1], i % z.shape[1]
        z[r, j] += size[r] * p[r, j]


def jitter(number: Any) -> Any:
    """size_r = the size of datum n times a draw of [½, 1½]: a fixed length may be in resonance."""
    uniform, half = UNIFORM[number], number(0.5)

    def jittered(sizes, seed, start, size):
        r = cuda.grid(1)
        if r < size.shape[0]:
            size[r] = sizes[r % sizes.shape[0]] * (half + uniform(seed, start + r))

    return jittered


def energy(number: Any) -> Any:
    """out_r = log f_β(z) − ½|p|², but for a constant: minus the Hamiltonian."""
    half = number(0.5)

    def minus_hamiltonian(p, z, log_lik, beta, out):
        r = cuda.grid(1)
        if r < out.shape[0]:
            total = beta * log_lik[r]
            for j in range(z.shape[1]):
                total -= half * (z[r, j] * z[r, j] + p[r, j] * p[r, j])
            out[r] = total

    return minus_hamiltonian


def metropolis(number: Any) -> Any:
    """Keep a trajectory's end with probability min(1, e^(after − before)), left in `before`, or go back."""
    uniform = UNIFORM[number]

    def test(before, after, z, z_old, g, g_old, log_lik, log_lik_old, seed, start):
        r = cuda.grid(1)
        if r < before.shape[0]:
            accept = acceptance(after[r] - before[r])
            before[r] = accept
            if not uniform(seed, start + r) < accept:
                log_lik[r] = log_lik_old[r]
                for j in range(z.shape[1]):
                    z[r, j] = z_old[r, j]
                    g[r, j] = g_old[r, j]

    return test


def langevin(number: Any) -> Any:
    """z ← z + ½ s² ∇ log f_β + s ξ, without Metropolis's test."""
    normal, half = NORMAL[number], number(0.5)

    def moved(z, g, s, beta, seed, start):
        i = cuda.grid(1)
        if i < z.shape[0] * z.shape[1]:
            r, j = i // z.shape[1], i % z.shape[1]
            change = half * s * s * slope(z[r, j], g[r, j], beta)
            z[r, j] += change + s * normal(seed, start + i)

    return moved


class Chains:
    """`chains` of each row of x on the device, from draws of the prior; `leapfrog` steps a transition."""

    def __init__(
        self, model: VAE, params: Mapping[str, Any], x: Any, *, chains: int, leapfrog: int, seed: int
    ) -> None:
        device.require()
        supported(model)
        number: Any = np.dtype(model.dtype).type
        self.number = number
        self.leapfrog, self.seed, self.used = leapfrog, np.uint64(seed), 0
        self.rows, self.count = len(x), len(x) * chains
        door.dtypes(number, x=x)
        self.x = device.put(x)
        self.params = Flat({name: params[name] for name in model.decoder.shapes()}, number)
        self.decoder = Network(model.decoder, self.count, self.params, self.params)
        shape = (self.count, model.latent_dim)
        self.z, self.p, self.z_old, self.g_old, self.g = (device.empty(shape, number) for _ in range(5))
        self.log_lik, self.log_lik_old, self.before, self.after, self.size = (
            device.empty(self.count, number) for _ in range(5)
        )
        self.ones = device.put(np.ones(self.count, number))
        self.clock = device.put(np.zeros(4, np.int64))
        self.restart()

    def restart(self) -> None:
        """New draws of the prior."""
        self._normals(self.z)
        self.look()

    def begin(self, z: Any) -> None:
        """All chains of a row at its own z (N, D)."""
        self.z.copy_to_device(np.tile(np.asarray(z, self.number), (self.count // self.rows, 1)))
        self.look()

    def look(self) -> None:
        """ℓ and g at z."""
        logits, size = self.decoder.forward(self.z), steps.reducers()
        score = steps.compiled(steps.weights, self.number, size, False)
        # Without weights, h is not read: z stands in for it.
        score[self.count, size](logits, self.x, self.z, self.z, self.clock, self.seed, self.log_lik)
        steps.compiled(steps.cotangent)[self.count, size](logits, self.x, self.ones)
        self.g.copy_to_device(self.decoder.backward(logits, input_grad=True, weight_grad=False))

    def move(self, beta: float, sizes: Any) -> Any:
        """One transition at β of step sizes (N,); each chain's probability of acceptance (C, N)."""
        number, options = self.number, (self.number,)
        b, half, whole = number(beta), number(0.5), number(1)
        self._normals(self.p)
        self._each(
            jitter,
            options,
            self.count,
            device.put(np.asarray(sizes, number)),
            self.seed,
            self._draws(self.count),
            self.size,
        )
        pairs = ((self.z, self.z_old), (self.g, self.g_old), (self.log_lik, self.log_lik_old))
        for new, old in pairs:
            old.copy_to_device(new)
        self._each(energy, options, self.count, self.p, self.z, self.log_lik, b, self.before)
        for i in range(self.leapfrog + 1):
            share = whole if 0 < i < self.leapfrog else half
            self._each(kick, options, self.p.size, self.p, self.z, self.g, self.size, b, share)
            if i < self.leapfrog:
                self._each(drift, (), self.z.size, self.p, self.z, self.size)
                self.look()
        self._each(energy, options, self.count, self.p, self.z, self.log_lik, b, self.after)
        places = [array for pair in pairs for array in pair]
        start = self._draws(self.count)
        self._each(metropolis, options, self.count, self.before, self.after, *places, self.seed, start)
        return self.before.copy_to_host().reshape(-1, self.rows)

    def langevin(self, moves: int, size: float, beta: float = 1.0) -> Any:
        """z (C N, D) after so many unadjusted moves of step `size`."""
        for _ in range(moves):
            s, b, start = self.number(size), self.number(beta), self._draws(self.z.size)
            self._each(langevin, (self.number,), self.z.size, self.z, self.g, s, b, self.seed, start)
            self.look()
        return self.z.copy_to_host()

    def tune(self, betas: Any, size: float = 0.3, target: float = 0.8, rate: float = 0.5) -> ais.StepSizes:
        """Step sizes along β from a pilot, as `ais.tune` finds them."""
        current, sizes = np.full(self.rows, size), []
        for beta in betas:
            accepted = self.move(float(beta), current)
            current = current * np.exp(rate * (accepted.mean(axis=0) - target))
            sizes.append(current)
        return ais.StepSizes(betas, np.array(sizes))

    def anneal(self, betas: Any, sizes: ais.StepSizes) -> Any:
        """log w (C, N) = Σ (β_t − β_t−1) ℓ(z_t−1) along the path; exp of it has the mean p(x).

        Back along the path, from exact posterior draws, it is minus `ais.reverse`'s.
        """
        log_w = np.zeros((self.count // self.rows, self.rows))
        for t in range(1, len(betas)):
            log_lik = self.log_lik.copy_to_host().reshape(log_w.shape)
            log_w += (betas[t] - betas[t - 1]) * log_lik
            if t < len(betas) - 1:
                self.move(float(betas[t]), sizes(float(betas[t])))
        return log_w

    def _draws(self, n: int) -> Any:
        """The number of the first of n draws not used before, from a block of its own."""
        start, self.used = self.used, self.used + -(-n // 4) * 4
        return np.int64(start)

    def _normals(self, out: Any) -> None:
        flat = out.reshape(out.size)
        fill = filler(NORMAL[self.number])
        fill[device.blocks(out.size), device.threads()](self.seed, self._draws(out.size), flat)

    def _each(self, make: Any, options: tuple[Any, ...], n: int, *arguments: Any) -> None:
        """Launch one thread for each of n."""
        steps.compiled(make, *options)[device.blocks(n), device.threads()](*arguments)


class Tuned:
    """What `evaluate.annealed.Tuned` is, on the device, with noise from a seed that `rng` gives."""

    def __init__(
        self,
        model: VAE,
        params: Mapping[str, Any],
        x: Any,
        rng: np.random.Generator,
        *,
        chains: int,
        leapfrog: int,
    ) -> None:
        seed = int(rng.integers(2**63))
        self.run = Chains(model, params, x, chains=chains, leapfrog=leapfrog, seed=seed)
        self.sizes = self.run.tune(ais.schedule(100))

    def forward(self, k: int) -> Any:
        """log w (C, N) of k steps from N(0, I)."""
        self.run.restart()
        return _finite(self.run.anneal(ais.schedule(k), self.sizes))

    def reverse(self, k: int, z: Any) -> Any:
        """log w (C, N) of k steps back from z (N, D), exact posterior draws."""
        self.run.begin(z)
        return -_finite(self.run.anneal(ais.schedule(k)[::-1], self.sizes))


def _finite(log_w: Any) -> Any:
    if not np.isfinite(log_w).all():
        raise door.Overflow("params must stay within what their dtype can hold: a weight's log is not finite")
    return log_w
