"""The encoder of poses: its places, its order of layers, and where it has a ReLU."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nopal.errors import NopalError
from nopal.nets import ConvEncoder
from nopal.nets.parameters import parameter_names

KEY = jax.random.key(0)


def test_128_places_become_8_with_the_published_filters():
    network = eqx.filter_eval_shape(lambda key: ConvEncoder((128, 128, 1), 196, key=key), KEY)
    kernels = [layer.kernel.shape for layer in network.convolutions]
    assert kernels == [(3, 3, 1, 32), (3, 3, 32, 48), (3, 3, 48, 64)]
    assert network.dense.kernel.shape == (8 * 8 * 64, 196)
    assert network.shape == (128, 128, 1)
    outputs, used = eqx.filter_eval_shape(network, jax.ShapeDtypeStruct((2, 128, 128, 1), jnp.float32))
    assert (outputs.shape, used) == ((2, 196), ())


@pytest.mark.parametrize("options", [{}, {"activation": False, "activate_outputs": True}], ids=str)
@pytest.mark.parametrize("filters", [(2, 3, 4), (3,)])
def test_layers_come_in_the_published_order(filters, options):
    """Convolutions of stride 2, the largest of 2 x 2 before the last of them, written out with XLA's own functions."""
    draw = np.random.default_rng(0)
    network = ConvEncoder((13, 10, 2), 6, filters=filters, key=KEY, **options)
    network = jax.tree.map(lambda a: jnp.asarray(draw.normal(size=a.shape), jnp.float32), network)
    images = jnp.asarray(draw.random((3, 13, 10, 2)), jnp.float32)

    @jax.jit
    def expected(x):
        *first, last = network.convolutions
        for layer in [*first, "pool", last]:
            if layer == "pool":
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
                continue
            x = lax.conv_general_dilated(x, layer.kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + layer.bias
            x = x if options else jnp.maximum(x, 0)
        outputs = x.reshape(3, -1) @ network.dense.kernel + network.dense.bias
        return jnp.maximum(outputs, 0) if options else outputs

    outputs, used = eqx.filter_jit(lambda network, x: network(x))(network, images)
    assert used == ()
    assert parameter_names(network)[:2] == ["convolutions.0.kernel", "convolutions.0.bias"]
    assert (np.asarray(outputs) < 0).any() != bool(options)
    np.testing.assert_allclose(outputs, expected(images), rtol=1e-4, atol=1e-4)


def test_initial_kernels_are_glorot_uniform_or_normal():
    network = ConvEncoder((16, 16, 3), 50, key=KEY)
    bound = np.sqrt(6 / (9 * 32 + 9 * 48))
    assert 0.98 * bound < jnp.abs(network.convolutions[1].kernel).max() <= bound
    normal = ConvEncoder((16, 16, 3), 50, deviation=0.1, key=KEY)
    for layer in (*normal.convolutions[1:], normal.dense):
        np.testing.assert_allclose(layer.kernel.std(), 0.1, rtol=0.05)
        assert not layer.bias.any()


def test_images_that_vanish_are_refused():
    assert ConvEncoder((5, 5, 1), 2, filters=(2, 2, 2), key=KEY).dense.kernel.shape == (2, 2)
    for shape in ((4, 5, 1), (5, 4, 1), (0, 9, 1)):
        with pytest.raises(NopalError, match=rf"{shape[0]} x {shape[1]} are too small for this.*at least 5 x 5"):
            ConvEncoder(shape, 2, key=KEY)
    with pytest.raises(NopalError, match="1 x 8 are too small for this encoder; expected at least 2 x 2"):
        ConvEncoder((1, 8, 1), 2, filters=(4,), key=KEY)


@pytest.mark.parametrize(("filters", "outputs"), [((), 5), ((32, 0), 5), ((32,), 0)])
def test_widths_that_are_not_positive_are_refused(filters, outputs):
    with pytest.raises(NopalError, match="expected at least 1 of each"):
        ConvEncoder((16, 16, 1), outputs, filters=filters, key=KEY)
