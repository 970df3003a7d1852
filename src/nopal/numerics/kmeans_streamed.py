"""k-means for vectors that don't fit in memory at once: Lloyd's algorithm block by block, on files mapped into
memory."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Float64, Int32, Int64, Key

from nopal.errors import NopalError
from nopal.numerics.kmeans import KMeans, State, best_of, choose_seeds, reassign, sum_by_cluster

ROWS = 1 << 16  # rows in a block: 64 MiB of 256 numbers each
SEEDING_ROWS = 1 << 18
SIDE_BY_SIDE = 2  # partitions that look at a block together: each holds its distances meanwhile


def fit_kmeans_streamed(
    z: Float[np.ndarray, "n d"],
    scales: Float[Array | np.ndarray, "P d"],
    clusters: int,
    *,
    key: Key[Array, ""],
    iterations: int = 3000,
    tolerance: float = 1e-4,
    candidates: int | None = None,
    repeats: int = 1,
    rows_at_once: int = ROWS,
    seeding_rows: int = SEEDING_ROWS,
    watch: Callable[[int], Any] = lambda finished: None,
) -> KMeans:
    """What `fit_kmeans` gives, up to rounding, without ever holding more of `z` than a block and the seeding rows.

    Every iteration reads `z` once for all partitions that have not converged; from one to the next, eight bytes a row
    are kept for each partition. The one difference: where there are more than `seeding_rows` rows, seeds are chosen
    among so many of them, drawn without replacement. Raises `NopalError` where `fit_kmeans` does.
    """
    n, scales = len(z), np.asarray(scales, np.float32)
    if not 1 <= clusters <= n:
        raise NopalError(f"{clusters} clusters were asked for; expected between 1 and {n}, the number of vectors.")
    if rows_at_once < 1 or seeding_rows < clusters:
        raise NopalError(
            f"{rows_at_once} rows at once and {seeding_rows} to choose seeds from were asked for; expected at least 1 "
            f"and at least the {clusters} clusters."
        )
    if not np.isfinite(scales).all():
        raise NopalError("A scale is NaN or infinite; leave it out.")
    if repeats > 1:
        again = functools.partial(fit_kmeans_streamed, z, scales, clusters, iterations=iterations, tolerance=tolerance)
        more = {
            "candidates": candidates,
            "rows_at_once": rows_at_once,
            "seeding_rows": seeding_rows,
            "watch": watch,
        }
        return best_of([again(key=k, **more) for k in jax.random.split(key, repeats)])  # type: ignore[arg-type]
    vectors = _Vectors.measured(z, rows_at_once)
    sample = np.arange(n)
    if n > seeding_rows:
        draw = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        sample = np.sort(draw.choice(n, seeding_rows, replace=False))
    some, fits = vectors.at(sample), []
    for p, weight in enumerate(scales**2):
        seeds = _choose(some, weight, jax.random.fold_in(key, p), clusters, candidates or 2 + int(math.log(clusters)))
        enough = tolerance * float(np.mean(weight * vectors.variance))
        fits.append(_Fit(weight, np.asarray(some[seeds]), np.zeros(n, np.int32), np.zeros(n, np.float32), enough))
    del some
    going = list(fits)
    while going:
        for fit in going:
            fit.begin(last=fit.used >= iterations or fit.converged)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
            for rows, block in vectors.blocks():
                list(side_by_side.map(functools.partial(_Fit.look, rows=rows, block=block), going))
        watch(sum(fit.last for fit in going))
        going = [fit for fit in going if not fit.last]
        for fit in going:
            fit.move(vectors)
    return KMeans(
        np.stack([fit.cluster for fit in fits]),
        np.stack([fit.centroids for fit in fits]) + vectors.mean,
        np.array([fit.inertia for fit in fits], np.float32),
        np.array([fit.used for fit in fits], np.int32),
    )


@dataclasses.dataclass
class _Vectors:
    """Vectors that are read block by block, less their mean."""

    z: Float[np.ndarray, "n d"]
    rows_at_once: int
    mean: Float32[np.ndarray, "d"]
    variance: Float64[np.ndarray, "d"]

    @classmethod
    def measured(cls, z: Float[np.ndarray, "n d"], rows_at_once: int) -> _Vectors:
        """With mean and variance; raises `NopalError` for vectors that aren't finite."""
        total, squares, bad = np.zeros(z.shape[1]), np.zeros(z.shape[1]), 0
        first = 0
        shift = np.asarray(z[0], np.float64)
        for begin in range(0, len(z), rows_at_once):
            some = np.asarray(z[begin : begin + rows_at_once], np.float64) - shift
            wrong = np.flatnonzero(~np.isfinite(some).all(1))
            if len(wrong):
                first, bad = (begin + int(wrong[0]) if not bad else first), bad + len(wrong)
                continue
            total += some.sum(0)
            squares += (some**2).sum(0)
        if bad:
            raise NopalError(f"Vector {first} (counted from 0) is NaN or infinite, {bad} in all; leave them out.")
        mean = total / len(z)
        return cls(z, rows_at_once, (shift + mean).astype(np.float32), squares / len(z) - mean**2)

    def at(self, rows: slice | Int64[np.ndarray, "m"]) -> Float[Array, "m d"]:
        return jnp.asarray(np.asarray(self.z[rows], np.float32) - self.mean)

    def blocks(self) -> Iterator[tuple[slice, Float[Array, "m d"]]]:
        """All rows in order; the next block is read while one is worked on."""
        parts = [slice(begin, begin + self.rows_at_once) for begin in range(0, len(self.z), self.rows_at_once)]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self.at, parts[0])
            for rows, following in itertools.zip_longest(parts, parts[1:]):
                block = coming.result()
                if following:
                    coming = reader.submit(self.at, following)
                yield rows, block


@dataclasses.dataclass
class _Fit:
    """One partition: what is kept from one iteration to the next, and what an iteration adds up."""

    weight: Float32[np.ndarray, "d"]
    centroids: Float32[np.ndarray, "k d"]
    cluster: Int32[np.ndarray, "n"]
    near: Float32[np.ndarray, "n"]
    enough: float
    used: int = 0
    converged: bool = False

    def begin(self, last: bool) -> None:
        k, self.last = len(self.centroids), last
        if not self.used:
            self.moved: Bool[np.ndarray, "k"] = np.ones(k, bool)
        self.sums: Float64[np.ndarray, "k d"] = np.zeros(self.centroids.shape)
        self.sizes: Int64[np.ndarray, "k"] = np.zeros(k, np.int64)
        self.changed: Bool[np.ndarray, "k"] = np.zeros(k, bool)
        self.inertia = 0.0

    def look(self, rows: slice, block: Float[Array, "m d"]) -> None:
        """Assign the rows of a block, and add them up."""
        known = self.cluster[rows], self.near[rows], self.centroids, self.moved, np.float32(0), np.int32(self.used)
        found = jax.device_get(_look(block, self.weight, State(*map(jnp.asarray, known)), self.last))
        self.cluster[rows], self.near[rows] = found[0], found[1]
        self.sums += found[2]
        self.sizes += found[3]
        self.changed |= found[4]
        self.inertia += float(found[5])

    def move(self, vectors: _Vectors) -> None:
        """Centroids become means; those of empty clusters the rows that are furthest from their own."""
        empty = self.sizes == 0
        means = (self.sums / np.maximum(self.sizes, 1)[:, None]).astype(np.float32)
        if empty.any():
            squares = [np.asarray((block * block) @ self.weight) for _, block in vectors.blocks()]
            furthest = np.argsort(-(self.near + np.concatenate(squares)), kind="stable")
            means[empty] = vectors.at(furthest[: empty.sum()])
        self.moved = self.changed | empty | (self.used == 0)
        means = np.where(self.moved[:, None], means, self.centroids)
        self.converged = bool(np.sum((means - self.centroids) ** 2 @ self.weight) <= self.enough)
        self.centroids, self.used = means, self.used + 1


@functools.partial(jax.jit, static_argnames=("clusters", "candidates"))
def _choose(
    some: Float[Array, "m d"], weight: Float[Array, "d"], key: Key[Array, ""], clusters: int, candidates: int
) -> Int32[Array, "k"]:
    return choose_seeds(some, weight, key, clusters, candidates)


@functools.partial(jax.jit, static_argnames="last")
def _look(
    block: Float[Array, "m d"], weight: Float[Array, "d"], state: State, last: bool
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Assignments and distances of a block's rows, sums and sizes of the clusters, which clusters lost or won a row,
    and the part of the inertia, wanted at the `last` pass alone."""
    cluster, near = reassign(block, weight, state)
    k = len(state.centroids)
    sizes = jnp.zeros(k, jnp.int32).at[cluster].add(1)
    changed = jnp.zeros(k, bool)
    for side in (cluster, state.cluster):
        changed = changed.at[jnp.where(cluster != state.cluster, side, k)].set(True, mode="drop")
    inertia = jnp.sum((block - state.centroids[cluster]) ** 2 @ weight) if last else jnp.zeros(())
    return cluster, near, sum_by_cluster(block, cluster, k), sizes, changed, inertia
