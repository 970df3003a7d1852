"""Two networks as one."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from nopal.nets.network import Network
from nopal.nets.normalisation import Moments


class Chain(Network):
    """`encoder`, then `head` on its outputs, which take the shape of the head's inputs; parameters are named
    `encoder.*` and `head.*`."""

    encoder: Network
    head: Network
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, encoder: Network, head: Network):
        self.encoder, self.head, self.shape = encoder, head, encoder.shape

    def __call__(
        self, x: Float[Array, "m ..."], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        features, used = self.encoder(x, statistics)
        rest = None if statistics is None else statistics[len(used) :]
        outputs, used_by_head = self.head(features.reshape(len(x), *self.head.shape), rest)
        return outputs, (*used, *used_by_head)
