"""The convolutional encoder of pose regression (Yin et al. 2020, arXiv 1912.03820): from an image to a vector."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.nets.convolution import convolve, few_at_once, max_pool
from nopal.nets.linear import Linear
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments


class Convolution(eqx.Module):
    """3 x 3 convolution of stride 2 with a bias."""

    kernel: Float[Array, "3 3 c f"]
    bias: Float[Array, "f"]

    def __call__(self, x: Float[Array, "m h w c"]) -> Float[Array, "m h2 w2 f"]:
        return convolve(x, self.kernel, stride=2) + self.bias


class ConvEncoder(Network):
    """Convolutions of stride 2, the largest of 2 x 2 places before the last of them, then a linear layer; nothing is
    normalised.

    Published for poses: 128 x 128 x 1 to 8 x 8 x 64 places, then 196 outputs, ReLU after the convolutions
    (`activation`); in plain MAML's network after the last layer alone (`activation=False, activate_outputs=True`).
    Published for the kernels: `deviation=0.1`.
    """

    convolutions: tuple[Convolution, ...]
    dense: Linear
    activation: bool = eqx.field(static=True)
    activate_outputs: bool = eqx.field(static=True)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        *,
        filters: tuple[int, ...] = (32, 48, 64),
        activation: bool = True,
        activate_outputs: bool = False,
        deviation: float | None = None,
        key: PRNGKeyArray,
    ):
        """Kernels are drawn Glorot-uniform, or normal with the standard `deviation`. Raises `NopalError` for widths
        that are not positive and images that are too small."""
        if not filters or min(*filters, outputs) < 1:
            raise NopalError(f"The filters are {filters} and the outputs {outputs}; expected at least 1 of each.")
        height, width, channels = shape
        for i in range(len(filters)):
            pooled = 2 if i == len(filters) - 1 else 1
            height, width = (math.ceil(n // pooled / 2) for n in (height, width))
        if min(height, width) < 1:
            side = 2 ** (len(filters) - 1) + 1
            raise NopalError(
                f"Images of {shape[0]} x {shape[1]} are too small for this encoder; expected at least {side} x {side}."
            )
        *keys, last = jax.random.split(key, len(filters) + 1)
        initial = jax.nn.initializers.glorot_uniform() if deviation is None else jax.nn.initializers.normal(deviation)
        inputs = (channels, *filters[:-1])
        self.convolutions = tuple(
            Convolution(initial(k, (3, 3, c, f)), jnp.zeros(f)) for k, c, f in zip(keys, inputs, filters)
        )
        self.dense = Linear(initial(last, (height * width * filters[-1], outputs)), jnp.zeros(outputs))
        self.activation, self.activate_outputs, self.shape = activation, activate_outputs, shape

    def __call__(
        self, x: Float[Array, "m h w c"], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        maps = few_at_once(self._convolved, x)
        outputs = self.dense(maps.reshape(len(x), -1))
        return (jax.nn.relu(outputs) if self.activate_outputs else outputs), ()

    def _convolved(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 f"]:
        for i, convolution in enumerate(self.convolutions):
            if i == len(self.convolutions) - 1:
                x = max_pool(x)
            x = convolution(x)
            x = jax.nn.relu(x) if self.activation else x
        return x
