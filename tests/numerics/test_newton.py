"""Newton's method by conjugate gradients: quadratics, a function with a known minimum, and the refusal to go uphill."""

import jax
import jax.numpy as jnp
import numpy as np

from nopal.numerics.newton import minimise


def test_a_quadratic_is_solved() -> None:
    draw = np.random.default_rng(0)
    factor, goal = draw.normal(size=(8, 6)), draw.normal(size=6).astype(np.float32)
    matrix = jnp.asarray(factor.T @ factor + np.eye(6), jnp.float32)
    found = minimise(lambda x: x @ matrix @ x / 2 - goal @ x, jnp.zeros(6))
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, goal), rtol=1e-4, atol=1e-6)
    assert found.iterations < 20


def test_where_newtons_own_steps_overshoot_they_are_shortened() -> None:
    """log(cosh) is flat far away: from 3, undamped Newton diverges."""
    found = minimise(lambda x: jnp.sum(jnp.logaddexp(x - 1, 1 - x)), jnp.full((2, 2), 4.0))
    np.testing.assert_allclose(found.x, 1, atol=1e-4)
    assert found.steepness < 1e-4


def test_it_stops_at_the_minimum_and_after_the_iterations() -> None:
    still = minimise(lambda x: jnp.sum(x**2), jnp.zeros(3))
    assert (still.iterations, still.value) == (0, 0)
    assert minimise(lambda x: jnp.sum(x**4), jnp.ones(3), iterations=2).iterations == 2


def test_many_at_once_are_as_one_by_one() -> None:
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
    solve = lambda row: minimise(lambda x: jnp.sum(jnp.exp(x - row)) - x.sum(), jnp.zeros(5)).x  # noqa: E731
    np.testing.assert_allclose(jax.vmap(solve)(rows), rows, atol=1e-3)
