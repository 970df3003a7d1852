"""Forward-over-reverse gradients against JAX's own reverse over reverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.numerics.mixed_mode import mixed_mode_gradient

DRAW = np.random.default_rng(0)
A = {"w": DRAW.normal(size=(3, 2)), "b": DRAW.normal(size=2)}
B = {"x": DRAW.normal(size=(4, 3)), "y": np.array([0, 1, 1, 0]), "scale": np.array(1.5), "none": None}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def loss(a, b):
    logits = b["scale"] * jnp.tanh(b["x"] @ a["w"]) + a["b"] ** 2
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), b["y"][:, None], axis=1).sum()


def assert_same(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected)


def descended(gradient):
    """The loss after three steps of descent, as a function of where it began and of the floats it depends on."""

    def function(a, x, scale):
        b = {**on_device(B), "x": x, "scale": scale}
        a, _ = jax.lax.scan(lambda a, _: (jax.tree.map(lambda w, g: w - 0.1 * g, a, gradient(a, b)), None), a, None, 3)
        return loss(a, b)

    return function


def test_on_a_quadratic_the_derivative_is_the_matrix():
    """loss = a'Qa / 2 + a'Rb has gradient Qa + Rb; along d that changes by Qd in a and R'd in b."""
    q = DRAW.normal(size=(3, 3))
    q, r, d = jnp.asarray(q + q.T), jnp.asarray(DRAW.normal(size=(3, 2))), jnp.asarray(DRAW.normal(size=3))
    gradient = mixed_mode_gradient(lambda a, b: a @ q @ a / 2 + a @ r @ b)
    a, b = jnp.array([1.0, -2.0, 0.5]), jnp.array([3.0, 4.0])
    value, pull = jax.vjp(gradient, a, b)
    np.testing.assert_allclose(value, q @ a + r @ b, rtol=1e-12)
    np.testing.assert_allclose(pull(d)[0], q @ d, rtol=1e-12)
    np.testing.assert_allclose(pull(d)[1], r.T @ d, rtol=1e-12)


def test_it_is_the_gradient_also_with_whole_numbers_among_the_arguments():
    a, b = on_device(A), on_device(B)
    assert_same(jax.jit(mixed_mode_gradient(loss))(a, b), jax.jit(jax.grad(loss))(a, b))


def test_through_descent_its_derivative_is_that_of_reverse_over_reverse():
    arguments = on_device((A, B["x"], B["scale"]))
    found, expected = (
        jax.jit(jax.grad(descended(gradient), argnums=(0, 1, 2)))(*arguments)
        for gradient in (mixed_mode_gradient(loss), jax.grad(loss))
    )
    assert_same(found, expected)
    assert all(jnp.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(found))


def test_it_can_be_vectorised():
    starts = on_device({"w": DRAW.normal(size=(5, 3, 2)), "b": DRAW.normal(size=(5, 2))})
    x, scale = on_device((B["x"], B["scale"]))
    derivative = jax.grad(descended(mixed_mode_gradient(loss)))
    together = jax.jit(jax.vmap(derivative, (0, None, None)))(starts, x, scale)
    one = jax.jit(derivative)(jax.tree.map(lambda leaf: leaf[3], starts), x, scale)
    assert_same(jax.tree.map(lambda leaf: leaf[3], together), one)
