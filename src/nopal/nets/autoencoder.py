"""The convolutional encoder and decoder of ACAI (Berthelot et al. 2019, arXiv 1807.07543), after its authors' code."""

from __future__ import annotations

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.nets.convolution import convolve
from nopal.nets.resampling import average_pool, convolve_upsampled

SLOPE = 0.2


def leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x, or a fifth of it where it is negative."""
    return jnp.where(x > 0, x, SLOPE * x)


class Convolution(eqx.Module):
    """A convolution with a bias; weights begin with a standard deviation that keeps the size of activations."""

    kernel: Float[Array, "a a c f"]
    bias: Float[Array, "f"]

    def __init__(self, size: int, channels: int, features: int, *, key: PRNGKeyArray):
        deviation = 1 / math.sqrt((1 + SLOPE**2) * size * size * channels)
        self.kernel = deviation * jax.random.normal(key, (size, size, channels, features))
        self.bias = jnp.zeros(features)

    def __call__(self, x: Float[Array, "m h w c"]) -> Float[Array, "m h w f"]:
        return convolve(x, self.kernel) + self.bias

    def upsampled(self, x: Float[Array, "m h w c"]) -> Float[Array, "m 2*h 2*w f"]:
        """Of `x` with every place made a 2 x 2 square."""
        return convolve_upsampled(x, self.kernel) + self.bias

    def behind(self, first: Convolution, x: Float[Array, "m h w c"]) -> Float[Array, "m h w f"]:
        """`self(first(x))` for a `first` of size 1, whose map need not be made: what it adds is a channel of ones."""
        both = jnp.concatenate([first.kernel[0, 0], first.bias[None]])
        kernel = jnp.einsum("cd,abdf->abcf", both, self.kernel)
        return convolve(jnp.concatenate([x, jnp.ones_like(x[..., :1])], 3), kernel) + self.bias


class PoolingEncoder(eqx.Module):
    """A 1 x 1 convolution; at each scale two of 3 x 3 and average pooling; then two more, the last one linear.

    The number of features is `depth`, doubled at each scale, and in the end `latent`.
    """

    first: Convolution
    pairs: tuple[tuple[Convolution, Convolution], ...]
    last: tuple[Convolution, Convolution]

    def __init__(self, channels: int, depth: int, latent: int, scales: int, *, key: PRNGKeyArray):
        keys = iter(jax.random.split(key, 3 + 2 * scales))
        self.first = Convolution(1, channels, depth, key=next(keys))
        widths = [depth, *(depth << scale for scale in range(scales))]
        self.pairs = tuple(
            (Convolution(3, before, width, key=next(keys)), Convolution(3, width, width, key=next(keys)))
            for before, width in itertools.pairwise(widths)
        )
        top = depth << scales
        self.last = Convolution(3, widths[-1], top, key=next(keys)), Convolution(3, top, latent, key=next(keys))

    def __call__(self, x: Float[Array, "m h w c"]) -> Float[Array, "m h2 w2 latent"]:
        """The latent map; height and width are multiples of 2 to the number of scales."""
        for i, (one, other) in enumerate(self.pairs):
            x = one(x) if i else one.behind(self.first, x)
            x = average_pool(leaky_relu(other(leaky_relu(x))))
        one, other = self.last
        return other(leaky_relu(one(x)))


class UpsamplingDecoder(eqx.Module):
    """At each scale two 3 x 3 convolutions and upsampling; then two more, the last one linear."""

    pairs: tuple[tuple[Convolution, Convolution], ...]
    last: tuple[Convolution, Convolution]

    def __init__(self, channels: int, depth: int, latent: int, scales: int, *, key: PRNGKeyArray):
        keys = iter(jax.random.split(key, 2 + 2 * scales))
        widths = [latent, *(depth << scale for scale in reversed(range(scales)))]
        self.pairs = tuple(
            (Convolution(3, before, width, key=next(keys)), Convolution(3, width, width, key=next(keys)))
            for before, width in itertools.pairwise(widths)
        )
        self.last = (
            Convolution(3, widths[-1], depth, key=next(keys)),
            Convolution(3, depth, channels, key=next(keys)),
        )

    def __call__(self, z: Float[Array, "m h w latent"]) -> Float[Array, "m h2 w2 c"]:
        """Images of 2 to the number of scales times the size."""
        for i, (one, other) in enumerate(self.pairs):
            z = leaky_relu(other(leaky_relu(one.upsampled(z) if i else one(z))))
        one, other = self.last
        return other(leaky_relu(one.upsampled(z)))
