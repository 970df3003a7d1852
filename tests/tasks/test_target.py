"""Targets: losses and scores by hand and against scipy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from nopal.errors import NopalError
from nopal.tasks.circle import Circular, VonMises
from nopal.tasks.episode import Examples
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


def test_logits_that_are_no_numbers_are_not_taken_for_a_guess():
    """A class that the support set does not have may well be impossible."""
    logits = jnp.array([[0.0, jnp.nan], [-jnp.inf, 1.0]])
    np.testing.assert_array_equal(Categorical(2).score(logits, jnp.array([0, 1])), [np.nan, 1.0])


@pytest.mark.parametrize("target", [Gaussian(1), Gaussian(3), Circular(10.0), VonMises(10.0), Categorical(4)])
def test_labels_of_another_shape_are_refused(target):
    """NumPy's rules would compare every label with every prediction."""
    x = np.zeros((5, 2), np.float32)
    right = np.zeros((5, *target.shape), np.int32 if target.metric == "accuracy" else np.float32)
    assert Examples(x, right, target).y.shape == right.shape
    for wrong in (right[..., None], right[:4], right.reshape(-1)[: 1 if target.shape else 0]):
        with pytest.raises(NopalError, match=r"The labels of 5 inputs have shape .*; expected \(5,"):
            Examples(x, wrong, target)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_density_has_a_positive_width(scale):
    with pytest.raises(NopalError, match="The standard deviation of the target is"):
        Gaussian(1, scale)


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


@pytest.mark.parametrize(("wrapped", "errors"), [(False, [8.9, 8.7, 5.0]), (True, [1.1, 1.3, 5.0])])
def test_errors_across_the_seam(wrapped, errors):
    """Straight, as published: 9 for 0.1 is wrong by 8.9. Wrapped: by 1.1. For lines and circles alike."""
    guess, y = jnp.array([[9.0], [1.0], [7.0]]), jnp.array([[0.1], [9.7], [2.0]])
    circle, line = Circular(10.0, wrapped), Gaussian(1, 0.5, 10.0 if wrapped else None)
    np.testing.assert_allclose(circle.score(circle.encode(guess), y), np.square(errors), rtol=1e-4)
    np.testing.assert_allclose(line.score(guess, y), np.square(errors), rtol=1e-4)
    assert circle.metric == line.metric == ("squared_arc" if wrapped else "squared_error")
    np.testing.assert_array_equal(line.loss(guess, y), Gaussian(1, 0.5).loss(guess, y))  # the loss is a line's


def test_predictions_several_turns_off_are_brought_back_only_where_errors_are_wrapped():
    guess = jnp.array([[-19.0]])
    assert Gaussian(1, 1.0, 10.0).score(guess, jnp.array([[0.5]])).tolist() == [0.25]
    assert Gaussian(1).score(guess, jnp.array([[0.5]])).tolist() == [380.25]
