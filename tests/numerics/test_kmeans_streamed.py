"""k-means block by block: the same as at once, and the ends where blocks don't fit."""

from pathlib import Path

import jax
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.numerics.kmeans import fit_kmeans
from nopal.numerics.kmeans_streamed import _Fit, _Vectors, fit_kmeans_streamed

N, D, K, KEY = 900, 8, 30, jax.random.key(0)
DRAW = np.random.default_rng(0)
Z = (DRAW.normal(size=(K, D))[np.arange(N) % K] + 0.5 * DRAW.normal(size=(N, D)) + 3).astype(np.float32)
SCALES = DRAW.uniform(size=(2, D)).astype(np.float32)


@pytest.mark.parametrize("iterations", [0, 3, 300])
def test_blocks_give_what_all_at_once_gives(iterations: int, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", Z)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    whole = fit_kmeans(Z, SCALES, K, key=KEY, iterations=iterations)
    found = fit_kmeans_streamed(mapped, SCALES, K, key=KEY, iterations=iterations, rows_at_once=400)
    assert (found.assignments == whole.assignments).mean() > 0.995
    assert (found.iterations == whole.iterations).all()
    np.testing.assert_allclose(found.inertia, whole.inertia, rtol=1e-3)
    same = (found.assignments == whole.assignments).all(1)
    np.testing.assert_allclose(found.centroids[same], whole.centroids[same], atol=1e-4)
    assert same.any()


def test_seeds_from_a_part_of_the_rows_serve_almost_as_well() -> None:
    whole = fit_kmeans_streamed(Z, SCALES, K, key=KEY, rows_at_once=400)
    part = fit_kmeans_streamed(Z, SCALES, K, key=KEY, rows_at_once=400, seeding_rows=300)
    assert (part.assignments != whole.assignments).any()
    assert (part.inertia < 1.1 * whole.inertia).all()
    again = fit_kmeans_streamed(Z, SCALES, K, key=KEY, rows_at_once=400, seeding_rows=300)
    assert (again.assignments == part.assignments).all()


def test_of_several_repeats_each_partition_keeps_its_tightest() -> None:
    every = [
        fit_kmeans_streamed(Z, SCALES, K, key=k, iterations=2, rows_at_once=400).inertia
        for k in jax.random.split(KEY, 2)
    ]
    told: list[int] = []
    found = fit_kmeans_streamed(Z, SCALES, K, key=KEY, iterations=2, rows_at_once=400, repeats=2, watch=told.append)
    assert (found.inertia == np.min(every, axis=0)).all()
    assert sum(told) == 2 * len(SCALES)


def test_a_cluster_without_members_restarts_from_the_furthest_row() -> None:
    vectors = _Vectors.measured(np.array([[0.0], [1.0], [2.0], [10.0]], np.float32), 3)
    assert (vectors.mean, vectors.variance) == (3.25, 15.6875)
    start = np.array([[0.5], [50.0]], np.float32) - vectors.mean
    fit = _Fit(np.ones(1, np.float32), start, np.zeros(4, np.int32), np.zeros(4, np.float32), 0.0)
    for _ in range(3):
        fit.begin(last=False)
        for rows, block in vectors.blocks():
            fit.look(rows, block)
        fit.move(vectors)
    assert fit.cluster.tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(fit.centroids + vectors.mean, [[1.0], [10.0]], atol=1e-6)
    assert fit.converged


def test_refused() -> None:
    with pytest.raises(NopalError, match="901 clusters were asked for; expected between 1 and 900"):
        fit_kmeans_streamed(Z, SCALES, 901, key=KEY)
    with pytest.raises(NopalError, match="0 rows at once"):
        fit_kmeans_streamed(Z, SCALES, K, key=KEY, rows_at_once=0)
    broken = Z.copy()
    broken[[450, 700], 3] = np.nan
    with pytest.raises(NopalError, match=r"Vector 450 \(counted from 0\) is NaN or infinite, 2 in all"):
        fit_kmeans_streamed(broken, SCALES, K, key=KEY, rows_at_once=400)
