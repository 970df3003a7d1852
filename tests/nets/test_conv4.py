"""The four-block network: its shapes, its order of layers, and its initial weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nopal.errors import NopalError
from nopal.nets.conv4 import Conv4

PLACES = [
    ("stride", 28, 2),
    ("stride", 84, 6),
    ("stride", 105, 7),
    ("pool", 28, 1),
    ("pool", 84, 5),
    ("pool", 105, 6),
    ("none", 14, 14),
]


@eqx.filter_jit
def call(network, x, statistics=None):
    return network(x, statistics)


def shapes(shape, outputs=None, **options):
    """Output and head kernel for one image, without computing anything."""

    def build():
        network = Conv4(shape, outputs, filters=2, key=jax.random.key(0), **options)
        return network(jnp.zeros((1, *shape)))[0], network.head and network.head.kernel

    return jax.tree.map(lambda array: array.shape, eqx.filter_eval_shape(build))


@pytest.mark.parametrize(("downsample", "size", "places"), PLACES)
def test_widths(downsample, size, places):
    shape, options = (size, size, 3), {"downsample": downsample}
    assert shapes(shape, readout="flatten", **options) == ((1, places * places * 2), None)
    assert shapes(shape, readout="mean", **options) == ((1, 2), None)
    assert shapes(shape, 5, readout="flatten", **options) == ((1, 5), (places * places * 2, 5))
    assert shapes(shape, 5, readout="mean", **options) == ((1, 5), (2, 5))


def test_images_need_not_be_square():
    assert shapes((20, 84, 1), 4, readout="flatten") == ((1, 4), (2 * 6 * 2, 4))
    assert shapes((20, 84, 1), 4, readout="flatten", downsample="pool") == ((1, 4), (1 * 5 * 2, 4))


def test_images_that_vanish_are_refused():
    assert shapes((16, 16, 1), downsample="pool") == ((1, 2), None)
    with pytest.raises(NopalError, match=r"15 x 28 vanish when pooled four times; expected at least 16 x 16.*stride"):
        shapes((15, 28, 1), downsample="pool")


@pytest.mark.parametrize("downsample", ["stride", "pool", "none"])
def test_layers_come_in_the_published_order(downsample):
    """Convolution, bias, normalisation, ReLU, pooling, written out with XLA's own functions."""
    draw = np.random.default_rng(0)
    network = Conv4((17, 20, 2), 3, filters=3, downsample=downsample, scale=False, epsilon=1e-3, key=jax.random.key(0))
    network = jax.tree.map(lambda a: jnp.asarray(draw.normal(size=a.shape), jnp.float32), network)  # biases too
    images = jnp.asarray(draw.random((4, 17, 20, 2)), jnp.float32)

    @jax.jit
    def expected(x):
        for block in network.blocks:
            stride = (2, 2) if downsample == "stride" else (1, 1)
            x = lax.conv_general_dilated(x, block.kernel, stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + block.bias
            x = (x - x.mean((0, 1, 2))) / jnp.sqrt(x.var((0, 1, 2)) + 1e-3) + block.normalisation.shift
            x = jnp.maximum(x, 0)
            if downsample == "pool":
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return x.mean((1, 2)) @ network.head.kernel + network.head.bias

    np.testing.assert_allclose(call(network, images)[0], expected(images), rtol=1e-3, atol=1e-4)


def test_statistics_that_were_used_give_the_same_outputs_again_also_one_by_one():
    network = Conv4((16, 16, 1), 3, filters=2, key=jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).random((5, 16, 16, 1)), jnp.float32)
    outputs, used = call(network, x)
    assert len(used) == 4
    np.testing.assert_allclose(call(network, x, used)[0], outputs, atol=1e-5)
    np.testing.assert_allclose(call(network, x[2:3], used)[0], outputs[2:3], atol=1e-5)
    assert not np.allclose(call(network, x[2:3])[0], outputs[2:3], atol=1e-2)


def test_initial_weights_are_glorot_uniform_and_biases_zero():
    network = Conv4((28, 28, 3), 7, filters=32, key=jax.random.key(0))
    for block, channels in zip(network.blocks, [3, 32, 32, 32]):
        kernel, bound = np.asarray(block.kernel), np.sqrt(6 / (9 * channels + 9 * 32))
        assert kernel.shape == (3, 3, channels, 32)
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        np.testing.assert_allclose(kernel.std(), bound / np.sqrt(3), rtol=0.1)
        assert not np.any(block.bias)
        assert not np.any(block.normalisation.shift)
    head, bound = np.asarray(network.head.kernel), np.sqrt(6 / (32 + 7))
    assert 0.9 * bound < np.abs(head).max() <= bound
    assert not np.any(network.head.bias)


def test_the_published_head_is_normal_and_the_published_normalisation_only_shifts():
    network = Conv4((28, 28, 1), 20, filters=32, scale=False, head_deviation=1.0, key=jax.random.key(0))
    head = np.asarray(network.head.kernel)
    np.testing.assert_allclose(head.std(), 1, rtol=0.1)
    assert np.abs(head).max() > 2.5
    assert all(block.normalisation.scale is None for block in network.blocks)
    assert len(jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))) == 4 * 3 + 2


def test_the_key_decides():
    first, same, other = (Conv4((16, 16, 1), 2, filters=2, key=jax.random.key(k)) for k in (0, 0, 1))
    assert eqx.tree_equal(first, same)
    assert not np.allclose(first.head.kernel, other.head.kernel)
    assert not np.allclose(first.blocks[1].kernel, first.blocks[2].kernel)
