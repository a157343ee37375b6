"""What an energy prior is worth, in nats: log Z, log p(x) and P(z | x), on a grid or by weights."""

import math
from collections.abc import Mapping

import numpy as np

from vbref.models import door, latent_grid
from vbref.models.decoded import Encoded
from vbref.models.door import Array, Params
from vbref.models.energy import EnergyPrior
from vbref.models.samplers import Generator, Langevin
from vbref.numerics import check

_TILE = 4096


class EnergyEvidence(Encoded):
    """The part of `EnergyPriorVAE` that trains nothing."""

    prior: EnergyPrior
    sampler: Generator | Langevin

    @property
    def noise_dim(self) -> int:
        """Standard normals of one sample: the posterior's, then the sampler's."""
        return self.latent_dim + self.sampler.noise_dim

    @door.overflow_named()
    def log_normaliser(self, params: Mapping[str, Array], *, draws: int = 1 << 15, seed: int = 0) -> float:
        """log Z: exact on a grid for one or two latent dimensions; else an estimate from `draws` weights.

        The same numbers whenever it is asked. `log_normaliser_weights` tell how good the estimate is. Raises
        ValueError for draws below 1.
        """
        door.size(draws=draws)
        if self.latent_dim <= 2:
            return self.on_grid(params)[2]
        rng = np.random.default_rng(seed)
        tiles = [min(_TILE, draws - done) for done in range(0, draws, _TILE)]
        noise = (rng.standard_normal((n, self.noise_dim)).astype(self.dtype) for n in tiles)
        log_w = np.concatenate([self.log_normaliser_weights(params, each) for each in noise])
        return float(np.logaddexp.reduce(log_w.astype(np.float64)) - math.log(draws))

    @door.overflow_named()
    def log_normaliser_weights(self, params: Mapping[str, Array], noise: Array) -> Array:
        """log ω (…) for noise (…, noise_dim), E ω = Z: see `vbref.models.samplers`.

        With Langevin, whose ends have no density, its starts z ~ N(0, I): ω = e^(−V(z))/N(z; 0, I).
        """
        checked, (noise,) = door.together(params, self.shapes(), noise=noise)
        door.last_axis("noise", noise, self.noise_dim)
        own = noise[..., self.latent_dim :]
        if isinstance(self.sampler, Langevin):
            z = own[..., : self.latent_dim]
            log_start = -(z * z + z.dtype.type(math.log(2 * math.pi))).sum(axis=-1) / 2
            return self.prior.log_prob(checked, z)[0] - log_start
        z, _ = self.sampler.sample(checked, own)
        return self._log_normaliser_weights(checked, z, own, self.prior.log_prob(checked, z)[0])

    def _log_normaliser_weights(self, params: Params, z: Array, own: Array, log_p: Array) -> Array:
        """log e^(−V(z)) p(w | z) − log q(w) q(z | w) of the generator's draws z of the noise `own`."""
        assert isinstance(self.sampler, Generator)
        return log_p + self.sampler.log_inverse(params, z, own)[0] - self.sampler.log_draw(own)

    def on_grid(
        self, params: Mapping[str, Array], nodes: int | None = None
    ) -> tuple[latent_grid.Grid, Array, float]:
        """The grid, log P(z) on it (Q,), and log Z, in float64; for one or two latent dimensions."""
        exact, _ = door.together({n: np.asarray(p, np.float64) for n, p in params.items()}, self.shapes())
        grid, log_p = latent_grid.covering(lambda z: self.prior.log_prob(exact, z)[0], self.latent_dim, nodes)
        log_z = float(grid.log_integral(log_p))
        return grid, log_p - log_z, log_z

    def log_evidence(self, params: Mapping[str, Array], x: Array, *, nodes: int | None = None) -> Array:
        """log p(x) of each row (N,), in float64 and exact but for the grid: one or two latent dimensions."""
        return self._evidence(params, x, nodes)[0]

    def grid_posterior(self, params: Mapping[str, Array], x: Array, *, nodes: int | None = None) -> Array:
        """The densities P(z | x) (Q, N) on the points of `on_grid`."""
        log_evidence, log_joint = self._evidence(params, x, nodes)
        return np.exp(log_joint - log_evidence)

    def _evidence(self, params: Mapping[str, Array], x: Array, nodes: int | None) -> tuple[Array, Array]:
        """log p(x) (N,) and log p(x, z) (Q, N) on the grid."""
        exact = {name: np.asarray(array, np.float64) for name, array in params.items()}
        (x,) = check.floats(x=x)
        door.batch(x, self.data_dim)
        self.likelihood.check(x)
        grid, log_p, _ = self.on_grid(exact, nodes)
        out = self.decoder.apply(exact, grid.z)
        rows = [self.likelihood.log_prob(exact, out, row)[0] + log_p for row in np.asarray(x, np.float64)]
        log_joint = np.stack(rows, axis=1)
        return grid.log_integral(log_joint), log_joint
