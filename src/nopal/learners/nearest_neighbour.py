"""k nearest neighbours by Euclidean distance, the simplest few-shot learner on an embedding."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.learners.protonet import squared_distances
from nopal.learners.vectors import as_rows, need_classes
from nopal.tasks.episode import Examples


class NearestNeighbour(Learner):
    """Each query takes the label that most of its `neighbours` nearest support vectors bear; ties go to the smallest
    label."""

    neighbours: Int[Array, ""]
    most: int = eqx.field(static=True)

    def __init__(self, neighbours: int = 1, most: int | None = None):
        """Learners with the same `most`, at least their `neighbours`, share one compiled program."""
        most = neighbours if most is None else most
        if not 1 <= neighbours <= most:
            raise NopalError(f"The number of neighbours is {neighbours}; expected at least 1, and {most} at most.")
        self.neighbours, self.most = jnp.asarray(neighbours), most

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Neighbourhood:
        support = need_classes(support, "Nearest neighbour")
        if self.most > len(support.x):
            raise NopalError(
                f"{self.most} neighbours were asked for, but the support set has {len(support.x)} examples; ask "
                "for fewer."
            )
        return Neighbourhood(support, self.neighbours, self.most)


class Neighbourhood(eqx.Module):
    """The support vectors: inputs -> votes for each class."""

    support: Examples
    neighbours: Int[Array, ""]
    most: int = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m way"]:
        _, nearest = jax.lax.top_k(-squared_distances(as_rows(x), as_rows(self.support.x)), self.most)
        votes = jax.nn.one_hot(self.support.y[nearest], self.support.target.width)
        return (votes * (jnp.arange(self.most) < self.neighbours)[:, None]).sum(1)
