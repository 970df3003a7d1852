"""Logistic regression against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nopal.errors import NopalError
from nopal.learners.logistic import Logistic
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical, Gaussian

DRAW = np.random.default_rng(0)
Y = np.repeat(np.arange(5), 4)
X = (DRAW.normal(size=(5, 12))[Y] + DRAW.normal(size=(20, 12))).astype(np.float32)
NEW = DRAW.normal(size=(50, 12)).astype(np.float32)
ADAPT = jax.jit(lambda strength, x, y, new: strength.adapt(Examples(x, y, Categorical(5)))(new))


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_logits_are_those_of_scikit_learn(strength: float) -> None:
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(X.astype(np.float64), Y)
    expected = theirs.decision_function(NEW.astype(np.float64))
    found = np.asarray(ADAPT(Logistic(strength), X, Y, NEW))
    found = found - found.mean(1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-4 * abs(expected).max())
    np.testing.assert_array_equal(found.argmax(1), theirs.predict(NEW))


@pytest.mark.parametrize(("size", "offset", "strength"), [(1e-3, 0.0, 1.0), (10.0, 100.0, 1.0), (0.1, 3.0, 30.0)])
def test_logits_of_vectors_of_any_size_and_place(size: float, offset: float, strength: float) -> None:
    x, new = (np.asarray(size * of + offset, np.float32) for of in (X, NEW))
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=20_000).fit(x.astype(np.float64) - offset, Y)
    expected = theirs.decision_function(new.astype(np.float64) - offset)
    found = np.asarray(ADAPT(Logistic(strength), x, Y, new))
    found = found - found.mean(1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-3 * abs(expected).max())
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


def test_a_class_without_examples_is_never_predicted() -> None:
    found = Logistic().adapt(Examples(X, Y % 3, Categorical(5)))(jnp.asarray(NEW))
    assert set(np.asarray(found.argmax(1)).tolist()) == {0, 1, 2}


def test_refused() -> None:
    with pytest.raises(NopalError, match="strength of logistic regression is 0"):
        Logistic(0.0)
    with pytest.raises(NopalError, match="nothing without a support set"):
        Logistic().adapt(None)
    with pytest.raises(NopalError, match="Logistic regression needs classes"):
        Logistic().adapt(Examples(X, X[:, :1], Gaussian(1)))
