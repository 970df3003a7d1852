"""Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) whose statistics are values, not hidden state.

Where the statistics come from decides whether a few-shot learner is transductive, so it is always a named choice:

* `support`: of the support set, also for queries; a query's prediction depends on no other query;
* `transductive`: of all queries at once (together with the support set, for learners that see both as one batch);
* `running`: fixed numbers, gathered by a calibration pass over meta-training episodes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Statistics = Literal["support", "transductive", "running"]


class Moments(NamedTuple):
    """Mean and variance of each feature over a batch and its places."""

    mean: Float[Array, "f"]
    variance: Float[Array, "f"]


class Normalisation(eqx.Module):
    """Features with zero mean and unit variance, then an optional learned scale and a learned shift."""

    shift: Float[Array, "f"]
    scale: Float[Array, "f"] | None
    epsilon: float = eqx.field(static=True)

    def __init__(self, features: int, *, scale: bool = True, epsilon: float = 1e-5):
        self.shift = jnp.zeros(features)
        self.scale = jnp.ones(features) if scale else None
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "*m f"], moments: Moments | None) -> tuple[Float[Array, "*m f"], Moments]:
        """Normalise by `moments`, or by the batch's own where there are none; returns the moments that were used."""
        if moments is None:
            moments = batch_moments(x)
        return (x - moments.mean) * self.slope(moments) + self.shift, moments

    def slope(self, moments: Moments) -> Float[Array, "f"]:
        """What features are multiplied by."""
        slope = lax.rsqrt(moments.variance + self.epsilon)
        return slope if self.scale is None else slope * self.scale


@jax.custom_jvp
def batch_moments(x: Float[Array, "*m f"]) -> Moments:
    """Mean and variance over all axes but the last."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    return Moments(mean, jnp.square(x - mean).mean(axes))


@batch_moments.defjvp
def _batch_moments_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Moments, Moments]:
    # The closed form saves no copy of the centred features.
    (x,), (direction,) = primals, tangents
    moments, axes = batch_moments(x), tuple(range(x.ndim - 1))
    return moments, Moments(direction.mean(axes), 2 * ((x - moments.mean) * direction).mean(axes))
