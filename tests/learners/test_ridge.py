"""Ridge regression on embeddings: against scikit-learn, and what it can't but follow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from nopal.errors import NopalError
from nopal.learners.ridge import Ridge, ridge
from nopal.nets.mlp import MLP
from nopal.tasks.circle import Circular
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 3)).astype(np.float32)
QUERIES = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)


def learner(target, **options):
    return Ridge(MLP(3, 5, hidden=(8,), key=jax.random.key(0)), target, **options)


@pytest.mark.parametrize(("m", "d"), [(7, 3), (3, 7), (5, 5)])
def test_weights_are_those_of_scikit_learn(m, d):
    x, y = RNG.normal(size=(m, d)), RNG.normal(size=(m, 2))
    found = ridge(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), 0.3)
    np.testing.assert_allclose(found, Reference(0.3 * d, fit_intercept=False).fit(x, y).coef_.T, rtol=1e-4, atol=1e-5)


def test_the_gradient_through_the_formula_is_that_of_finite_differences():
    y = jnp.asarray(RNG.normal(size=(7, 2)), jnp.float32)

    def loss(x, penalty):
        return jnp.sum(jnp.sin(ridge(x, y, penalty)))

    with jax.enable_x64(True):
        wide, direction = np.asarray(X, np.float64), RNG.normal(size=X.shape)
        slope = jax.jvp(loss, (wide, 0.2), (direction, 1.0))[1]
        step = 1e-6
        ahead, behind = (loss(jnp.asarray(wide + s * direction), 0.2 + s) for s in (step, -step))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-5)


def test_predictions_are_the_formula_on_embeddings_times_the_gain():
    target, y = Gaussian(2), RNG.normal(size=(7, 2)).astype(np.float32)
    own = learner(target, penalty=0.2)
    embed = lambda x: own.network(jnp.asarray(x))[0]  # noqa: E731
    expected = Reference(0.2 * 5, fit_intercept=False).fit(embed(X), y).predict(embed(QUERIES))
    np.testing.assert_allclose(own.adapt(Examples(X, y, target))(QUERIES), expected, rtol=1e-3, atol=1e-4)
    classes = Examples(X, np.array([0, 1, 2, 0, 1, 2, 0]), Categorical(3))
    one_hot = np.eye(3)[np.asarray(classes.y)]
    logits = 10 * Reference(0.5, fit_intercept=False).fit(embed(X), one_hot).predict(embed(QUERIES))
    np.testing.assert_allclose(learner(Categorical(3)).adapt(classes)(QUERIES), logits, rtol=1e-3, atol=1e-3)


def test_a_turn_of_the_support_labels_turns_the_predictions():
    target = Circular(10.0)
    own, y = learner(target), RNG.uniform(0, 10, (7, 1)).astype(np.float32)
    plain, turned = (own.adapt(Examples(X, (y + shift) % 10, target))(QUERIES) for shift in (0, 3))
    np.testing.assert_allclose(target.decode(turned), (target.decode(plain) + 3) % 10, atol=1e-3)


def test_without_a_support_set_it_knows_nothing():
    for target in (Categorical(3), Circular(10.0)):
        assert learner(target).adapt(None)(QUERIES).tolist() == [[0.0] * target.width] * 4


def test_the_loss_is_that_of_the_queries():
    target, y = Gaussian(1), RNG.normal(size=(7, 1)).astype(np.float32)
    own, support = learner(target), Examples(X, y, target)
    query = Examples(QUERIES, y[:4], target)
    loss, aux = own.loss(Episode(support, query))
    outputs = own.adapt(support)(QUERIES)
    np.testing.assert_allclose(loss, target.loss(outputs, query.y).mean(), rtol=1e-5)
    np.testing.assert_allclose(aux["score"], target.score(outputs, query.y).mean(), rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan")])
def test_the_penalty_must_be_positive(penalty):
    with pytest.raises(NopalError, match=r"The penalty of ridge regression is .*; expected a number above 0"):
        learner(Gaussian(1), penalty=penalty)
