"""N-way K-shot classification tasks from partitions of a data set (CACTUs, Hsu, Levine, Finn 2019, arXiv 1810.02334,
Algorithm 1)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.partitions.partition import Partitions
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.sampling import draw_without_replacement
from nopal.tasks.target import Categorical


class Classification(eqx.Module):
    """A distribution of tasks: a partition, `way` of its clusters, `shot + query` members of each, all uniform and
    without replacement.

    Clusters with fewer than `shot + query` members are never drawn. The classes of a task are labelled in the order of
    the draw, so every task has a fresh random labelling. The rows drawn for a key don't depend on what `x` holds:
    images and vectors of the same data, with the same partitions, give the same tasks. Partitions from human labels
    make it an ordinary few-shot problem.
    """

    x: Shaped[Array, "n ..."]
    partitions: Partitions
    order: Int[Array, "P k"]
    count: Int[Array, "P"]
    way: int = eqx.field(static=True)
    shot: int = eqx.field(static=True)
    query: int = eqx.field(static=True)

    def __init__(self, x: Any, partitions: Partitions, *, way: int, shot: int, query: int):
        """`x` holds n images (bytes) or vectors. Raises `NopalError` where a partition has too few large enough
        clusters."""
        for name, value, least in (("way", way, 2), ("shot", shot, 1), ("query", query, 1)):
            if value < least:
                raise NopalError(f"The {name} of a task is {value}; expected at least {least}.")
        partitions.check_rows(len(x))
        self.x, self.partitions = jnp.asarray(x), partitions
        self.way, self.shot, self.query = way, shot, query
        self.order, self.count = partitions.eligible(shot + query)
        fewest = int(np.min(np.asarray(self.count)))
        if fewest < way:
            raise NopalError(
                f"A partition has only {fewest} clusters with the {shot + query} members that {shot} shots and {query} "
                f"queries need, but {way}-way tasks need {way}: lower the way, the shots or the queries, make fewer "
                "clusters, or bring more images."
            )

    @property
    def target(self) -> Categorical:
        return Categorical(self.way)

    def at(self, *, way: int | None = None, shot: int | None = None, query: int | None = None) -> Classification:
        """The same data at another difficulty."""
        return Classification(
            self.x, self.partitions, way=way or self.way, shot=shot or self.shot, query=query or self.query
        )

    def draw(self, key: PRNGKeyArray) -> Int[Array, "way per_class"]:
        """Rows of `x`: one line per class, its first `shot` for support, the others for queries."""
        which, clusters, members = jax.random.split(key, 3)
        p = jax.random.randint(which, (), 0, len(self.count))
        drawn = self.order[p, draw_without_replacement(clusters, self.way, self.count[p])]
        start, end = self.partitions.starts[p, drawn], self.partitions.starts[p, drawn + 1]
        per_class = self.shot + self.query
        places = jax.vmap(draw_without_replacement, (0, None, 0))(
            jax.random.split(members, self.way), per_class, end - start
        )
        return self.partitions.members[p, start[:, None] + places]

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One task: `way * shot` examples to adapt to and `way * query` to be judged on, class by class."""
        rows = self.draw(key)
        return Episode(self._examples(rows[:, : self.shot]), self._examples(rows[:, self.shot :]))

    def _examples(self, rows: Int[Array, "way m"]) -> Examples:
        labels = jnp.repeat(jnp.arange(self.way), rows.shape[1])
        return Examples(self.x[rows.reshape(-1)], labels, self.target)
