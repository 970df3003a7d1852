"""Cluster matching, a baseline of CACTUs (Hsu, Levine, Finn 2019, arXiv 1810.02334): clusters of the unlabelled
training vectors take the labels of the support examples that fall into them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.learners.vectors import as_rows, need_classes
from nopal.numerics.kmeans import fit_kmeans
from nopal.tasks.episode import Examples


class ClusterMatching(Learner):
    """A cluster that a support example is nearest to takes the label that most of its support examples bear (ties: the
    smallest); a query takes that of the nearest cluster with a label."""

    centroids: Float[Array, "k d"]

    @classmethod
    def fit(
        cls,
        vectors: Float[Array | np.ndarray, "n d"],
        *,
        clusters: int = 500,
        repeats: int = 10,
        key: Key[Array, ""],
    ) -> ClusterMatching:
        """By the tightest of `repeats` k-means clusterings of the training vectors; raises `NopalError` where
        `fit_kmeans` does."""
        ones = np.ones((1, vectors.shape[1]), np.float32)
        return cls(jnp.asarray(fit_kmeans(vectors, ones, clusters, key=key, repeats=repeats).centroids[0]))

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> Matched:
        support = need_classes(support, "Cluster matching")
        x = as_rows(support.x)
        if x.shape[1] != self.centroids.shape[1]:
            raise NopalError(
                f"The vectors have {x.shape[1]} numbers, but clusters of {self.centroids.shape[1]} were fitted; encode "
                "both alike."
            )
        hit = _nearest(x, self.centroids)
        votes = (hit == hit[:, None]).astype(x.dtype) @ jax.nn.one_hot(support.y, support.target.width)
        return Matched(self.centroids[hit], votes.argmax(1), support.target.width)


class Matched(eqx.Module):
    """The cluster of each support example, and its label: inputs -> 1 for the label of the nearest cluster, else 0."""

    centroids: Float[Array, "m d"]
    labels: Int32[Array, "m"]
    way: int = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "q ..."]) -> Float[Array, "q way"]:
        return jax.nn.one_hot(self.labels[_nearest(as_rows(x), self.centroids)], self.way)


def _nearest(x: Float[Array, "m d"], centroids: Float[Array, "k d"]) -> Int32[Array, "m"]:
    """The centroid nearest to each row, the first of equals."""
    middle = centroids.mean(0)
    x, centroids = x - middle, centroids - middle
    products = jnp.dot(x, centroids.T, precision="highest")
    return (jnp.sum(centroids**2, 1) - 2 * products).argmin(1).astype(jnp.int32)
