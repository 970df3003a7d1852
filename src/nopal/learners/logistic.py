"""Multinomial logistic regression with an L2 penalty on the support vectors: the linear baseline of CACTUs (Hsu,
Levine, Finn 2019, arXiv 1810.02334)."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.learners.vectors import as_rows, need_classes
from nopal.numerics.newton import minimise
from nopal.tasks.episode import Examples


class Logistic(Learner):
    """The weights W and intercepts b that minimise `strength * (sum of cross-entropies) + |W|^2 / 2`, found until the
    gradient is a millionth of that at 0.

    `strength` is the C of scikit-learn, the inverse of the penalty; it is an array, so that a grid of strengths shares
    one compiled program.
    """

    strength: Float[Array, ""]

    def __init__(self, strength: float = 1.0):
        """Raises `NopalError` for a strength that is not positive."""
        if not strength > 0:
            raise NopalError(f"The strength of logistic regression is {strength}; expected a number above 0.")
        self.strength = jnp.asarray(strength, jnp.float32)

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> Linear:
        """See `Learner.adapt`; `steps` bounds the iterations of Newton's method (100)."""
        support = need_classes(support, "Logistic regression")
        x = as_rows(support.x)
        # The same minimum, but far from 0 or of another size than intercepts, vectors lose it in rounding.
        centre = x.mean(0)
        spread = jnp.sqrt(jnp.mean((x - centre) ** 2))
        spread = jnp.where(spread > 0, spread, 1.0)
        x = (x - centre) / spread
        penalty = 1 / (2 * self.strength * len(x) * spread**2)

        def loss(w: Float[Array, "d1 way"]) -> Float[Array, ""]:
            losses = support.target.loss(x @ w[:-1] + w[-1], support.y)
            return losses.mean() + penalty * jnp.sum(w[:-1] ** 2)

        start = jnp.zeros((x.shape[1] + 1, support.target.width), x.dtype)
        found = minimise(loss, start, iterations=100 if steps is None else steps).x
        weights = found[:-1] / spread
        return Linear(weights, found[-1] - centre @ weights)


class Linear(eqx.Module):
    """Weights and intercepts: inputs -> logits."""

    weights: Float[Array, "d way"]
    intercepts: Float[Array, "way"]

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m way"]:
        return as_rows(x) @ self.weights + self.intercepts
