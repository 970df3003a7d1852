"""What a partition is like: cluster sizes, and how well clusters agree with classes where these are known."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Array, Int

from nopal.partitions.partition import Partitions


@dataclasses.dataclass(frozen=True)
class Summary:
    """One partition, after dropping clusters that are too small: all numbers are about the `clusters` that were kept.

    `smallest`, `median` and `largest` are cluster sizes, `rows` the rows in kept clusters. `purity` is the share of
    these rows whose class is the commonest of their cluster, `nmi` the mutual information of cluster and class over the
    mean of their entropies; both are None where there are no labels, sizes are 0 where no cluster is kept.
    """

    clusters: int
    rows: int
    smallest: int
    median: float
    largest: int
    purity: float | None = None
    nmi: float | None = None


def summarise(
    partitions: Partitions, min_members: int = 1, labels: Int[Array | np.ndarray, "n"] | None = None
) -> list[Summary]:
    """One `Summary` for every partition, of its clusters with at least `min_members` members."""
    if labels is not None:
        partitions.check_rows(len(labels))
    rows = []
    for sizes, cluster in zip(np.asarray(partitions.sizes), partitions.assignments):
        kept = sizes >= max(min_members, 1)
        big = sizes[kept] if kept.any() else np.zeros(1, np.int32)
        agreement: tuple[float | None, float | None] = (None, None)
        if labels is not None and kept.any():
            inside = (cluster >= 0) & kept[cluster]
            agreement = _agreement(cluster[inside], np.asarray(labels)[inside])
        rows.append(
            Summary(int(kept.sum()), int(big.sum()), int(big.min()), float(np.median(big)), int(big.max()), *agreement)
        )
    return rows


def _agreement(clusters: Int[np.ndarray, "m"], classes: Int[np.ndarray, "m"]) -> tuple[float, float]:
    """Purity and normalised mutual information of two labellings of the same rows."""
    (a, clusters), (b, classes) = (np.unique(x, return_inverse=True) for x in (clusters, classes))
    joint = np.bincount(clusters * len(b) + classes, minlength=len(a) * len(b)).reshape(len(a), len(b)) / len(clusters)
    entropy = [-np.sum(p[p > 0] * np.log(p[p > 0])) for p in (joint.sum(1), joint.sum(0), joint)]
    mean = (entropy[0] + entropy[1]) / 2
    nmi = float((entropy[0] + entropy[1] - entropy[2]) / mean) if mean > 0 else 1.0
    return float(joint.max(1).sum()), max(nmi, 0.0)
