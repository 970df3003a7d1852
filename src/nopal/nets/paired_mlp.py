"""The multilayer perceptrons of a bidirectional GAN on small images (Donahue, Krähenbühl, Darrell 2017,
arXiv 1605.09782), after its authors' code."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.nets.normalisation import Moments, batch_moments

DEVIATION = 0.02
"""Of all initial weights."""
EPSILON = 1e-8
"""Added to variances."""


class PairedMLP(eqx.Module):
    """Two hidden layers of the same width and a linear one, without biases.

    The second hidden layer sees another input `z` too, where the network was made for one, and is normalised; the first
    where `twice` says so. Where activations are negative they are multiplied by `slope`.
    """

    first: Float[Array, "d h"]
    second: Float[Array, "h h"]
    beside: Float[Array, "e h"] | None
    last: Float[Array, "h outputs"]
    twice: bool = eqx.field(static=True)
    slope: float = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: int,
        beside: int = 0,
        twice: bool = False,
        slope: float = 0.2,
        key: PRNGKeyArray,
    ):
        keys, kernel = jax.random.split(key, 4), jax.nn.initializers.normal(DEVIATION)
        self.first = kernel(keys[0], (inputs, hidden))
        self.second = kernel(keys[1], (hidden, hidden))
        self.beside = kernel(keys[2], (beside, hidden)) if beside else None
        self.last = kernel(keys[3], (hidden, outputs))
        self.twice, self.slope = twice, slope

    def __call__(
        self,
        x: Float[Array, "m d"],
        z: Float[Array, "m e"] | None = None,
        moments: tuple[Moments, ...] | None = None,
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        """Outputs, and the moments that layers were normalised by: the batch's own where none are given."""
        known, used = None if moments is None else list(moments), []

        def normalise(h: Float[Array, "m h"]) -> Float[Array, "m h"]:
            used.append(batch_moments(h) if known is None else known.pop(0))
            return (h - used[-1].mean) * lax.rsqrt(used[-1].variance + EPSILON)

        def active(h: Float[Array, "m h"]) -> Float[Array, "m h"]:
            return jnp.where(h > 0, h, self.slope * h)

        h = x @ self.first
        h = active(normalise(h) if self.twice else h) @ self.second
        if self.beside is not None:
            assert z is not None, "this network has a second input"
            h = h + z @ self.beside
        return active(normalise(h)) @ self.last, tuple(used)
