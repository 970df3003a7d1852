"""Partitions from human labels."""

import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.partitions import from_labels


def test_a_cluster_is_a_class():
    parts = from_labels(np.array([3, 0, 3, 1, -1]))
    assert parts.sizes.tolist() == [[1, 1, 0, 2]]
    assert parts.assignments.tolist() == [[3, 0, 3, 1, -1]]
    assert parts.label is None


def test_device_arrays_serve_too():
    assert from_labels(jnp.array([0, 1, 1])).sizes.tolist() == [[1, 2]]


def test_no_labels_are_refused():
    with pytest.raises(NopalError, match="None of the 2 rows has a label"):
        from_labels(np.array([-1, -1]))
