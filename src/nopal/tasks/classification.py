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


def check_counts(way: int, shot: int, query: int) -> None:
    """Raises `NopalError` for numbers of classes and examples of which no task can be made."""
    for name, value, least in (("way", way, 2), ("shot", shot, 1), ("query", query, 1)):
        if value < least:
            raise NopalError(f"The {name} of a task is {value}; expected at least {least}.")


class Classification(eqx.Module):
    """A distribution of tasks: a partition, `way` of its clusters, `shot + query` members of each, all uniform and
    without replacement.

    Clusters with fewer than `shot + query` members are never drawn. The classes of a task are labelled in the order of
    the draw, so every task has a fresh random labelling. The rows drawn for a key don't depend on what `x` holds:
    images and vectors of the same data, with the same partitions, give the same tasks. Partitions from human labels
    make it an ordinary few-shot problem. Partitions whose clusters bear labels give non-mutually-exclusive tasks: one
    cluster is drawn for each label, and keeps it.
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
        clusters, or none for a label."""
        check_counts(way, shot, query)
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
        if partitions.label is not None:
            eligible = np.arange(self.order.shape[1]) < np.asarray(self.count)[:, None]
            labels = np.where(eligible, np.take_along_axis(np.asarray(partitions.label), np.asarray(self.order), 1), -1)
            missing = [label for label in range(way) if not (labels == label).any(1).all()]
            if missing:
                raise NopalError(
                    f"No cluster with the {shot + query} members that a task needs bears label {missing[0]}; {way}-way "
                    "tasks need one for each label in every partition: lower the way, the shots or the queries."
                )

    @property
    def target(self) -> Categorical:
        return Categorical(self.way)

    def at(self, *, way: int | None = None, shot: int | None = None, query: int | None = None) -> Classification:
        """The same data at another difficulty."""
        return Classification(
            self.x,
            self.partitions,
            way=self.way if way is None else way,
            shot=self.shot if shot is None else shot,
            query=self.query if query is None else query,
        )

    def draw(self, key: PRNGKeyArray) -> Int[Array, "way per_class"]:
        """Rows of `x`: one line per class, its first `shot` for support, the others for queries."""
        which, clusters, members = jax.random.split(key, 3)
        p = jax.random.randint(which, (), 0, len(self.count))
        drawn = self._clusters(clusters, p)
        start, end = self.partitions.starts[p, drawn], self.partitions.starts[p, drawn + 1]
        per_class = self.shot + self.query
        places = jax.vmap(draw_without_replacement, (0, None, 0))(
            jax.random.split(members, self.way), per_class, end - start
        )
        return self.partitions.members[p, start[:, None] + places]

    def _clusters(self, key: PRNGKeyArray, p: Int[Array, ""]) -> Int[Array, "way"]:
        """A cluster for each label, in the order of the labels."""
        if self.partitions.label is None:
            return self.order[p, draw_without_replacement(key, self.way, self.count[p])]
        eligible = jnp.arange(self.order.shape[1]) < self.count[p]
        bears = eligible & (self.partitions.label[p, self.order[p]] == jnp.arange(self.way)[:, None])
        return self.order[p, jnp.argmax(jnp.where(bears, jax.random.uniform(key, bears.shape), -1.0), axis=1)]

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One task: `way * shot` examples to adapt to and `way * query` to be judged on, class by class."""
        rows = self.draw(key)
        return Episode(self._examples(rows[:, : self.shot]), self._examples(rows[:, self.shot :]))

    def _examples(self, rows: Int[Array, "way m"]) -> Examples:
        labels = jnp.repeat(jnp.arange(self.way), rows.shape[1])
        return Examples(self.x[rows.reshape(-1)], labels, self.target)
