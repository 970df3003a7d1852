"""k nearest neighbours against scikit-learn, and the rule for ties."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from nopal.errors import NopalError
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical


def predict(k, support, y, x, way, most=None):
    examples = Examples(np.asarray(support, np.float32), np.asarray(y), Categorical(way))
    return NearestNeighbour(k, most).adapt(examples)(jnp.asarray(x, jnp.float32))


@pytest.mark.parametrize("k", [1, 3, 6])
def test_it_agrees_with_scikit_learn_also_where_votes_tie(k):
    """With five classes and few neighbours many votes are tied."""
    draw = np.random.default_rng(0)
    support, y, x = draw.normal(size=(25, 4)), np.repeat(np.arange(5), 5), draw.normal(size=(300, 4))
    votes = np.asarray(predict(k, support, y, x, 5))
    expected = KNeighborsClassifier(k, algorithm="brute").fit(support, y).predict(x)
    np.testing.assert_array_equal(votes.argmax(1), expected)
    assert (votes.sum(1) == k).all()
    if k > 1:
        assert ((votes == votes.max(1, keepdims=True)).sum(1) > 1).mean() > 0.1


def test_a_grid_of_numbers_is_one_program_with_the_same_votes():
    draw = np.random.default_rng(0)
    support, y, x = draw.normal(size=(25, 4)), np.repeat(np.arange(5), 5), jnp.asarray(draw.normal(size=(30, 4)))
    examples, made = Examples(np.asarray(support, np.float32), y, Categorical(5)), []

    @eqx.filter_jit
    def votes(learner):
        made.append(learner.most)
        return learner.adapt(examples)(x)

    for k in (1, 3, 15):
        np.testing.assert_array_equal(votes(NearestNeighbour(k, most=15)), predict(k, support, y, x, 5))
    assert made == [15]


def test_a_tied_vote_goes_to_the_smallest_label_not_to_the_nearest():
    support, y = [[0.0], [1.0], [2.0], [3.0]], [3, 1, 3, 1]
    votes = predict(4, support, y, [[0.0]], 4)
    assert votes.tolist() == [[0, 2, 0, 2]]
    assert votes.argmax(1).tolist() == [1]


def test_of_equally_near_vectors_the_first_counts():
    assert predict(1, [[1.0], [-1.0]], [1, 0], [[0.0]], 2).argmax(1).tolist() == [1]


def test_images_are_compared_as_vectors_and_bytes_as_numbers():
    draw = np.random.default_rng(1)
    support, x = draw.integers(0, 256, (6, 3, 3, 1), np.uint8), draw.integers(0, 256, (20, 3, 3, 1), np.uint8)
    y = np.arange(6)
    votes = eqx.filter_jit(NearestNeighbour().adapt(Examples(support, y, Categorical(6))))(jnp.asarray(x))
    expected = KNeighborsClassifier(1).fit(support.reshape(6, -1) / 255, y).predict(x.reshape(20, -1) / 255)
    np.testing.assert_array_equal(votes.argmax(1), expected)


def test_it_normalises_nothing():
    assert NearestNeighbour().statistics == "none"


def test_what_it_cannot_do_is_refused():
    with pytest.raises(NopalError, match="number of neighbours is 0; expected at least 1"):
        NearestNeighbour(0)
    with pytest.raises(NopalError, match="number of neighbours is 3; expected at least 1, and 2 at most"):
        NearestNeighbour(3, most=2)
    with pytest.raises(
        NopalError, match="3 neighbours were asked for, but the support set has 2 examples; ask for fewer"
    ):
        predict(3, [[0.0], [1.0]], [0, 1], [[0.0]], 2)
    with pytest.raises(NopalError, match="predicts nothing without a support set"):
        NearestNeighbour().adapt(None)
