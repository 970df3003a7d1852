"""Partitions that mean nothing: what learning on random tasks gives, below which no embedding should fall."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Key

from nopal.errors import NopalError
from nopal.partitions.partition import Partitions


def from_random_labels(n: int, *, clusters: int = 500, partitions: int = 100, key: Key[Array, ""]) -> Partitions:
    """`partitions` times a cluster for each of `n` rows, uniform and independent.

    Published (CACTUs, its row "random"): 500 clusters, 2400 partitions. Raises `NopalError` for numbers below 1 and
    more clusters than rows.
    """
    if partitions < 1 or not 1 <= clusters <= n:
        raise NopalError(
            f"{partitions} partitions into {clusters} clusters were asked for; expected at least 1, and between 1 and "
            f"{n} clusters, the number of rows."
        )
    assignments = np.asarray(jax.random.randint(key, (partitions, n), 0, clusters))
    made = {
        "how": "random",
        "clusters": clusters,
        "partitions": partitions,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    return Partitions.from_assignments(assignments, clusters, made)
