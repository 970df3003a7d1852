"""Two networks as one: outputs, statistics and names."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.nets import MLP, Chain, Conv4, ConvEncoder
from nopal.nets.parameters import parameter_names

FIRST, SECOND, THIRD = jax.random.split(jax.random.key(0), 3)
X = jnp.asarray(np.random.default_rng(0).random((5, 6, 6, 1)), jnp.float32)


@eqx.filter_jit
def call(network, x, statistics=None):
    return network(x, statistics)


def conv(shape, outputs, key=FIRST):
    return Conv4(shape, outputs, filters=2, downsample="none", key=key)


def test_it_is_the_composition_and_vectors_take_the_shape_of_the_heads_inputs():
    """A vector of 16 features is an image of 4 x 4 x 1 to the head, as published for poses (196 to 14 x 14 x 1)."""
    encoder, head = ConvEncoder((6, 6, 1), 16, filters=(2, 3), key=FIRST), conv((4, 4, 1), 3)
    chain = Chain(encoder, head)
    outputs, used = call(chain, X)
    expected, moments = call(head, encoder(X)[0].reshape(5, 4, 4, 1))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert eqx.tree_equal(used, moments, rtol=1e-5, atol=1e-6)
    assert chain.shape == (6, 6, 1)
    names = parameter_names(chain)
    assert (names[0], names[-1]) == ("encoder.convolutions.0.kernel", "head.head.bias")


@pytest.mark.parametrize("which", ["both", "encoder", "head"])
def test_statistics_of_one_batch_normalise_another_in_the_layers_that_they_come_from(which):
    encoder = conv((6, 6, 1), 4) if which != "head" else ConvEncoder((6, 6, 1), 4, filters=(2, 3), key=FIRST)
    head = conv((2, 2, 1), 3, key=SECOND) if which != "encoder" else MLP(4, 3, key=THIRD)
    chain = Chain(encoder, head)
    outputs, used = call(chain, X)
    assert len(used) == {"both": 8, "encoder": 4, "head": 4}[which]
    again, same = call(chain, X[1:2], used)
    np.testing.assert_allclose(again, outputs[1:2], rtol=1e-4, atol=1e-5)
    assert eqx.tree_equal(same, used)
    assert not np.allclose(call(chain, X[1:2])[0], outputs[1:2], atol=1e-2)
    between, of_encoder = call(encoder, X)
    features = between.reshape(5, *head.shape)
    assert eqx.tree_equal(used, (*of_encoder, *call(head, features)[1]), rtol=1e-4, atol=1e-5)


def test_features_that_do_not_fill_the_heads_inputs_are_refused():
    with pytest.raises(NopalError, match="makes 5 features of an input, but the head takes 2 x 2 x 1; give"):
        Chain(MLP(3, 5, key=FIRST), conv((2, 2, 1), 3))
