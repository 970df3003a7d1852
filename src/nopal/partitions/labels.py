"""Partitions from human labels: what an oracle would cluster."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Int

from nopal.errors import NopalError
from nopal.partitions.partition import Partitions


def from_labels(labels: Int[Array | np.ndarray, "n"]) -> Partitions:
    """One partition whose cluster c holds the rows labelled c; rows labelled -1 are left out.

    A class number that no row bears is an empty cluster, which no task can draw. Raises `NopalError` where no row
    is labelled.
    """
    labels = np.asarray(labels)
    if not (labels >= 0).any():
        raise NopalError(
            f"None of the {len(labels)} rows has a label; expected whole numbers from 0, with -1 for rows to leave out."
        )
    return Partitions.from_assignments(labels[None], int(labels.max()) + 1, {"how": "labels"})
