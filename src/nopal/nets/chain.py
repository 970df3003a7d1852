"""Two networks as one."""

from __future__ import annotations

import math

import equinox as eqx
from jaxtyping import Array, Float

from nopal.errors import NopalError
from nopal.nets.network import Network, outputs_and_moments
from nopal.nets.normalisation import Moments


class Chain(Network):
    """`encoder`, then `head` on its outputs, which take the shape of the head's inputs; parameters are named
    `encoder.*` and `head.*`."""

    encoder: Network
    head: Network
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, encoder: Network, head: Network):
        """Raises `NopalError` where the encoder's outputs don't fill the head's inputs."""
        outputs, _ = outputs_and_moments(encoder)
        if outputs != math.prod(head.shape):
            raise NopalError(
                f"The encoder makes {outputs} features of an input, but the head takes "
                f"{' x '.join(map(str, head.shape))}; give the encoder as many outputs."
            )
        self.encoder, self.head, self.shape = encoder, head, encoder.shape

    def __call__(
        self, x: Float[Array, "m ..."], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        features, used = self.encoder(x, statistics)
        rest = None if statistics is None else statistics[len(used) :]
        outputs, used_by_head = self.head(features.reshape(len(x), *self.head.shape), rest)
        return outputs, (*used, *used_by_head)
