"""The four-block network: its shapes, its order of layers, and its initial weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nopal.errors import NopalError
from nopal.nets.conv4 import Conv4

PLACES = [("stride", 28, 2), ("stride", 84, 6), ("stride", 105, 7), ("pool", 28, 1), ("pool", 84, 5), ("pool", 105, 6)]


def conv4(shape, outputs=None, **options):
    return Conv4(shape, outputs, key=jax.random.key(0), **({"filters": 2} | options))


@pytest.mark.parametrize(("downsample", "size", "places"), PLACES)
def test_widths(downsample, size, places):
    x = jnp.zeros((1, size, size, 1))
    flat = conv4((size, size, 1), downsample=downsample, readout="flatten")
    assert flat(x)[0].shape == (1, places * places * 2)
    assert conv4((size, size, 1), downsample=downsample, readout="mean")(x)[0].shape == (1, 2)
    headed = conv4((size, size, 1), 5, downsample=downsample, readout="flatten")
    assert headed.head.kernel.shape == (places * places * 2, 5)
    assert headed(x)[0].shape == (1, 5)


def test_images_need_not_be_square():
    network = conv4((20, 84, 3), 4, readout="flatten")
    assert network.head.kernel.shape == (2 * 6 * 2, 4)
    assert network(jnp.zeros((3, 20, 84, 3)))[0].shape == (3, 4)


def test_images_that_vanish_are_refused():
    assert conv4((16, 16, 1), downsample="pool")(jnp.zeros((1, 16, 16, 1)))[0].shape == (1, 2)
    with pytest.raises(NopalError, match=r"15 x 28 vanish when pooled four times; expected at least 16 x 16.*stride"):
        conv4((15, 28, 1), downsample="pool")


@pytest.mark.parametrize("downsample", ["stride", "pool"])
def test_layers_come_in_the_published_order(downsample):
    """Convolution, bias, normalisation, ReLU, pooling, written out with XLA's own functions."""
    network = conv4((17, 20, 2), 3, filters=3, downsample=downsample, scale=False, epsilon=1e-3)
    noisy = [a + 0.3 * jax.random.normal(jax.random.key(i), a.shape) for i, a in enumerate(jax.tree.leaves(network))]
    network = jax.tree.unflatten(jax.tree.structure(network), noisy)
    x = inputs = jax.random.uniform(jax.random.key(9), (4, 17, 20, 2))
    for block in network.blocks:
        stride = 2 if downsample == "stride" else 1
        numbers = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, block.kernel, (stride,) * 2, "SAME", dimension_numbers=numbers) + block.bias
        x = (x - x.mean((0, 1, 2))) / jnp.sqrt(x.var((0, 1, 2)) + 1e-3) + block.normalisation.shift
        x = jnp.maximum(x, 0)
        if downsample == "pool":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    expected = x.mean((1, 2)) @ network.head.kernel + network.head.bias
    np.testing.assert_allclose(network(inputs)[0], expected, atol=1e-4)


def test_statistics_that_were_used_give_the_same_outputs_again_also_one_by_one():
    network = conv4((16, 16, 1), 3)
    x = jax.random.uniform(jax.random.key(1), (5, 16, 16, 1))
    outputs, used = network(x)
    assert len(used) == 4
    np.testing.assert_allclose(network(x, used)[0], outputs, atol=1e-6)
    np.testing.assert_allclose(network(x[2:3], used)[0], outputs[2:3], atol=1e-5)
    assert not np.allclose(network(x[2:3])[0], outputs[2:3], atol=1e-2)


def test_initial_weights_are_glorot_uniform_and_biases_zero():
    network = conv4((28, 28, 3), 7, filters=32)
    for block, channels in zip(network.blocks, [3, 32, 32, 32]):
        bound = np.sqrt(6 / (9 * channels + 9 * 32))
        assert block.kernel.shape == (3, 3, channels, 32)
        assert 0.98 * bound < jnp.abs(block.kernel).max() <= bound
        np.testing.assert_allclose(block.kernel.std(), bound / np.sqrt(3), rtol=0.1)
        assert not block.bias.any()
        assert not block.normalisation.shift.any()
    bound = np.sqrt(6 / (32 + 7))
    assert 0.9 * bound < jnp.abs(network.head.kernel).max() <= bound
    assert not network.head.bias.any()


def test_the_published_head_is_normal_and_the_published_normalisation_only_shifts():
    network = conv4((28, 28, 1), 20, filters=32, scale=False, head_deviation=1.0)
    np.testing.assert_allclose(network.head.kernel.std(), 1, rtol=0.1)
    assert jnp.abs(network.head.kernel).max() > 2.5
    assert all(block.normalisation.scale is None for block in network.blocks)
    assert len(jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))) == 4 * 3 + 2


def test_the_key_decides():
    first, same, other = (Conv4((16, 16, 1), 2, filters=2, key=jax.random.key(k)) for k in (0, 0, 1))
    assert eqx.tree_equal(first, same)
    assert not np.allclose(first.head.kernel, other.head.kernel)
    kernels = [block.kernel for block in first.blocks[1:]]
    assert not np.allclose(kernels[0], kernels[1])
