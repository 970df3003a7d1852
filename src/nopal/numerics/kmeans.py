"""k-means++ (Arthur & Vassilvitskii, 2007) and Lloyd's algorithm for many scaled copies of the same vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Int32, Key

from nopal.errors import NopalError

SEEDING = 1 << 24  # distances held at once while seeding: 64 MiB, several times over
SEARCH = 1 << 18  # distances held at once while searching: 1 MiB stays in a core's cache
STRIP = 32  # centroids compared with every row at once
FEW = 64  # of no more clusters all are compared: finding out which moved costs more
BIN = 128  # rows in a bin of the sampling by weight


class KMeans(NamedTuple):
    """P partitions: the cluster of every row, centroids in the coordinates of z (unscaled), sums of squared scaled
    distances, and the number of Lloyd's iterations until convergence."""

    assignments: Int32[np.ndarray, "P n"]
    centroids: Float[np.ndarray, "P k d"]
    inertia: Float[np.ndarray, "P"]
    iterations: Int32[np.ndarray, "P"]


def fit_kmeans(
    z: Float[Array | np.ndarray, "n d"],
    scales: Float[Array | np.ndarray, "P d"],
    clusters: int,
    *,
    key: Key[Array, ""],
    iterations: int = 3000,
    tolerance: float = 1e-4,
    candidates: int | None = None,
    repeats: int = 1,
    watch: Callable[[int], Any] = lambda finished: None,
) -> KMeans:
    """Partition p clusters `z * scales[p]`; it depends on its own scales, on `key` and on p, not on the others.

    Seeds are drawn as scikit-learn draws them: each is the best of `candidates` (2 + log k where None; 1 is plain
    k-means++) drawn by squared distance. A partition has converged when its centroids moved, squared and summed, by at
    most `tolerance` times the mean variance of a scaled dimension. A cluster that loses its last member restarts from
    the row furthest from its centroid; it can end empty only where z has fewer distinct rows than clusters. Of
    `repeats` fits with different seeds the one of least inertia counts. `watch` is told how many fits are finished,
    whenever some are.
    Raises `NopalError` for fewer rows than clusters, no clusters, and vectors or scales that are not finite.
    """
    if repeats > 1:
        again = functools.partial(fit_kmeans, z, scales, clusters, iterations=iterations, tolerance=tolerance)
        fits = [again(key=k, candidates=candidates, watch=watch) for k in jax.random.split(key, repeats)]
        return best_of(fits)
    z, scales = np.asarray(z, np.float32), np.asarray(scales, np.float32)
    n = len(z)
    if not 1 <= clusters <= n:
        raise NopalError(f"{clusters} clusters were asked for; expected between 1 and {n}, the number of vectors.")
    for what, rows in (("Vector", z), ("Scale", scales)):
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(bad):
            raise NopalError(f"{what} {bad[0]} (counted from 0) is NaN or infinite, {len(bad)} in all; leave them out.")
    candidates = candidates or 2 + int(math.log(clusters))
    mean = z.mean(0)
    centred = jnp.asarray(z - mean)
    # More together would not be cheaper, and between two groups a person can stop.
    group = max(1, min(10, SEEDING // (candidates * n)))
    fit = functools.partial(_fit, clusters=clusters, candidates=candidates)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(len(scales)))
    parts = []
    for i in range(0, len(scales), group):
        parts.append(
            jax.device_get(fit(centred, scales[i : i + group] ** 2, keys[i : i + group], iterations, tolerance))
        )
        watch(len(parts[-1][2]))
    assignments, centroids, inertia, used = (np.concatenate(arrays) for arrays in zip(*parts))
    return KMeans(assignments, centroids + mean, inertia, used)


def best_of(fits: list[KMeans]) -> KMeans:
    """Each partition from the fit in which its inertia is least."""
    best = np.argmin([fit.inertia for fit in fits], axis=0)
    return KMeans(*(np.stack(of_fits)[best, np.arange(len(best))] for of_fits in zip(*fits)))


@functools.partial(jax.jit, static_argnames=("clusters", "candidates"))
def _fit(
    z: Float[Array, "n d"],
    weights: Float[Array, "G d"],
    keys: Key[Array, "G"],
    iterations: int | Int[Array, ""],
    tolerance: float | Float[Array, ""],
    clusters: int,
    candidates: int,
) -> tuple[Int32[Array, "G n"], Float[Array, "G k d"], Float[Array, "G"], Int32[Array, "G"]]:
    """Seed all partitions together, which shares one product; then refine them one by one, small ones together."""
    seeds = jax.vmap(lambda weight, key: choose_seeds(z, weight, key, clusters, candidates))(weights, keys)
    most = max(1, min(len(weights), SEARCH // (len(z) * clusters)))
    together = next(size for size in range(most, 0, -1) if len(weights) % size == 0)
    refine = lambda one: _refine(z, one[0], z[one[1]], iterations, tolerance)  # noqa: E731
    return lax.map(refine, (weights, seeds), batch_size=together)


def choose_seeds(
    z: Float[Array, "n d"], weight: Float[Array, "d"], key: Key[Array, ""], clusters: int, candidates: int
) -> Int32[Array, "k"]:
    """Rows of z to begin with."""
    n = len(z)
    squares = (z * z) @ weight

    def distances(rows: Int32[Array, "c"]) -> Float[Array, "c n"]:
        return jnp.maximum(squares + squares[rows, None] + _dot(-2 * weight * z[rows], z), 0)

    def step(nearest: Float[Array, "n"], uniform: Float[Array, "c"]) -> tuple[Float[Array, "n"], Int32[Array, ""]]:
        rows = _draw(nearest, uniform)
        after = jnp.minimum(distances(rows), nearest)
        best = after.sum(1).argmin()
        return after[best], rows[best]

    first_key, key = jax.random.split(key)
    first = jax.random.randint(first_key, (1,), 0, n)
    _, others = lax.scan(step, distances(first)[0], jax.random.uniform(key, (clusters - 1, candidates)))
    return jnp.concatenate([first, others])


def _draw(weights: Float[Array, "n"], uniform: Float[Array, "c"]) -> Int32[Array, "c"]:
    """Rows drawn in proportion to their weights: first a bin of rows, then a row of the bin."""
    n = len(weights)
    bins = jnp.pad(weights, (0, -n % BIN)).reshape(-1, BIN)
    up_to = jnp.cumsum(bins.sum(1))
    goal = uniform * up_to[-1]
    found = jnp.minimum((up_to <= goal[:, None]).sum(1), len(bins) - 1)
    goal -= jnp.where(found > 0, up_to[found - 1], 0)
    within = (jnp.cumsum(bins[found], 1) <= goal[:, None]).sum(1)
    return jnp.minimum(found * BIN + jnp.minimum(within, BIN - 1), n - 1).astype(jnp.int32)


class State(NamedTuple):
    """Assignments and own distances (but for the row's own square) hold for the centroids before they moved."""

    cluster: Int32[Array, "n"]
    near: Float[Array, "n"]
    centroids: Float[Array, "k d"]
    moved: Bool[Array, "k"]
    shift: Float[Array, ""]
    iteration: Int32[Array, ""]


def _refine(
    z: Float[Array, "n d"],
    weight: Float[Array, "d"],
    centroids: Float[Array, "k d"],
    iterations: int | Int[Array, ""],
    tolerance: float | Float[Array, ""],
) -> tuple[Int32[Array, "n"], Float[Array, "k d"], Float[Array, ""], Int32[Array, ""]]:
    """Lloyd's algorithm."""
    n, k = len(z), len(centroids)
    enough = tolerance * jnp.mean(weight * z.var(0))
    squares = (z * z) @ weight

    def step(state: State) -> State:
        cluster, near = reassign(z, weight, state)
        sizes = jnp.zeros(k).at[cluster].add(1)
        empty = sizes == 0
        changed = cluster != state.cluster
        moved = empty | (state.iteration == 0)
        for side in (cluster, state.cluster):
            moved = moved.at[jnp.where(changed, side, k)].set(True, mode="drop")
        means = sum_by_cluster(z, cluster, k) / jnp.maximum(sizes, 1)[:, None]

        def restart() -> Float[Array, "k d"]:
            furthest = lax.top_k(near + squares, k)[1]
            return jnp.where(empty[:, None], z[furthest[jnp.cumsum(empty) - 1]], means)

        means = jnp.where(moved[:, None], lax.cond(empty.any(), restart, lambda: means), state.centroids)
        shift = jnp.sum((means - state.centroids) ** 2 @ weight)
        return State(cluster, near, means, moved, shift, state.iteration + 1)

    first = State(
        jnp.zeros(n, jnp.int32), jnp.zeros(n), centroids, jnp.ones(k, bool), jnp.array(jnp.inf), jnp.array(0, jnp.int32)
    )
    last = lax.while_loop(lambda s: (s.shift > enough) & (s.iteration < iterations), step, first)
    cluster, _ = reassign(z, weight, last)
    inertia = jnp.sum((z - last.centroids[cluster]) ** 2 @ weight)
    return cluster, last.centroids, inertia, last.iteration


def reassign(
    z: Float[Array, "n d"], weight: Float[Array, "d"], state: State
) -> tuple[Int32[Array, "n"], Float[Array, "n"]]:
    """The closest centroid of every row, exactly, at a cost that falls with the number of centroids that moved.

    A row need only be compared with centroids that moved, unless its own moved away from it: then with all.
    """
    n, k = len(z), len(state.centroids)
    norms, weighted = (state.centroids**2) @ weight, -2 * weight * state.centroids

    def closest(centroids: Int32[Array, "c"], rows: Float[Array, "m d"]) -> tuple[Int32[Array, "m"], Float[Array, "m"]]:
        distance = norms[centroids, None] + _dot(weighted[centroids], rows)
        least = distance.min(0)
        # Two plain reductions; XLA's argmin takes twice as long on a CPU.
        return jnp.where(distance <= least, centroids[:, None], k).min(0), least

    if k <= FEW:
        return closest(jnp.arange(k, dtype=jnp.int32), z)
    own = norms[state.cluster] + jnp.sum(z * weighted[state.cluster], 1)
    count = state.moved.sum()
    away = state.moved[state.cluster] & (own > state.near)
    all_over = (count / k + away.mean() > 0.9) | (state.iteration == 0)
    away |= all_over

    strip = min(STRIP, k)
    moved_first = jnp.pad(jnp.argsort(~state.moved).astype(jnp.int32), (0, -k % strip), mode="edge")

    def compare(i: Int32[Array, ""], best: tuple[Array, Array]) -> tuple[Array, Array]:
        cluster, near = closest(lax.dynamic_slice(moved_first, (i * strip,), (strip,)), z)
        return jnp.where(near < best[1], cluster, best[0]), jnp.minimum(near, best[1])

    strips = jnp.where(all_over, 0, (count + strip - 1) // strip)
    best = lax.fori_loop(0, strips, compare, (state.cluster, own))

    block = min(max(1, SEARCH // k), n)
    rows = jnp.nonzero(away, size=n + -n % block, fill_value=n)[0]

    def search(i: Int32[Array, ""], best: tuple[Array, Array]) -> tuple[Array, Array]:
        some = lax.dynamic_slice(rows, (i * block,), (block,))
        found = closest(jnp.arange(k, dtype=jnp.int32), z.at[some].get(mode="clip"))
        return best[0].at[some].set(found[0], mode="drop"), best[1].at[some].set(found[1], mode="drop")

    return lax.fori_loop(0, (away.sum() + block - 1) // block, search, best)


def sum_by_cluster(z: Float[Array, "n d"], cluster: Int32[Array, "n"], k: int) -> Float[Array, "k d"]:
    """Sum of the rows of each cluster, in an order that doesn't change from run to run."""
    if jax.default_backend() == "cpu" and k > FEW:
        return jnp.zeros((k, z.shape[1])).at[cluster].add(z)
    return lax.dot(jax.nn.one_hot(cluster, k, axis=0), z, precision="highest")


def _dot(a: Float[Array, "m d"], b: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """a b', never in the reduced precision that accelerators prefer: centred distances are differences."""
    return jnp.dot(a, b.T, precision="highest")
