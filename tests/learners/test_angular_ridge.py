"""Ridge regression whose predictions of angles are distributions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from nopal.errors import NopalError
from nopal.learners.angular_ridge import AngularRidge, left_out_errors
from nopal.nets.network import Network
from nopal.recipes.learner_options import RidgeOptions
from nopal.tasks.circle import Circular, VonMises
from nopal.tasks.episode import Episode, Examples

TARGET = VonMises(10.0, order=2)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 5)).astype(np.float32), RNG.uniform(0, 10, (12, 1)).astype(np.float32)


class Same(Network):
    """Inputs as they are."""

    shape: tuple[int, ...] = (5,)

    def __call__(self, x, statistics=None):
        return x, ()


def waves(places):
    angles = places * 2 * np.pi / 10
    return np.concatenate([np.sin(angles), np.cos(angles), np.sin(2 * angles), np.cos(2 * angles)], axis=1)


@pytest.mark.parametrize(("m", "d"), [(7, 3), (3, 7), (5, 5), (2, 4)])
def test_errors_on_left_out_examples_are_those_of_scikit_learn(m, d):
    x, y = RNG.normal(size=(m, d)).astype(np.float32), RNG.normal(size=(m, 2)).astype(np.float32)
    reference = Reference(0.3 * d)
    errors = [y[i] - reference.fit(np.delete(x, i, 0), np.delete(y, i, 0)).predict(x[i : i + 1])[0] for i in range(m)]
    np.testing.assert_allclose(left_out_errors(jnp.asarray(x), jnp.asarray(y), 0.3), errors, rtol=1e-4, atol=1e-5)


def test_one_example_says_nothing_of_errors():
    y = jnp.array([[0.6, -0.8]])
    np.testing.assert_array_equal(left_out_errors(jnp.ones((1, 4)), y, 0.3), y)
    predict = AngularRidge(Same(), TARGET).adapt(Examples(X[:1], Y[:1], TARGET))
    assert np.isfinite(predict(jnp.asarray(X))).all()


def test_a_huge_component_that_all_embeddings_share_changes_nothing():
    """In float32, where without an intercept the equations are singular."""
    near, far = (
        AngularRidge(Same(), TARGET, penalty=1e-3).adapt(Examples(X + shift, Y, TARGET))(jnp.asarray(X) + shift)
        for shift in (0.0, 3e3)
    )
    np.testing.assert_allclose(far, near, rtol=0.05, atol=0.05)


def test_predictions_are_divided_by_errors_on_left_out_examples():
    """Against scikit-learn, one left out at a time."""
    learner = AngularRidge(Same(), TARGET, penalty=0.2, floor=0.01)
    reference, labels, query = Reference(0.2 * 5), waves(Y), RNG.normal(size=(3, 5))
    left_out = [
        labels[i] - reference.fit(np.delete(X, i, 0), np.delete(labels, i, 0)).predict(X[i : i + 1])[0]
        for i in range(len(X))
    ]
    variance = np.mean(np.square(left_out).reshape(12, 2, 2), axis=(0, 2))
    expected = reference.fit(X, labels).predict(query) / np.repeat(variance + 0.01, 2)
    found = learner.adapt(Examples(X, Y, TARGET))(jnp.asarray(query, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_looks_the_same_after_half_a_turn_is_predicted_to_be_here_or_opposite():
    """Inputs that tell twice the angle and nothing more: two peaks alike, not a guess of the mean angle."""
    learner = AngularRidge(Same(), TARGET, penalty=1e-3)
    places, query = RNG.uniform(0, 10, (30, 1)), np.array([[2.0]])
    told, asked = (np.pad(waves(y)[:, 2:], ((0, 0), (0, 3))).astype(np.float32) for y in (places, query))
    predictor = learner.adapt(Examples(told, places.astype(np.float32), TARGET))
    density = np.asarray(TARGET.probabilities(predictor(jnp.asarray(asked))))[0]
    here, half_a_turn_on = density[57:87].sum(), density[237:267].sum()
    assert min(here, half_a_turn_on) > 0.3
    assert here + half_a_turn_on > 0.95


def test_what_can_not_be_told_is_nearly_uniform():
    learner = AngularRidge(Same(), TARGET)
    noise = RNG.normal(size=(30, 5)).astype(np.float32)
    y = RNG.uniform(0, 10, (30, 1)).astype(np.float32)
    found = learner.adapt(Examples(noise, y, TARGET))(jnp.asarray(RNG.normal(size=(8, 5)), jnp.float32))
    assert (TARGET.probabilities(found) < 5 / 360).all()


def test_training_makes_it_surer_and_moves_every_parameter():
    learner = AngularRidge(Same(), TARGET)
    episode = Episode(Examples(X[:8], Y[:8], TARGET), Examples(X[8:], Y[8:], TARGET))
    slope = eqx.filter_grad(lambda own: own.loss(episode)[0])(learner)
    slopes = slope.log_gain, slope.log_floor, slope.log_penalty
    assert all(np.all(np.isfinite(slope)) and np.all(slope != 0) for slope in slopes)


def test_without_a_support_set_any_angle_is_as_likely():
    found = AngularRidge(Same(), TARGET).adapt(None)(jnp.asarray(X))
    np.testing.assert_allclose(TARGET.probabilities(found), 1 / 360, rtol=1e-5)


def test_options_build_what_the_target_asks_for():
    options = RidgeOptions(hidden=(4,))
    assert isinstance(options.build((5,), TARGET, jax.random.key(0)), AngularRidge)
    assert not isinstance(options.build((5,), Circular(10.0), jax.random.key(0)), AngularRidge)


@pytest.mark.parametrize("bad", [{"penalty": 0.0}, {"floor": 0.0}, {"floor": -1.0}])
def test_penalty_and_floor_are_positive(bad):
    with pytest.raises(NopalError, match="expected a number above 0"):
        AngularRidge(Same(), TARGET, **bad)
