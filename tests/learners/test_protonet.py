"""Prototypical networks by hand, and what their predictions depend on."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners.protonet import ProtoNet, class_means, squared_distances
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Normalisation
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian


class Identity(Network):
    """Vectors are their own embedding."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)

    def __call__(self, x, statistics=None):
        return x, ()


class Standardise(Network):
    """Batch normalisation alone."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    layer: Normalisation

    def __call__(self, x, statistics=None):
        x, moments = self.layer(x, statistics and statistics[0])
        return x, (moments,)


SUPPORT = Examples(np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 0.0]], np.float32), np.array([0, 1, 0]), Categorical(2))
"""Unequal shots: prototypes (1, 0) and (0, 4)."""
X = jnp.array([[1.0, 1.0], [0.0, 3.0], [4.0, 4.0]])


def standardise(**options):
    return ProtoNet(Standardise(Normalisation(2)), **options)


@eqx.filter_jit
def predict(learner, support, x):
    return learner.adapt(support)(x)


def test_logits_by_hand():
    assert predict(ProtoNet(Identity()), SUPPORT, X).tolist() == [[-1, -10], [-10, -1], [-25, -16]]


def test_loss_and_score_by_hand():
    query = Examples(X, np.array([0, 1, 0]), Categorical(2))
    loss, aux = ProtoNet(Identity()).loss(Episode(SUPPORT, query))
    expected = np.mean([math.log1p(math.exp(-9)), math.log1p(math.exp(-9)), math.log1p(math.exp(9))])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(aux["score"], 2 / 3, rtol=1e-6)


def test_the_order_of_the_support_set_does_not_matter():
    order = np.array([2, 0, 1])
    shuffled = Examples(SUPPORT.x[order], SUPPORT.y[order], SUPPORT.target)
    np.testing.assert_allclose(predict(standardise(), shuffled, X), predict(standardise(), SUPPORT, X), rtol=1e-5)


def by_hand(x, support, mean, variance):
    """Logits after normalising everything by one mean and variance."""
    mean, deviation = np.asarray(mean), np.sqrt(np.asarray(variance) + 1e-5)
    x, support = ((np.asarray(part) - mean) / deviation for part in (x, support))
    means = np.stack([support[[0, 2]].mean(0), support[1]])
    return -((x[:, None] - means) ** 2).sum(-1)


def test_support_statistics_are_those_of_the_support_set_whatever_the_queries():
    support = np.asarray(SUPPORT.x)
    together = predict(standardise(), SUPPORT, X)
    np.testing.assert_allclose(together, by_hand(X, support, support.mean(0), support.var(0)), rtol=1e-4)
    np.testing.assert_allclose(predict(standardise(), SUPPORT, X[:1]), together[:1], rtol=1e-6)


def test_transductive_statistics_are_those_of_support_and_queries_together():
    both = np.concatenate([SUPPORT.x, X])
    learner = standardise(statistics="transductive")
    together = predict(learner, SUPPORT, X)
    np.testing.assert_allclose(together, by_hand(X, SUPPORT.x, both.mean(0), both.var(0)), rtol=1e-4)
    assert not np.allclose(predict(learner, SUPPORT, X[:1]), together[:1], rtol=0.05)


def test_running_statistics_are_those_given():
    moments = (Moments(jnp.array([1.0, 2.0]), jnp.array([4.0, 0.25])),)
    learner = standardise(statistics="running").with_running(moments)
    together = predict(learner, SUPPORT, X)
    np.testing.assert_allclose(together, by_hand(X, SUPPORT.x, *moments[0]), rtol=1e-4)
    np.testing.assert_allclose(predict(learner, SUPPORT, X[:1]), together[:1], rtol=1e-6)
    # They serve that choice only.
    assert eqx.tree_equal(predict(learner.with_statistics("support"), SUPPORT, X), predict(standardise(), SUPPORT, X))


@pytest.mark.parametrize("statistics", ["support", "transductive", "running"])
def test_meta_training_sees_support_and_queries_as_one_batch(statistics):
    learner, query = standardise(statistics=statistics), Examples(X, np.array([0, 1, 1]), Categorical(2))
    logits = predict(standardise(statistics="transductive"), SUPPORT, X)
    loss, _ = learner.loss(Episode(SUPPORT, query))
    np.testing.assert_allclose(loss, query.target.loss(logits, query.y).mean(), rtol=1e-5)


def test_the_statistics_of_an_episode_are_those_of_the_joint_batch():
    both = np.concatenate([SUPPORT.x, X])
    task = Episode(SUPPORT, Examples(X, np.array([0, 1, 1]), Categorical(2)))
    moments = standardise(statistics="running").episode_statistics(task)[0]
    np.testing.assert_allclose(moments.mean, both.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, both.var(0), rtol=1e-5)
    assert standardise().episode_statistics(task) is None


def test_bytes_are_numbers_between_0_and_1():
    support = np.array([[0, 0], [0, 255], [102, 0]], np.uint8)
    x = np.array([[51, 51]], np.uint8)
    of_bytes = predict(ProtoNet(Identity()), Examples(support, SUPPORT.y, Categorical(2)), jnp.asarray(x))
    np.testing.assert_allclose(of_bytes, [[-0.04, -0.68]], rtol=1e-5)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(NopalError, match="predict nothing without a support set; give at least one example a class"):
        ProtoNet(Identity()).adapt(None)
    with pytest.raises(NopalError, match=r"Prototypes need classes, but this task predicts Gaussian\(dim=2"):
        ProtoNet(Identity()).adapt(Examples(X, X, Gaussian(2)))
    with pytest.raises(NopalError, match=r"no running statistics yet; call nopal.calibrate"):
        standardise(statistics="running").adapt(SUPPORT)


def test_a_class_without_examples_is_never_predicted():
    means = class_means(
        jnp.array([[1.0, 0.0], [0.0, 1.0]]), Examples(jnp.zeros((2, 1)), jnp.array([0, 2]), Categorical(3))
    )
    logits = -squared_distances(jnp.array([[1.0, 0.2], [5.0, 9.0]]), means)
    assert np.isneginf(logits[:, 1]).all()
    assert logits.argmax(1).tolist() == [0, 2]
