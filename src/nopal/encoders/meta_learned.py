"""The features of a meta-learned network as vectors, to cluster anew: what CACTUs (Hsu, Levine, Finn 2019, arXiv
1810.02334) leaves to others, as an encoder that its own tasks have trained."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import Shaped

from nopal.encoders.encoder import describe
from nopal.encoders.features import Features, headless, structure, whole_moments
from nopal.errors import NopalError
from nopal.nets.conv4 import Conv4


class MetaLearned(Features):
    """Embeddings of a prototypical network, MAML's body without its head."""

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
        body = headless(network)
        made = describe("MetaLearned", images, data, **structure(body))
        return cls(network=body, moments=whole_moments(body, images), **made)
