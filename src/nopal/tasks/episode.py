"""What a learner is given: labelled examples, and two sets of them that make an episode."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.tasks.target import Target


class Examples(eqx.Module):
    """`m` inputs with what is to be predicted for them: classes [m], numbers [m, dim], places on a circle [m, 1]. Bytes
    become numbers in [0, 1] here."""

    x: Shaped[Array, "m ..."]
    y: Shaped[Array, "m ..."]
    target: Target = eqx.field(static=True)

    def __init__(self, x: Any, y: Any, target: Target):
        """Raises `NopalError` for labels of another shape, which would be broadcast against predictions."""
        self.x, self.y, self.target = as_float(x), jnp.asarray(y), target
        if self.y.shape != (len(self.x), *target.shape):
            expected = len(self.x), *target.shape
            raise NopalError(
                f"The labels of {len(self.x)} inputs have shape {self.y.shape}; expected {expected}, as {target} asks."
            )


class Episode(eqx.Module):
    """A learner adapts to `support` and is judged on `query`, which share no example."""

    support: Examples
    query: Examples

    @property
    def target(self) -> Target:
        return self.support.target
