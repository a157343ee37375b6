"""Philox against its published answers; what is drawn from it against the laws it should have."""

import numba
import numpy as np
import pytest
import scipy.stats

from vbref import numerics
from vbref.numerics import random

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((0,) * 6, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_known_answers(inputs, words):
    assert tuple(map(int, random.philox(*map(np.uint64, inputs)))) == words


def rounds(c, k):
    """Philox 4x32-10 in plain integers."""
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = ((q >> 32) ^ c[1] ^ k[0], q & ONES, (p >> 32) ^ c[3] ^ k[1], p & ONES)
        k = ((k[0] + 0x9E3779B9) & ONES, (k[1] + 0xBB67AE85) & ONES)
    return c


def test_agrees_with_plain_integers():
    seed, block = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    want = rounds((block & ONES, block >> 32, 0, 0), (seed & ONES, seed >> 32))
    assert tuple(map(int, random.words(np.uint64(seed), np.uint64(block)))) == want


def plain_words(seed, first, blocks):
    """The words (blocks, 4) of a stream in plain integers."""
    counters = ((block & ONES, block >> 32, 0, 0) for block in range(first, first + blocks))
    return np.array([rounds(c, (seed & ONES, seed >> 32)) for c in counters], np.uint64)


@pytest.mark.parametrize(("seed", "block"), [(7, 0), (2**64 - 1, 0), (0x0123456789ABCDEF, 2**33 - 1)])
def test_streams_by_their_definition(seed, block):
    high, low = np.moveaxis(plain_words(seed, block, 3).reshape(3, 2, 2), 2, 0)
    wide = (((high << np.uint64(32)) | low) >> np.uint64(12)).reshape(-1)
    narrow = plain_words(seed, block, 3).reshape(-1) >> np.uint64(9)
    for dtype, u, each in (
        (np.float64, (wide + 0.5) * 2.0**-52, 2),
        (np.float32, ((narrow + 0.5) * 2.0**-23), 4),
    ):
        np.testing.assert_array_equal(numerics.uniforms(seed, each * block, u.size, dtype), u)
        radius, angle = np.sqrt(-2 * np.log(u[::2])), 2 * np.pi * u[1::2]
        z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
        seen = numerics.normals(seed, each * block, u.size, dtype)
        np.testing.assert_allclose(seen, z, rtol=0, atol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", [numerics.uniforms, numerics.normals])
def test_a_draw_depends_on_seed_and_index_alone(draw, dtype):
    whole = draw(7, 0, (5, 20), dtype)
    assert whole.dtype == dtype
    for start, length in ((0, 1), (1, 1), (3, 2), (6, 41), (99, 1)):
        assert (draw(7, start, length, dtype) == whole.reshape(-1)[start : start + length]).all()
    assert not (draw(8, 0, (5, 20), dtype) == whole).any()
    assert draw(7, 3, (0, 4), dtype).shape == (0, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("start", "length"), [(0, 1), (1, 1), (3, 2), (6, 41), (7, 0), (8, 8), (2**62 - 2, 2)]
)
def test_one_thread_fills_with_the_same_draws(start, length, dtype):
    seen = np.full(length, np.nan, dtype)
    random.fill_normals(np.uint64(7), start, seen)
    np.testing.assert_array_equal(seen, numerics.normals(7, start, length, dtype))


def test_threads_change_nothing():
    many = numerics.normals(1, 5, 10_001)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    one = numerics.normals(1, 5, 10_001)
    numba.set_num_threads(before)
    assert (one == many).all()


def test_uniforms_are_open():
    ones, zero = np.uint64(ONES), np.uint64(0)
    for top, bottom in (
        (random.uniform_32(ones), random.uniform_32(zero)),
        (random.uniform_64(ones, ones), random.uniform_64(zero, zero)),
    ):
        assert 0 < bottom < 2**-23
        assert 1 - 2**-23 < top < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_laws(dtype):
    n = 200_000
    assert scipy.stats.kstest(numerics.uniforms(11, 0, n, dtype), "uniform").pvalue > 1e-3
    z = numerics.normals(12, 0, n, dtype).astype(np.float64)
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3
    for moment, mean, variance in (
        (z, 0, 1),
        (z**2, 1, 2),
        (z**3, 0, 15),
        (z**4, 3, 96),
        (z[1:] * z[:-1], 0, 1),
    ):
        assert abs(moment.mean() - mean) < 4 * (variance / moment.size) ** 0.5


def test_the_last_seed_and_index():
    last = numerics.uniforms(2**64 - 1, 2**62 - 2, 2)
    assert last[1] == numerics.uniforms(2**64 - 1, 2**62 - 1, 1)[0]
    with pytest.raises(ValueError, match=r"seed must be an integer in \[0, 2\*\*64\)"):
        numerics.uniforms(2**64, 0, 1)
    with pytest.raises(ValueError, match=r"index_start must be an integer in \[0, 2\*\*62\)"):
        numerics.uniforms(0, 2**62, 1)


def test_refused():
    with pytest.raises(ValueError, match="seed must be an integer"):
        numerics.normals(-1, 0, 3)
    with pytest.raises(ValueError, match="index_start must be an integer"):
        numerics.uniforms(0, 0.5, 3)
    for shape in (2.5, (2, -1), "a"):
        with pytest.raises(ValueError, match="shape must be an integer or a tuple of integers"):
            numerics.uniforms(0, 0, shape)
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        numerics.normals(0, 0, 3, np.int64)
