"""Pooling and upsampling against NumPy, and the convolution that spares the larger map against the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.nets.convolution import convolve
from nopal.nets.resampling import average_pool, convolve_upsampled, upsample


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_squares_become_their_mean_and_means_squares():
    x = normal(2, 4, 6, 3)
    np.testing.assert_allclose(average_pool(x), np.reshape(x, (2, 2, 2, 3, 2, 3)).mean((2, 4)), atol=1e-6)
    np.testing.assert_array_equal(upsample(x), np.repeat(np.repeat(x, 2, 1), 2, 2))
    slope = normal(2, 2, 3, 3, seed=1)
    (along,) = jax.vjp(average_pool, x)[1](slope)
    np.testing.assert_allclose(along, np.repeat(np.repeat(slope, 2, 1), 2, 2) / 4, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 33])
def test_upsampled_convolution_is_the_convolution_of_the_upsampled(channels):
    x, kernel, direction = normal(2, 3, 5, channels), normal(3, 3, channels, 4, seed=1), normal(2, 6, 10, 4, seed=2)

    def derive(function):
        out, pull = jax.vjp(function, x, kernel)
        return out, *pull(direction)

    plain = jax.jit(lambda: derive(lambda x, kernel: convolve(upsample(x), kernel)))()
    for found, expected in zip(jax.jit(lambda: derive(convolve_upsampled))(), plain, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
