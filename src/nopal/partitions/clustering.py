"""Partitions of vectors by k-means: the first half of CACTUs (Hsu, Levine & Finn, 2019)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from nopal.errors import NopalError
from nopal.numerics.kmeans import KMeans, fit_kmeans
from nopal.numerics.kmeans_streamed import ROWS, fit_kmeans_streamed
from nopal.partitions.partition import Partitions

IN_MEMORY = 1 << 30  # bytes of vectors in a file that are read at once


def from_kmeans(
    z: Float[Array | np.ndarray, "n d"],
    *,
    clusters: int = 500,
    partitions: int = 50,
    scaled: bool = True,
    min_members: int = 0,
    min_kept: float = 0.0,
    retries: int = 10,
    repeats: int = 1,
    rows_at_once: int | None = None,
    key: Key[Array, ""],
    watch: Callable[[int, int], Any] = lambda done, total: None,
) -> Partitions:
    """`partitions` clusterings of the rows of `z` by k-means.

    The first is of `z` as it is; for each of the others every dimension is scaled by a number drawn from Uniform(0, 1),
    unless `scaled` is False: then they differ by their seeds. A partition is accepted if more than
    `min_kept * clusters` of its clusters have at least `min_members` members; those that are not are drawn again, at
    most `retries` times. By default all are accepted. Published: for R shots and queries together, `min_members` R + 1
    and `min_kept` 0.75 (MAML; none for pixels), 16 and 0.8 (prototypical networks). Of `repeats` clusterings with the
    same scales the tightest counts (published: 10 where there is one partition, else 1; 3 for prototypical networks).

    Vectors of more than a gigabyte that a file holds (a NumPy array mapped into memory, as `load_vectors` gives) are
    read in blocks, and so are any where `rows_at_once` says so; see `fit_kmeans_streamed`. `watch` is told of how many
    clusterings so many are done.

    Raises `NopalError` for partitions that are never accepted or never could be, and where `fit_kmeans` does.
    """
    if partitions < 1 or repeats < 1:
        raise NopalError(f"{partitions} partitions by {repeats} repeats were asked for; expected at least 1 of each.")
    if min_members < 0 or not 0 <= min_kept < 1:
        raise NopalError(
            f"The least number of members is {min_members} and the share of clusters to be kept {min_kept}; expected 0 "
            "or more, and from 0 to below 1."
        )
    if min_kept > 0 and (math.floor(min_kept * clusters) + 1) * min_members > len(z):
        raise NopalError(
            f"More than {min_kept * clusters:g} of {clusters} clusters shall have {min_members} members, but there are "
            f"only {len(z)} vectors; ask for fewer clusters, or lower min_members or min_kept."
        )
    fit: Callable[..., KMeans] = fit_kmeans
    if rows_at_once is not None or (isinstance(z, np.memmap) and z.nbytes > IN_MEMORY):
        fit = functools.partial(fit_kmeans_streamed, rows_at_once=ROWS if rows_at_once is None else rows_at_once)
    else:
        z = np.asarray(z, np.float32)
    assignments = np.zeros((partitions, len(z)), np.int32)
    todo = np.arange(partitions)
    done = total = 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        watch(done, total)

    for attempt in range(retries + 1):
        total += repeats * len(todo)
        scale_key, seed_key = jax.random.split(jax.random.fold_in(key, attempt))
        scales = np.array(
            jax.random.uniform(scale_key, (partitions, z.shape[1])) if scaled else jnp.ones((partitions, z.shape[1]))
        )
        scales[0] = 1
        assignments[todo] = fit(z, scales[todo], clusters, key=seed_key, repeats=repeats, watch=count).assignments
        kept = np.array([(np.bincount(assignments[p], minlength=clusters) >= min_members).sum() for p in todo])
        refused = ~(kept > min_kept * clusters) if min_kept > 0 else np.zeros(len(todo), bool)
        if not refused.any():
            break
        todo = todo[refused]
    else:
        raise NopalError(
            f"After {retries} retries {len(todo)} of {partitions} partitions have too few large clusters: at most "
            f"{kept[refused].max()} of {clusters} have at least {min_members} members, expected more than "
            f"{min_kept * clusters:g}; ask for fewer clusters, or lower min_members or min_kept (in a recipe, which "
            "fixes these: give another encoder)."
        )
    made = {
        "how": "k-means",
        "clusters": clusters,
        "partitions": partitions,
        "scaled": scaled,
        "min_members": min_members,
        "min_kept": min_kept,
        "repeats": repeats,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    return Partitions.from_assignments(assignments, clusters, made)
