"""The four-block convolutional network of few-shot learning (Vinyals et al. 2016), with the details of CACTUs as
options."""

from __future__ import annotations

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.nets.convolution import convolve, max_pool
from nopal.nets.linear import Linear
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Normalisation, batch_moments

Downsample = Literal["stride", "pool", "none"]
Readout = Literal["mean", "flatten"]


class Block(eqx.Module):
    """3 x 3 convolution, batch normalisation, ReLU; half the size by stride 2 or by pooling, or as large as before."""

    kernel: Float[Array, "3 3 c f"]
    bias: Float[Array, "f"]
    normalisation: Normalisation
    downsample: Downsample = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "m h w c"], moments: Moments | None
    ) -> tuple[Float[Array, "m h2 w2 f"], Moments]:
        x = convolve(x, self.kernel, stride=2 if self.downsample == "stride" else 1)
        if moments is None:
            mean, variance = batch_moments(x)
            moments = Moments(mean + self.bias, variance)
        slope = self.normalisation.slope(moments)
        if self.downsample == "pool":
            # What follows is monotone in each feature, falling where the slope is negative, so a quarter of it does.
            sign = jnp.where(slope < 0, -1.0, 1.0)
            x = sign * max_pool(sign * x)
        return jax.nn.relu((x + (self.bias - moments.mean)) * slope + self.normalisation.shift), moments


class Conv4(Network):
    """Four blocks, then features (`outputs=None`) or a linear layer with `outputs` numbers.

    CACTUs-MAML at 28 x 28: `filters=32, downsample="stride", readout="mean", scale=False, epsilon=1e-3,
    head_deviation=1.0`; at 84 x 84: `downsample="pool", readout="flatten"` and a Glorot head. Its prototypical
    networks: `filters=64, downsample="pool", readout="flatten"`, no head. The adapted part of MR-MAML (Yin et al. 2020,
    arXiv 1912.03820), on features of 14 x 14 x 1: `filters=64, downsample="none", readout="mean", head_deviation=1.0`.
    """

    blocks: tuple[Block, ...]
    head: Linear | None
    readout: Readout = eqx.field(static=True)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int | None,
        *,
        filters: int = 32,
        downsample: Downsample = "stride",
        readout: Readout = "mean",
        scale: bool = True,
        epsilon: float = 1e-5,
        head_deviation: float | None = None,
        key: PRNGKeyArray,
    ):
        """`shape` is (height, width, channels) of one image; `head_deviation` None means Glorot-uniform.

        Raises `NopalError` for images that four halvings leave nothing of.
        """
        height, width, channels = shape
        if downsample == "pool" and min(height, width) < 16:
            raise NopalError(
                f"Images of {height} x {width} vanish when pooled four times; expected at least 16 x 16: use larger "
                "images or downsample='stride'."
            )
        *keys, head_key = jax.random.split(key, 5)
        glorot = jax.nn.initializers.glorot_uniform()
        self.blocks = tuple(
            Block(
                glorot(k, (3, 3, filters if i else channels, filters)),
                jnp.zeros(filters),
                Normalisation(filters, scale=scale, epsilon=epsilon),
                downsample,
            )
            for i, k in enumerate(keys)
        )
        self.readout, self.shape = readout, shape
        self.head = None
        if outputs is not None:
            d = self._features(filters, downsample)
            initial = glorot if head_deviation is None else jax.nn.initializers.normal(head_deviation)
            self.head = Linear(initial(head_key, (d, outputs)), jnp.zeros(outputs))

    def _features(self, filters: int, downsample: Downsample) -> int:
        if self.readout == "mean":
            return filters
        divide = math.ceil if downsample == "stride" else math.floor
        places = 1
        for n in self.shape[:2]:
            for _ in self.blocks if downsample != "none" else ():
                n = divide(n / 2)
            places *= n
        return places * filters

    def __call__(
        self, x: Float[Array, "m h w c"], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        """Outputs, and the statistics that every block normalised by: those given, or else the batch's own."""
        used = []
        for i, block in enumerate(self.blocks):
            x, moments = block(x, None if statistics is None else statistics[i])
            used.append(moments)
        x = x.mean((1, 2)) if self.readout == "mean" else x.reshape(len(x), -1)
        return (x if self.head is None else self.head(x)), tuple(used)
