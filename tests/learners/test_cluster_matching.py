"""Cluster matching by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners.cluster_matching import ClusterMatching
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical


def test_majorities_ties_and_clusters_without_support() -> None:
    matching = ClusterMatching(jnp.array([[0.0], [10.0], [20.0], [30.0]]))
    x = np.array([[1.0], [-1.0], [0.5], [11.0], [9.0], [29.0]])
    # Cluster 0 holds labels 2, 1, 2; cluster 1 holds 2 and 0, a tie; cluster 2 nothing; cluster 3 label 1.
    predict = matching.adapt(Examples(x.astype(np.float32), np.array([2, 1, 2, 2, 0, 1]), Categorical(3)))
    queries = jnp.array([[0.0], [9.0], [19.0], [21.0], [50.0]])
    # 19 and 21 belong to cluster 2, which bears no label: the nearest that does is 1 for 19, and 3 for 21.
    assert predict(queries).argmax(1).tolist() == [2, 0, 0, 1, 1]


def test_it_is_fitted_on_training_vectors() -> None:
    draw = np.random.default_rng(0)
    centres = 20 * draw.normal(size=(6, 4))
    z = (np.repeat(centres, 20, axis=0) + draw.normal(size=(120, 4))).astype(np.float32)
    matching = ClusterMatching.fit(z, clusters=6, repeats=2, key=jax.random.key(0))
    means = np.stack([z[20 * c : 20 * c + 20].mean(0) for c in range(6)])
    order = np.square(np.asarray(matching.centroids)[:, None] - means).sum(2).argmin(1)
    np.testing.assert_allclose(matching.centroids, means[order], atol=1e-4)
    assert matching.statistics == "none"


def test_refused() -> None:
    matching = ClusterMatching(jnp.eye(3))
    with pytest.raises(NopalError, match="nothing without a support set"):
        matching.adapt(None)
    with pytest.raises(NopalError, match="The vectors have 2 numbers, but clusters of 3 were fitted"):
        matching.adapt(Examples(np.zeros((2, 2), np.float32), np.arange(2), Categorical(2)))
