"""Random labels."""

import jax
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.partitions import from_random_labels

KEY = jax.random.key(0)


def test_labels_are_uniform_and_partitions_independent() -> None:
    parts = from_random_labels(2000, clusters=4, partitions=3, key=KEY)
    sizes = np.asarray(parts.sizes)
    assert sizes.shape == (3, 4)
    assert ((sizes - 500) ** 2 / 500).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
    joint = np.bincount(4 * parts.assignments[0] + parts.assignments[1], minlength=16)
    assert ((joint - 125) ** 2 / 125).sum() < 37.7  # 15 degrees
    assert (from_random_labels(2000, clusters=4, partitions=3, key=KEY).assignments == parts.assignments).all()


@pytest.mark.parametrize(("clusters", "partitions"), [(0, 1), (11, 1), (2, 0)])
def test_refused(clusters: int, partitions: int) -> None:
    with pytest.raises(NopalError, match=f"{partitions} partitions into {clusters} clusters .* 10 clusters"):
        from_random_labels(10, clusters=clusters, partitions=partitions, key=KEY)
