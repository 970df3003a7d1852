"""What a learner is given: labelled examples, and two sets of them that make an episode."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from nopal.data.images import as_float
from nopal.tasks.target import Target


class Examples(eqx.Module):
    """`m` inputs with what is to be predicted for them; bytes become numbers in [0, 1] here."""

    x: Shaped[Array, "m ..."]
    y: Shaped[Array, "m ..."]
    target: Target = eqx.field(static=True)

    def __init__(self, x: Any, y: Any, target: Target):
        self.x, self.y, self.target = as_float(x), jnp.asarray(y), target


class Episode(eqx.Module):
    """A learner adapts to `support` and is judged on `query`, which share no example."""

    support: Examples
    query: Examples

    @property
    def target(self) -> Target:
        return self.support.target
