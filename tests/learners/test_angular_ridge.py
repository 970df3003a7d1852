"""Ridge regression whose predictions of angles are distributions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from nopal.errors import NopalError
from nopal.learners.angular_ridge import AngularRidge, with_intercept
from nopal.learners.ridge import Ridge
from nopal.nets.network import Network
from nopal.options.learners import RidgeOptions
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
    fitted, found = with_intercept(jnp.asarray(x), jnp.asarray(y), 0.3)
    np.testing.assert_allclose(found, errors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted(jnp.asarray(x)), reference.fit(x, y).predict(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("m", "d"), [(30, 64), (15, 64), (20, 5)])
@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
def test_float32_is_enough_where_the_fit_is_nearly_exact(m, d, penalty):
    own = np.random.default_rng(m)
    x, y = own.normal(size=(m, d)) * np.logspace(0, -2, d) + 5, own.normal(size=(m, 4))
    with jax.enable_x64(True):
        exact = [np.asarray(of) for of in jax.tree.leaves(with_intercept(jnp.asarray(x), jnp.asarray(y), penalty))]
    found = jax.tree.leaves(with_intercept(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), penalty))
    for part, right in zip(found, exact):
        np.testing.assert_allclose(part, right, rtol=1e-2, atol=1e-3 * np.abs(right).max())


def test_one_example_says_nothing_of_errors():
    y = jnp.array([[0.6, -0.8]])
    np.testing.assert_array_equal(with_intercept(jnp.ones((1, 4)), y, 0.3)[1], y)
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


@pytest.mark.parametrize("seed", range(4))
def test_what_looks_the_same_after_half_a_turn_is_predicted_to_be_here_or_opposite(seed):
    """Inputs that tell twice the angle and nothing more: two peaks alike, not a guess of the mean angle."""
    own = np.random.default_rng(seed)
    learner = AngularRidge(Same(), TARGET, penalty=1e-3)
    places, query = own.uniform(0, 10, (200, 1)), np.array([[2.0]])
    told, asked = (np.pad(waves(y)[:, 2:], ((0, 0), (0, 3))).astype(np.float32) for y in (places, query))
    predictor = learner.adapt(Examples(told, places.astype(np.float32), TARGET))
    density = TARGET.probabilities(predictor(jnp.asarray(asked)))[0]
    at = TARGET.places()[:, 0]
    here, half_a_turn_on = (float(density[jnp.abs(at - place) < 0.5].sum()) for place in (2, 7))
    assert min(here, half_a_turn_on) > 0.25
    assert here + half_a_turn_on > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_what_can_not_be_told_is_nearly_uniform(seed):
    own = np.random.default_rng(seed)
    noise, y = own.normal(size=(200, 5)).astype(np.float32), own.uniform(0, 10, (200, 1)).astype(np.float32)
    found = AngularRidge(Same(), TARGET).adapt(Examples(noise, y, TARGET))(jnp.asarray(noise[:8]))
    density = TARGET.probabilities(found) * len(TARGET.places())
    assert (density < 3).all()
    assert (density > 0.3).all()


def test_gain_floor_and_penalty_are_meta_trained():
    learner = AngularRidge(Same(), TARGET)
    episode = Episode(Examples(X[:8], Y[:8], TARGET), Examples(X[8:], Y[8:], TARGET))
    slope = eqx.filter_grad(lambda own: own.loss(episode)[0])(learner)
    for part in (slope.log_gain, slope.log_floor, slope.log_penalty):
        assert np.isfinite(part).all()
        assert (np.asarray(part) != 0).all()


@pytest.mark.parametrize("target", [Circular(10.0), VonMises(10.0, order=3)])
def test_other_tasks_than_its_own_are_refused(target):
    with pytest.raises(NopalError, match="for distributions of 2 terms, but the task predicts"):
        AngularRidge(Same(), TARGET).adapt(Examples(X, Y, target))
    with pytest.raises(NopalError, match="distributions are for AngularRidge"):
        Ridge(Same(), TARGET)


def test_without_a_support_set_any_angle_is_as_likely():
    found = AngularRidge(Same(), TARGET).adapt(None)(jnp.asarray(X))
    np.testing.assert_allclose(TARGET.probabilities(found), 1 / len(TARGET.places()), rtol=1e-5)


def test_options_build_what_the_target_asks_for():
    options = RidgeOptions(hidden=(4,))
    assert isinstance(options.build((5,), TARGET, jax.random.key(0)), AngularRidge)
    assert not isinstance(options.build((5,), Circular(10.0), jax.random.key(0)), AngularRidge)


@pytest.mark.parametrize("bad", [{"penalty": 0.0}, {"floor": 0.0}, {"floor": -1.0}])
def test_penalty_and_floor_are_positive(bad):
    with pytest.raises(NopalError, match="expected a number above 0"):
        AngularRidge(Same(), TARGET, **bad)
