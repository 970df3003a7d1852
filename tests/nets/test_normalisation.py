"""Batch normalisation with statistics that are values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.nets.normalisation import Moments, Normalisation


def test_moments_and_output_by_hand():
    out, moments = Normalisation(2, epsilon=0.25)(jnp.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0], [6.0, 5.0]]), None)
    assert moments.mean.tolist() == [3.0, 5.0]
    assert moments.variance.tolist() == [3.5, 0.0]  # divided by the number of examples, not by one less
    np.testing.assert_allclose(out[:, 0], np.array([-2.0, 0.0, -1.0, 3.0]) / np.sqrt(3.75), rtol=1e-6)
    assert out[:, 1].tolist() == [0.0] * 4


def test_images_are_normalised_over_examples_and_places():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 5, 6, 3))
    out, moments = Normalisation(3)(x, None)
    flat = np.asarray(x).reshape(-1, 3)
    np.testing.assert_allclose(moments.mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, flat.var(0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(out).reshape(-1, 3).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.asarray(out).reshape(-1, 3).std(0), 1, rtol=1e-5)


def test_given_moments_are_used_and_returned():
    given = Moments(jnp.array([1.0]), jnp.array([4.0]))
    out, used = Normalisation(1, epsilon=0.0)(jnp.array([[5.0]]), given)
    assert out.tolist() == [[2.0]]
    assert (used.mean, used.variance) == (given.mean, given.variance)


def test_scale_and_shift_come_after():
    layer = Normalisation(1, epsilon=0.0)
    layer = eqx.tree_at(lambda layer: (layer.scale, layer.shift), layer, (jnp.array([3.0]), jnp.array([10.0])))
    assert layer(jnp.array([[-1.0], [1.0]]), None)[0].tolist() == [[7.0], [13.0]]


@pytest.mark.parametrize(("scale", "parameters"), [(True, 2), (False, 1)])
def test_the_scale_is_optional(scale, parameters):
    layer = Normalisation(3, scale=scale)
    assert len(jax.tree.leaves(eqx.filter(layer, eqx.is_inexact_array))) == parameters
    assert layer(jnp.array([[0.0] * 3, [2.0] * 3]), None)[0] == pytest.approx(
        np.array([[-1.0] * 3, [1.0] * 3]), rel=1e-4
    )


def test_a_constant_feature_has_a_finite_gradient():
    gradient = jax.grad(lambda x: Normalisation(1)(x, None)[0][0, 0])(jnp.ones((3, 1)))
    assert jnp.isfinite(gradient).all()
