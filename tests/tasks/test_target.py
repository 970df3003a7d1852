"""Targets: losses and scores by hand and against scipy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from nopal.errors import NopalError
from nopal.tasks.target import Categorical, Circular, Gaussian


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[1.0, 2.0, 1.0], [6.0, 1.0, 1.0]]))
    losses = Categorical(3).loss(logits, jnp.array([1, 2]))
    np.testing.assert_allclose(losses, [math.log(2), math.log(8)], rtol=1e-6)


def test_cross_entropy_of_huge_logits_is_finite():
    np.testing.assert_allclose(Categorical(2).loss(jnp.array([[0.0, 1e4]]), jnp.array([0])), [1e4])


def test_accuracy_counts_the_most_probable_class_and_ties_go_to_the_smallest_label():
    logits = jnp.array([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert Categorical(3).score(logits, jnp.array([1, 0, 1])).tolist() == [1.0, 1.0, 0.0]


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


def test_a_circle_is_encoded_clockwise_from_the_top():
    np.testing.assert_allclose(
        Circular(10.0).encode(jnp.array([[0.0], [2.5], [5.0], [7.5]])), [[0, 1], [1, 0], [0, -1], [-1, 0]], atol=1e-6
    )


def test_only_the_direction_of_a_point_is_decoded():
    points = jnp.array([[0.0, 2.0], [0.5, 0.5], [0.0, -0.1], [-3.0, 0.0], [-1e-30, 1.0], [0.0, 0.0]])
    places = Circular(10.0).decode(points)
    np.testing.assert_allclose(places[:, 0], [0, 1.25, 5, 7.5, 0, 0], atol=1e-5)
    assert (np.asarray(places) < 10).all()


@pytest.mark.parametrize("length", [0.0, 0.3, 0.9, 0.98])
@pytest.mark.parametrize("angle", [0.1, 1.5, 3.0, 5.9])
def test_the_number_expected_on_a_circle_is_the_mean_of_normal_angles_and_of_any(length, angle):
    """With their variance, -2 log(.99), as many normal angles as make the mean point have this length."""
    point = jnp.array([[length * math.sin(angle), length * math.cos(angle)]])
    ranks = (np.arange(200_000) + 0.5) / 200_000
    angles = angle + math.sqrt(-2 * math.log(0.99)) * norm.ppf(ranks)
    share = length / math.hypot(np.sin(angles).mean(), np.cos(angles).mean())
    assert 0 <= share <= 1
    near, any_place = (angles % (2 * math.pi)).mean() * 10 / (2 * math.pi), 5.0
    np.testing.assert_allclose(Circular(10.0).expected(point), [[share * near + (1 - share) * any_place]], atol=2e-3)


@pytest.mark.parametrize("place", [0.4, 3.0, 9.7])
def test_errors_that_were_met_make_the_distribution_on_a_circle(place):
    """By numerical integration: four fifths of errors and their opposites, blurred by 3.6 degrees, one fifth what a
    point stands for without them."""
    target, errors = Circular(10.0), np.array([0.1, -0.4, 3.0])
    point = 0.9 * target.encode(jnp.array([[place]]))
    found = target.spread(point, jnp.asarray(errors))
    grid = np.arange(20_000) / 2_000
    density = np.zeros(len(grid))
    for error in (*errors, *-errors):
        centre, width = place + error / (2 * np.pi) * 10, np.sqrt(-2 * np.log(0.998)) / (2 * np.pi) * 10
        away = (grid - centre + 5) % 10 - 5
        density += np.exp(-((away / width) ** 2) / 2)
    mean = (grid * density).sum() / density.sum()
    alone = target.expected(point)
    np.testing.assert_allclose(target.expected(found), 0.8 * mean + 0.2 * alone, atol=5e-3)
    np.testing.assert_allclose(target.decode(found), [[place]], atol=1e-4)
    np.testing.assert_array_equal(target.spread(point, jnp.array([0.1, jnp.nan, -0.4, 3.0])), found)
    np.testing.assert_array_equal(target.expected(target.spread(point, jnp.array([jnp.nan]))), alone)
    np.testing.assert_allclose(target.loss(found, jnp.array([[1.0]])), target.loss(found[:, :2], jnp.array([[1.0]])))


def test_a_point_that_is_mostly_wrong_by_half_a_turn_is_turned():
    target = Circular(10.0)
    found = target.spread(target.encode(jnp.array([[2.0]])), jnp.array([np.pi, np.pi, 0.1]))
    np.testing.assert_allclose(target.decode(found), [[7.0]], atol=1e-4)


def test_points_on_and_outside_the_circle_are_expected_where_they_point_to_but_near_the_seam():
    target, places = Circular(10.0), jnp.array([[1.0], [2.5], [7.0], [9.0]])
    np.testing.assert_allclose(target.expected(target.encode(places)), places, atol=1e-3)
    np.testing.assert_allclose(target.expected(3 * target.encode(places)), places, atol=1e-3)
    near = target.expected(target.encode(jnp.array([[0.1], [9.9]])))
    deviation = math.sqrt(-2 * math.log(0.99)) * 10 / (2 * math.pi)
    np.testing.assert_allclose(near[0], 0.1 + 10 * norm.cdf(-0.1 / deviation), atol=1e-3)
    np.testing.assert_allclose(near[1], 10 - near[0], atol=1e-4)


def test_the_loss_on_a_circle_is_the_squared_chord_and_knows_no_seam():
    target = Circular(10.0)
    points = target.encode(jnp.array([[9.9], [5.0], [2.5]]))
    loss = target.loss(points, jnp.array([[0.1], [0.0], [2.5]]))
    np.testing.assert_allclose(loss, [(2 * math.sin(math.pi * 0.2 / 10)) ** 2, 4, 0], atol=1e-6)
    assert jnp.isfinite(jax.grad(lambda p: target.loss(p, jnp.zeros((3, 1))).sum())(points)).all()


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


def test_the_average_on_a_circle_is_that_of_directions():
    target = Circular(10.0, wrapped=True)
    samples = jnp.stack([target.encode(jnp.array([[9.0], [1.0]])), target.encode(jnp.array([[1.0], [2.0]]))])
    np.testing.assert_allclose(target.score(target.average(samples), jnp.array([[0.0], [1.5]])), [0, 0], atol=1e-9)
