"""The perceptron: against scikit-learn without dropout, and its leak, which only one name has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from nopal.errors import NopalError
from nopal.evaluation import evaluate
from nopal.learners.mlp_head import MLPHead, MLPStoppedOnQueries, Perceptron
from nopal.partitions import from_labels
from nopal.tasks import Categorical, Classification, Episode, Examples

DRAW = np.random.default_rng(0)
Y = np.repeat(np.arange(3), 5)
X = (DRAW.normal(size=(3, 6))[Y] + 0.7 * DRAW.normal(size=(15, 6))).astype(np.float32)
NEW_Y = np.tile(np.arange(3), 10)
NEW = (0.2 * DRAW.normal(size=(30, 6)) + np.stack([X[5 * c : 5 * c + 5].mean(0) for c in range(3)])[NEW_Y]).astype(
    np.float32
)
SUPPORT, QUERY = Examples(X, Y, Categorical(3)), Examples(NEW, NEW_Y, Categorical(3))
KEY = jax.random.key(0)


def test_without_dropout_it_is_scikit_learns_trained_by_the_same_adam() -> None:
    start = Perceptron.initial(6, 16, 3, jax.random.split(KEY)[0])
    theirs = MLPClassifier((16,), alpha=0, batch_size=15, shuffle=False).partial_fit(X, Y, classes=range(3))
    theirs.coefs_ = [np.array(start.hidden.kernel), np.array(start.output.kernel)]
    theirs.intercepts_ = [np.zeros(16, np.float32), np.zeros(3, np.float32)]
    theirs._optimizer = type(theirs._optimizer)(theirs.coefs_ + theirs.intercepts_, 1e-3)
    for _ in range(40):
        theirs.partial_fit(X, Y)
    found = jax.nn.softmax(MLPHead(16, 0.0, 40).adapt(SUPPORT, key=KEY)(jnp.asarray(NEW)))
    np.testing.assert_allclose(found, theirs.predict_proba(jnp.asarray(NEW)), atol=1e-4)


def test_dropout_and_epochs_matter_and_the_key_decides() -> None:
    adapt = jax.jit(lambda head, key: head.adapt(SUPPORT, key=key)(jnp.asarray(NEW)))
    plain = adapt(MLPHead(16, 0.5, 60), KEY)
    assert (adapt(MLPHead(16, 0.5, 60), KEY) == plain).all()
    for other in (MLPHead(16, 0.2, 60), MLPHead(16, 0.5, 61)):
        assert (adapt(other, KEY) != plain).any()
    assert (adapt(MLPHead(16, 0.5, 60), jax.random.key(1)) != plain).any()
    assert (plain.argmax(1) == NEW_Y).mean() > 0.8
    named = MLPHead(16, 0.5, 3).adapt(SUPPORT, key=KEY, steps=60)(jnp.asarray(NEW))
    np.testing.assert_allclose(named, plain, atol=1e-4)


def test_the_leak_stops_two_epochs_after_the_least_loss_on_the_queries() -> None:
    wrong = Examples(NEW, (NEW_Y + 1) % 3, Categorical(3))
    adapt = jax.jit(lambda head: head.adapt(SUPPORT, key=KEY)(jnp.asarray(NEW)))
    losses = [float(wrong.target.loss(adapt(MLPHead(16, 0.0, n)), wrong.y).mean()) for n in range(1, 12)]
    best = next(n for n in range(1, 9) if min(losses[n : n + 2]) >= min(losses[:n]))
    stopped = MLPStoppedOnQueries(16, 0.0, 500).answer(Episode(SUPPORT, wrong), key=KEY)
    expected = adapt(MLPHead(16, 0.0, best + 2))
    np.testing.assert_allclose(stopped, expected, atol=1e-5)
    fair = MLPHead(16, 0.0, 30)
    blind = [fair.answer(Episode(SUPPORT, query), key=KEY) for query in (QUERY, wrong)]
    assert (blind[0] == blind[1]).all()


def test_the_leak_can_be_scored_but_cannot_predict() -> None:
    tasks = Classification(X, from_labels(Y), way=2, shot=2, query=2)
    assert evaluate(MLPStoppedOnQueries(4, 0.0, 5), tasks, key=KEY, episodes=2).values.shape == (2,)
    with pytest.raises(NopalError, match="stops training by the labels of the queries"):
        MLPStoppedOnQueries().adapt(SUPPORT)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [({"units": 0}, "Units are 0"), ({"epochs": 0}, "epochs 0"), ({"dropout": 1.0}, "The dropout is 1.0")],
)
def test_refused(choices: dict, sentence: str) -> None:
    with pytest.raises(NopalError, match=sentence):
        MLPHead(**choices)
