"""The features of a network as vectors, whatever trained it.

A network whose normalisation looks at the batch has no vector for an image alone; here its statistics are those of the
data that it is fitted on.
"""

from __future__ import annotations

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from nopal.data.images import as_float
from nopal.encoders.encoder import Encoder, in_batches
from nopal.nets.conv4 import Conv4
from nopal.nets.linear import Linear
from nopal.nets.normalisation import Moments


class Features(Encoder):
    """What the last layer of a network saw. The options of its record hold the `structure` of the network."""

    network: Conv4
    moments: tuple[Moments, ...]

    @classmethod
    def blank(cls, shape: tuple[int, int, int], record: str, arrays: dict[str, Array]) -> Features:
        options = json.loads(record)["options"]
        choices = {name: options[name] for name in STRUCTURE}
        network = eqx.filter_eval_shape(Conv4, shape, None, **choices, key=jax.random.key(0))
        moments = jax.eval_shape(lambda network: network(jnp.zeros((1, *shape)))[1], network)
        network, moments = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (network, moments))
        return cls(network=network, moments=moments, shape=shape, record=record)

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return self.network(x, self.moments)[0]

    def with_head(self, outputs: int) -> Conv4:
        """The network with a new last layer, of zeros."""
        head = Linear(jnp.zeros((self.dimensions, outputs)), jnp.zeros(outputs))
        return eqx.tree_at(lambda n: n.head, self.network, head, is_leaf=lambda leaf: leaf is None)


def headless(network: Conv4) -> Conv4:
    """The network without its last layer."""
    return eqx.tree_at(lambda n: n.head, network, None, is_leaf=lambda leaf: leaf is None)


STRUCTURE = ("filters", "downsample", "readout", "scale", "epsilon")


def structure(network: Conv4) -> dict[str, Any]:
    """The arguments of `Conv4` that make such a network."""
    block = network.blocks[0]
    return {
        "filters": len(block.bias),
        "downsample": block.downsample,
        "readout": network.readout,
        "scale": block.normalisation.scale is not None,
        "epsilon": block.normalisation.epsilon,
    }


def whole_moments(network: Conv4, images: Shaped[np.ndarray, "n h w c"]) -> tuple[Moments, ...]:
    """The statistics that `network` would have of all `images` as one batch.

    Block by block, for those of one decide what the next one sees; the variance of the whole is the mean of the
    batches' variances and the variance of their means.
    """
    known: tuple[Moments, ...] = ()
    batches = in_batches(images)
    share = np.array([len(batch) for batch in batches])[:, None] / len(images)
    for _ in network.blocks:
        found = [jax.device_get(_next_moments(network, batch, known)) for batch in batches]
        means, variances = np.stack([f.mean for f in found]), np.stack([f.variance for f in found])
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean) ** 2)).sum(0)
        known += (Moments(jnp.asarray(mean, jnp.float32), jnp.asarray(variance, jnp.float32)),)
    return known


@eqx.filter_jit
def _next_moments(network: Conv4, images: Shaped[Array | np.ndarray, "b h w c"], known: tuple[Moments, ...]) -> Moments:
    """A batch's own in the first block whose statistics are not known."""
    x = as_float(images)
    for block, moments in zip(network.blocks, known):
        x, _ = block(x, moments)
    return network.blocks[len(known)](x, None)[1]
