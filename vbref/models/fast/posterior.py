"""The diagonal posterior of a block of images: draws of z, what log p(z)/q(z) holds, and the way back.

h (N, 2 latent) are the statistics (μ, log σ²), image after image; z and d_z have the rows of the decoder's
input, image i's k-th sample being row i K + k. The formulas are those of `models.posterior`; the loops run
over whole blocks, because the rows are short: a call or a view a row would cost more than its numbers.
"""

import numpy as np

from vbref.numerics.jit import elementwise_loop, vector_loop
from vbref.numerics.vectorised import exp


@elementwise_loop
def deviations(h, begin, end, scale):
    """σ = e^{½ log σ²} of images begin to end, into `scale` (N, latent)."""
    half, latent = h.dtype.type(0.5), scale.shape[1]
    for i in range(begin, end):
        for j in range(latent):
            scale[i, j] = half * h[i, latent + j]
    flat = scale[begin:end].reshape(-1)
    for e in range(flat.size):
        flat[e] = exp(flat[e])


@vector_loop
def draw(h, scale, i, noise, start, z, row):
    """z = μ + σ ε in row `row` of z, ε from `start` on; and ½ Σ ε² − z²: log p(z)/q(z) without ½ Σ log σ²."""
    squares = 0.0
    for j in range(scale.shape[1]):
        e = noise[start + j]
        z[row, j] = h[i, j] + scale[i, j] * e
        squares += np.float64(e) * e - np.float64(z[row, j]) * z[row, j]
    return 0.5 * squares


@vector_loop
def half_log_det(h, latent, i):
    """½ Σ log σ² of image i."""
    total = 0.0
    for j in range(latent):
        total += np.float64(h[i, latent + j])
    return 0.5 * total


@vector_loop
def minus_kl(h, scale, i):
    """−KL(q ‖ N(0, I)) = ½ Σ log σ² + 1 − μ² − σ² of image i."""
    total, latent = 0.0, scale.shape[1]
    for j in range(latent):
        mu, sigma = np.float64(h[i, j]), np.float64(scale[i, j])
        total += (np.float64(h[i, latent + j]) + 1.0) - (mu * mu + sigma * sigma)
    return 0.5 * total


@elementwise_loop
def statistics_backward(d_z, z, h, scale, noise, c, iwae, begin, end, d_h):
    """d_h of images begin to end: Σ_k d_z and ½ σ Σ_k d_z ε, with what prior and entropy add.

    With IWAE ∂ log p(z)/q(z) = −z by z in each sample, weighted by its c, and ½ by log σ²; the ELBO has −μ
    and ½ (1 − σ²) from its closed form.
    """
    half, one, zero = d_z.dtype.type(0.5), d_z.dtype.type(1), d_z.dtype.type(0)
    n, latent = scale.shape
    samples, closed = len(z) // n, zero if iwae else one
    for i in range(begin, end):
        for j in range(latent):
            d_h[i, j], d_h[i, latent + j] = -closed * h[i, j], -closed * scale[i, j]
        for k in range(samples):
            row, start = i * samples + k, (k * n + i) * latent
            prior = c[row] if iwae else zero
            for j in range(latent):
                d = d_z[row, j] - prior * z[row, j]
                d_h[i, j] += d
                d_h[i, latent + j] += d * noise[start + j]
        for j in range(latent):
            d_h[i, latent + j] = half * (scale[i, j] * d_h[i, latent + j] + one)
