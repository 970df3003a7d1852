"""Convolution and pooling against XLA's own, values and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nopal.nets.convolution import convolve, max_pool

SHAPES = [((2, 6, 6, 3), (3, 3)), ((3, 5, 7, 2), (3, 3)), ((1, 1, 2, 1), (3, 3)), ((2, 7, 4, 2), (1, 1)), ((2, 6, 5, 2), (2, 5))]


def reference(x, kernel, stride):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def draws(shape, size, stride, *lead):
    """Images, a kernel and a direction in the space of outputs."""
    x, kernel, out = jax.random.split(jax.random.key(0), 3)
    height, width = -(-shape[1] // stride), -(-shape[2] // stride)
    return (
        jax.random.normal(x, (*lead, *shape)),
        jax.random.normal(kernel, (*lead, *size, shape[3], 4)),
        jax.random.normal(out, (*lead, shape[0], height, width, 4)),
    )


def test_ones_count_the_places_under_the_kernel():
    ones = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    assert convolve(*ones)[0, :, :, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
    # An even size has nothing to pad at the top left when the stride is 2.
    assert convolve(*ones, stride=2)[0, :, :, 0].tolist() == [[9, 6], [6, 4]]


def test_it_is_a_correlation():
    x = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1.0)
    kernel = jnp.arange(9.0).reshape(3, 3, 1, 1)
    assert convolve(x, kernel).reshape(-1).tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_values_and_gradients_are_those_of_xla(shape, size, stride):
    x, kernel, direction = draws(shape, size, stride)
    ours, pull = jax.vjp(lambda x, k: convolve(x, k, stride=stride), x, kernel)
    theirs, pull_reference = jax.vjp(lambda x, k: reference(x, k, stride), x, kernel)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for a, b in zip(pull(direction), pull_reference(direction)):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_for_each_task(stride):
    x, kernel, _ = draws((2, 5, 6, 2), (3, 3), stride, 3)
    ours = jax.vmap(lambda x, k: convolve(x, k, stride=stride))(x, kernel)
    np.testing.assert_allclose(ours, [reference(*one, stride) for one in zip(x, kernel)], atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("outer", ["forward", "reverse"])
def test_second_derivatives_are_those_of_xla(stride, outer):
    """The curvature of a loss along a direction, which is what MAML's meta-gradient is made of."""
    x, kernel, target = draws((2, 5, 6, 2), (3, 3), stride)
    along = jax.random.normal(jax.random.key(1), kernel.shape)

    def product(function):
        def gradient(k):
            return jax.grad(lambda k: jnp.sum(jnp.tanh(function(x, k, stride) - target)))(k)

        if outer == "forward":
            return jax.jvp(gradient, (kernel,), (along,))[1]
        return jax.vjp(gradient, kernel)[1](along)[0]

    ours = product(lambda x, k, stride: convolve(x, k, stride=stride))
    np.testing.assert_allclose(ours, product(reference), rtol=1e-3, atol=2e-4)


def test_pooling_takes_the_largest_of_each_square():
    x = jnp.array([[1, 2, 9], [4, 3, 9], [9, 9, 9]], jnp.float32)[None, :, :, None]
    assert max_pool(x).tolist() == [[[[4.0]]]]


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (2, 7, 5, 2), (1, 2, 3, 1)])
def test_pooling_and_its_gradient_are_those_of_xla(shape):
    def theirs(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    x = jax.random.normal(jax.random.key(0), shape)
    out, pull = jax.vjp(max_pool, x)
    expected, pull_reference = jax.vjp(theirs, x)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(pull(expected), pull_reference(expected))


def test_pooling_shares_the_gradient_among_equal_numbers():
    """After a ReLU whole squares are zero: no part of the gradient may be lost or counted twice."""
    gradient = jax.grad(lambda x: max_pool(x).sum())(jnp.zeros((1, 4, 4, 1)))
    assert gradient.reshape(2, 2, 2, 2).sum((1, 3)).tolist() == [[1, 1], [1, 1]]
