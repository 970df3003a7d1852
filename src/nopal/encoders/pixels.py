"""Encoders that need no training: pixels as they are, their principal components, and ZCA-whitened pixels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from nopal.data.images import as_float
from nopal.encoders.encoder import Encoder, describe
from nopal.errors import NopalError
from nopal.numerics.pca import fit_pca

Images = Shaped[np.ndarray, "n h w c"]


class Raw(Encoder):
    """Pixels in [0, 1], row after row."""

    @classmethod
    def fit(cls, images: Images, *, data: str = "") -> Raw:
        """Only the shape of `images` matters; `data` says in a few words what they are."""
        return cls(**describe("Raw", images, data))

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return x.reshape(len(x), -1)


class PCA(Encoder):
    """Principal components of pixels in [0, 1]: the pixel embedding to use, plain rather than whitened."""

    mean: Float[Array, "f"]
    directions: Float[Array, "d f"]

    @classmethod
    def fit(cls, images: Images, *, dimensions: int = 64, whiten: bool = False, data: str = "") -> PCA:
        """With `whiten`, every dimension has variance 1 on `images`, or 0 where there is none to begin with.

        Raises `NopalError` for more dimensions than images or pixels.
        """
        found = fit_pca(_flat(images), dimensions)
        directions = found.directions
        if whiten:
            some = found.variance > 1e-12 * found.variance[0]
            directions = directions * np.where(some, 1 / np.sqrt(np.where(some, found.variance, 1)), 0)[:, None]
        made = describe("PCA", images, data, dimensions=dimensions, whiten=whiten)
        return cls(mean=_float(found.mean), directions=_float(directions), **made)

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return jnp.dot(x.reshape(len(x), -1) - self.mean, self.directions.T, precision="highest")


class ZCA(Encoder):
    """Whitened pixels as CACTUs clusters them (`on_pixels`), after Coates & Ng (2012).

    On the scale of bytes, 0 to 255: from every image its mean is taken and it is divided by sqrt(variance + 10). Then
    the mean of the data is taken and pixels are whitened by U diag(1 / sqrt(S + 1e-5)) U', of the covariance U S U'.
    """

    mean: Float[Array, "f"]
    whitening: Float[Array, "f f"]

    @classmethod
    def fit(cls, images: Images, *, data: str = "") -> ZCA:
        """The covariance is that of `images`."""
        found = fit_pca(np.asarray(_evened(jnp.asarray(_flat(images)))))
        whitening = (found.directions.T / np.sqrt(found.variance + 1e-5)) @ found.directions
        made = describe("ZCA", images, data)
        return cls(mean=_float(found.mean), whitening=_float(whitening), **made)

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return jnp.dot(_evened(x.reshape(len(x), -1)) - self.mean, self.whitening, precision="highest")


def _flat(images: Images) -> Float[np.ndarray, "n f"]:
    if not len(images):
        raise NopalError("There are no images to fit an encoder on; give at least one.")
    return np.asarray(as_float(images)).reshape(len(images), -1)


def _float(x: Float[np.ndarray, "..."]) -> Float[Array, "..."]:
    return jnp.asarray(x, jnp.float32)


def _evened(x: Float[Array, "b f"]) -> Float[Array, "b f"]:
    """Every image with mean 0 and about the same contrast; the constant 10 is in squared byte values."""
    x = 255 * x
    return (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 10)
