"""k-means: against scikit-learn, against Lloyd's algorithm in plain NumPy, and at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from nopal.data import omniglot
from nopal.encoders import PCA
from nopal.errors import NopalError
from nopal.numerics import kmeans
from nopal.numerics.kmeans import fit_kmeans

# Most tests share these sizes, so that little is compiled.
N, D, K, P = 900, 8, 30, 5


@pytest.fixture(autouse=True, scope="module", params=[kmeans.FEW, 0], ids=["few", "many"])
def kind(request):
    """Everything holds where all clusters are compared, and where those that moved are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kmeans, "FEW", request.param)
        jax.clear_caches()
        yield
    jax.clear_caches()


def blobs(n=N, d=D, classes=K, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(classes, d))[np.arange(n) % classes] + 0.5 * random.normal(size=(n, d))).astype(
        np.float32
    )


def scales(count=P):
    return np.random.default_rng(0).uniform(size=(count, D)).astype(np.float32)


def squared_distances(z, centroids):
    return ((z[:, None].astype(np.float64) - centroids) ** 2).sum(2)


def ratio_to_scikit_learn(z, clusters, seeds=P):
    same = np.ones((seeds, z.shape[1]), np.float32)
    ours = fit_kmeans(z, same, clusters, key=jax.random.key(0)).inertia
    theirs = [KMeans(clusters, init="k-means++", n_init=1, random_state=s).fit(z).inertia_ for s in range(seeds)]
    return ours.mean() / np.mean(theirs)


def test_inertia_is_within_two_percent_of_scikit_learn_on_blobs():
    assert ratio_to_scikit_learn(blobs(), K) < 1.02


def test_inertia_is_within_two_percent_of_scikit_learn_on_omniglot(real_data):
    images = omniglot.load().train.images[:3000]
    assert ratio_to_scikit_learn(PCA.fit(images, dimensions=64)(images), 80) < 1.02


def test_converged_clusters_are_nearest_and_centroids_are_means():
    z, scale = blobs(), scales()
    found = fit_kmeans(z, scale, K, key=jax.random.key(0), tolerance=0.0)
    for p in range(P):
        distance = squared_distances(z * scale[p], found.centroids[p] * scale[p])
        own = distance[np.arange(len(z)), found.assignments[p]]
        assert (own <= distance.min(1) + 1e-4).all()
        means = np.stack([z[found.assignments[p] == c].mean(0) for c in range(K)])
        np.testing.assert_allclose(found.centroids[p], means, atol=1e-5)
        assert found.inertia[p] == pytest.approx(own.sum(), rel=1e-5)


def test_skipping_what_cannot_change_gives_the_clusters_of_plain_lloyd():
    z, clusters = blobs(classes=100), 60
    weight = scales()[0] ** 2
    scaled, centroids = z * np.sqrt(weight), z[:clusters] * np.sqrt(weight)
    for _ in range(8):
        plain = squared_distances(scaled, centroids).argmin(1)
        centroids = np.stack([scaled[plain == c].mean(0) for c in range(clusters)])
    plain = squared_distances(scaled, centroids).argmin(1)
    found, _, _, iterations = kmeans._refine(jnp.asarray(z), jnp.asarray(weight), jnp.asarray(z[:clusters]), 8, 0.0)
    assert (np.asarray(found) == plain).mean() > 0.998
    assert iterations == 8


def test_a_partition_is_that_of_the_scaled_vectors():
    z, scale = blobs(), np.tile(scales()[0], (P, 1))
    scaled = fit_kmeans(z * scale[0], np.ones_like(scale), K, key=jax.random.key(3))
    found = fit_kmeans(z, scale, K, key=jax.random.key(3))
    assert (found.assignments == scaled.assignments).mean() > 0.99
    assert found.inertia == pytest.approx(scaled.inertia, rel=1e-3)


def test_the_same_key_gives_the_same_partitions_whatever_their_number():
    z, scale = blobs(), scales(15)
    many = fit_kmeans(z, scale, K, key=jax.random.key(0))
    few = fit_kmeans(z, scale[:P], K, key=jax.random.key(0))
    other = fit_kmeans(z, scale[:P], K, key=jax.random.key(1))
    assert (many.assignments[:P] == few.assignments).mean() > 0.99
    assert (few.assignments != other.assignments).any(1).all()
    assert (fit_kmeans(z, scale[:P], K, key=jax.random.key(0)).assignments == few.assignments).all()


def test_of_several_repeats_each_partition_keeps_its_tightest():
    z, scale = blobs(), scales()
    one_by_one = [fit_kmeans(z, scale, K, key=key) for key in jax.random.split(jax.random.key(0), 3)]
    told = []
    found = fit_kmeans(z, scale, K, key=jax.random.key(0), repeats=3, watch=told.append)
    assert sum(told) == 3 * len(scale)
    every = np.array([fit.inertia for fit in one_by_one])
    assert (found.inertia == every.min(0)).all()
    for p, best in enumerate(every.argmin(0)):
        assert (found.assignments[p] == one_by_one[best].assignments[p]).all()
        assert (found.centroids[p] == one_by_one[best].centroids[p]).all()


def test_every_partition_stops_by_itself_and_a_looser_tolerance_stops_earlier():
    z, scale = blobs(), scales()
    strict = fit_kmeans(z, scale, K, key=jax.random.key(0), tolerance=0.0).iterations
    loose = fit_kmeans(z, scale, K, key=jax.random.key(0), tolerance=1.0).iterations
    assert len(set(strict.tolist())) > 1
    assert (loose < strict).all()
    assert (fit_kmeans(z, scale, K, key=jax.random.key(0), tolerance=0.0, iterations=2).iterations == 2).all()


@pytest.mark.parametrize("clusters", [1, 7])
def test_one_cluster_is_the_mean_and_as_many_as_rows_are_the_rows(clusters):
    z = blobs(7)
    found = fit_kmeans(z, np.ones((1, D)), clusters, key=jax.random.key(0))
    assert len(set(found.assignments[0].tolist())) == clusters
    expected = ((z - z.mean(0)) ** 2).sum() if clusters == 1 else 0
    assert found.inertia[0] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    if clusters == 1:
        np.testing.assert_allclose(found.centroids[0, 0], z.mean(0), atol=1e-5)


def test_fewer_distinct_rows_than_clusters_leave_some_empty():
    z = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    found = fit_kmeans(z, np.ones((2, 3)), 5, key=jax.random.key(0))
    assert found.inertia == pytest.approx(0, abs=1e-6)
    assert all(len(set(row.tolist())) == 3 for row in found.assignments)


def test_a_cluster_without_members_restarts_from_the_furthest_row():
    z = jnp.array([[0.0], [1.0], [2.0], [10.0]])
    start = jnp.array([[0.5], [50.0]])
    cluster, centroids, inertia, _ = kmeans._refine(z, jnp.ones(1), start, 20, 0.0)
    assert cluster.tolist() == [0, 0, 0, 1]
    assert centroids.tolist() == [[1.0], [10.0]]
    assert inertia == 2


def test_rows_are_drawn_by_weight():
    weights = np.random.default_rng(0).uniform(size=300) * (np.arange(300) % 3 > 0)
    uniform = np.linspace(0, 0.9999, 2000)
    expected = np.searchsorted(np.cumsum(weights) / weights.sum(), uniform, side="right")
    found = np.asarray(kmeans._draw(jnp.asarray(weights, jnp.float32), jnp.asarray(uniform, jnp.float32)))
    assert (found == expected).mean() > 0.99
    assert (weights[found] > 0).all()


def test_seeds_lie_in_distinct_blobs():
    centres = 100 * np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    z = np.repeat(centres, 30, axis=0) + 0.01 * blobs(600, 4)
    seeds = kmeans.choose_seeds(jnp.asarray(z), jnp.ones(4), jax.random.key(0), 20, 4)
    assert sorted(np.asarray(seeds) // 30) == list(range(20))


def test_far_from_the_origin_nothing_is_lost():
    z = blobs()
    near = fit_kmeans(z, scales(), K, key=jax.random.key(0))
    far = fit_kmeans(z + 1000, scales(), K, key=jax.random.key(0))
    assert far.inertia == pytest.approx(near.inertia, rel=0.05)


@pytest.mark.parametrize(
    ("clusters", "sentence"),
    [(0, "0 clusters were asked for; expected between 1 and 20"), (21, "21 clusters were asked for")],
)
def test_impossible_numbers_of_clusters_are_refused(clusters, sentence):
    with pytest.raises(NopalError, match=sentence):
        fit_kmeans(blobs(20), np.ones((1, D)), clusters, key=jax.random.key(0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_named(value):
    z = blobs(20)
    z[[4, 9], 3] = value
    with pytest.raises(NopalError, match=r"Vector 4 \(counted from 0\) is NaN or infinite, 2 in all"):
        fit_kmeans(z, np.ones((1, D)), 2, key=jax.random.key(0))
