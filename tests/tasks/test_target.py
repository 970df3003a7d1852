"""Targets: losses and scores by hand and against scipy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from nopal.tasks.target import Categorical, Gaussian


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[1.0, 2.0, 1.0], [6.0, 1.0, 1.0]]))
    losses = Categorical(3).loss(logits, jnp.array([1, 2]))
    np.testing.assert_allclose(losses, [math.log(2), math.log(8)], rtol=1e-6)


def test_cross_entropy_of_huge_logits_is_finite():
    np.testing.assert_allclose(Categorical(2).loss(jnp.array([[0.0, 1e4]]), jnp.array([0])), [1e4])


def test_accuracy_counts_the_most_probable_class_and_ties_go_to_the_smallest_label():
    logits = jnp.array([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert Categorical(3).score(logits, jnp.array([1, 0, 1])).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_gaussian_likelihood_is_that_of_scipy(scale):
    mean = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    y = np.array([[0.0, 1.0], [1.0, 1.0], [-4.0, 2.0]])
    losses = Gaussian(2, scale).loss(jnp.asarray(mean, jnp.float32), jnp.asarray(y, jnp.float32))
    np.testing.assert_allclose(losses, -norm.logpdf(y, mean, scale).sum(1), rtol=1e-5)


def test_squared_error_is_averaged_over_dimensions_and_does_not_know_the_scale():
    mean, y = jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.array([[2.0, 4.0], [0.0, 3.0]])
    assert Gaussian(2, 0.1).score(mean, y).tolist() == [2.5, 4.5]


def test_targets_are_values():
    assert Categorical(5) == Categorical(5) != Categorical(6)
    assert hash(Gaussian(1, 2.0)) == hash(Gaussian(1, 2.0))
    assert (Categorical(5).width, Gaussian(3).width) == (5, 3)
    assert (Categorical(5).metric, Gaussian(3).metric) == ("accuracy", "squared_error")
