"""The multilayer perceptron by hand, and its initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.nets import MLP


def test_layers_by_hand():
    network = MLP(2, 1, hidden=(2,), key=jax.random.key(0))
    weights = [[[1.0, -1.0], [2.0, 3.0]], [0.5, 0.0], [[1.0], [10.0]], [-1.0]]
    network = jax.tree.unflatten(jax.tree.structure(network), map(jnp.array, weights))
    # Hidden: (1 + 2 + .5, -1 + 3) and (-2 + .5 -> 0, -3 -> 0).
    outputs, statistics = network(jnp.array([[1.0, 1.0], [0.0, -1.0]]))
    np.testing.assert_allclose(outputs, [[3.5 + 20 - 1], [-1.0]])
    assert statistics == ()


def test_widths_and_shape():
    network = MLP(3, 2, hidden=(5, 7), key=jax.random.key(0))
    assert [layer.kernel.shape for layer in network.layers] == [(3, 5), (5, 7), (7, 2)]
    assert network.shape == (3,)
    assert MLP(3, 2, hidden=(), key=jax.random.key(0)).layers[0].kernel.shape == (3, 2)


def test_initial_weights():
    glorot = MLP(200, 100, hidden=(), key=jax.random.key(0)).layers[0]
    limit = np.sqrt(6 / 300)
    assert 0.99 * limit < jnp.abs(glorot.kernel).max() <= limit
    assert not glorot.bias.any()
    normal = MLP(200, 100, hidden=(), deviation=0.01, key=jax.random.key(0)).layers[0]
    assert float(normal.kernel.std()) == pytest.approx(0.01, rel=0.03)


def test_widths_that_are_not_positive_are_refused():
    with pytest.raises(NopalError, match=r"widths of the layers are \(1, 0, 1\)"):
        MLP(1, 1, hidden=(0,), key=jax.random.key(0))
