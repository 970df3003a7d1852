"""The features of a meta-learned network as vectors, to cluster anew: what CACTUs (Hsu, Levine, Finn 2019, arXiv
1810.02334) leaves to others, as an encoder that its own tasks have trained.

A network whose normalisation looks at the batch has no vector for an image alone; here its statistics are those of the
whole data set.
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
from nopal.encoders.encoder import BATCH, Encoder, describe
from nopal.errors import NopalError
from nopal.nets.conv4 import Conv4
from nopal.nets.normalisation import Moments


class MetaLearned(Encoder):
    """What the last layer of a network saw: embeddings of a prototypical network, MAML's body without its head."""

    network: Conv4
    moments: tuple[Moments, ...]

    @classmethod
    def fit(cls, images: Shaped[np.ndarray, "n h w c"], network: eqx.Module, *, data: str = "") -> MetaLearned:
        """The features of `network`, normalised by the statistics of all `images`.

        Raises `NopalError` for a network that is no `Conv4`, for images of another shape than its own, and where there
        are none.
        """
        if not isinstance(network, Conv4):
            raise NopalError(f"A {type(network).__name__} has no features of images; give a learner with a Conv4.")
        if images.shape[1:] != network.shape or not len(images):
            raise NopalError(
                f"There are {len(images)} images of shape {images.shape[1:]} to gather statistics from; expected some "
                f"of {network.shape} (height, width, channels), which the network was meta-trained on."
            )
        body: Conv4 = eqx.tree_at(lambda n: n.head, network, None, is_leaf=lambda leaf: leaf is None)
        made = describe("MetaLearned", images, data, **_structure(body))
        return cls(network=body, moments=whole_moments(body, images), **made)

    @classmethod
    def blank(cls, shape: tuple[int, int, int], record: str, arrays: dict[str, Array]) -> MetaLearned:
        options = json.loads(record)["options"]
        network = eqx.filter_eval_shape(Conv4, shape, None, **options, key=jax.random.key(0))
        moments = jax.eval_shape(lambda network: network(jnp.zeros((1, *shape)))[1], network)
        network, moments = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (network, moments))
        return cls(network=network, moments=moments, shape=shape, record=record)

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return self.network(x, self.moments)[0]


def _structure(network: Conv4) -> dict[str, Any]:
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
    batches = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
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
