"""Convolution and pooling against XLA's own, values and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nopal.mapping import bytes_written
from nopal.nets import convolution
from nopal.nets.convolution import convolve, few_at_once, max_pool

SHAPES = [
    ((3, 6, 7, 2), (3, 3)),
    ((1, 1, 2, 1), (3, 3)),
    ((2, 6, 5, 2), (2, 5)),
    ((2, 7, 4, 2), (1, 1)),
    ((2, 5, 4, 17), (3, 3)),
]


def ours(x, kernel, stride):
    return convolve(x, kernel, stride=stride)


def theirs(x, kernel, stride):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(
    ("stride", "counts"),
    [
        (1, [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]),
        (2, [[9, 6], [6, 4]]),  # an even size has nothing to pad at the top left
    ],
)
def test_ones_count_the_places_under_the_kernel(stride, counts):
    out = jax.jit(ours, static_argnums=2)(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), stride)
    assert out[0, :, :, 0].tolist() == counts


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_values_and_gradients_are_those_of_xla(shape, size, stride):
    x, kernel = normal(*shape), normal(*size, shape[3], 4, seed=1)
    direction = normal(shape[0], -(-shape[1] // stride), -(-shape[2] // stride), 4, seed=2)

    def derive(function):
        out, pull = jax.vjp(lambda x, k: function(x, k, stride), x, kernel)
        return out, *pull(direction)

    for a, b in zip(*jax.jit(lambda: (derive(ours), derive(theirs)))()):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(("stride", "channels"), [(1, 2), (1, 17), (2, 2)])
def test_second_derivatives_are_those_of_xla_with_a_kernel_for_each_task(stride, channels):
    """The curvature of a loss along a direction, forward and reverse over reverse: what MAML is made of."""
    x, kernel, along = (
        normal(3, 2, 5, 6, channels),
        normal(3, 3, 3, channels, 4, seed=1),
        normal(3, 3, 3, channels, 4, seed=2),
    )

    def curvature(function):
        def of_task(x, kernel, along):
            gradient = jax.grad(lambda k: jnp.sum(jnp.tanh(0.3 * function(x, k, stride))))
            forward = jax.jvp(gradient, (kernel,), (along,))[1]
            return forward, jax.vjp(gradient, kernel)[1](along)[0]

        return jax.vmap(of_task)(x, kernel, along)

    found, expected = jax.jit(lambda: (curvature(ours), curvature(theirs)))()
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (2, 7, 5, 2), (1, 2, 3, 1)])
def test_pooling_and_its_gradient_are_those_of_xla(shape):
    def reference(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def derive(function, x):
        out, pull = jax.vjp(function, x)
        return out, pull(out)[0]

    for a, b in zip(*jax.jit(lambda x: (derive(max_pool, x), derive(reference, x)))(normal(*shape))):
        np.testing.assert_array_equal(a, b)


def test_pooling_leaves_out_an_odd_row_and_column():
    x = jnp.array([[1, 2, 9], [4, 3, 9], [9, 9, 9]], jnp.float32)[None, :, :, None]
    assert jax.jit(max_pool)(x).tolist() == [[[[4.0]]]]


def test_pooling_shares_the_gradient_among_equal_numbers():
    """After a ReLU whole squares are zero: no part of the gradient may be lost or counted twice."""
    gradient = jax.jit(jax.grad(lambda x: max_pool(x).sum()))(jnp.zeros((1, 4, 4, 1)))
    assert np.asarray(gradient).reshape(2, 2, 2, 2).sum((1, 3)).tolist() == [[1, 1], [1, 1]]


def test_a_few_images_at_once_have_the_values_and_derivatives_of_all(monkeypatch):
    """Room for two of six images (of seven: for one), and in an inner step and its derivative, too."""

    def network(kernel, x):
        return jnp.tanh(convolve(x, kernel, stride=2))

    def found(few, x):
        def loss(kernel):
            return jnp.sum((few_at_once(lambda x: network(kernel, x), x) if few else network(kernel, x)) ** 3)

        return (loss(kernel), *jax.jvp(jax.grad(loss), (kernel,), (along,)))

    kernel, along = normal(3, 3, 2, 4, seed=1), normal(3, 3, 2, 4, seed=2)
    sizes = []
    watched = lambda x: sizes.append(len(x)) or network(kernel, x)  # noqa: E731
    one = bytes_written(jax.make_jaxpr(lambda x: network(kernel, x))(normal(1, 6, 5, 2)).jaxpr)
    monkeypatch.setattr(convolution, "CACHE", 2 * one + 1)
    for images, together in ((6, 2), (7, 1), (2, 2)):
        x = normal(images, 6, 5, 2)
        for a, b in zip(*jax.jit(lambda x: (found(True, x), found(False, x)))(x)):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        few_at_once(watched, x)
        assert sizes[-1] == together
    assert few_at_once(lambda x: network(kernel, x), normal(0, 6, 5, 2)).shape == (0, 3, 3, 4)
