"""Conditional neural processes: against NumPy, and what the order and the number of examples may change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners import AttentiveNeuralProcess, ConditionalNeuralProcess, NeuralProcess
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@eqx.filter_jit
def predict(learner, support, x):
    return learner.adapt(support)(x)


@eqx.filter_jit
def judged(learner, episode, key):
    return learner.loss(episode, key=key)


def random_weights(learner, seed=0):
    """Everything that is trained, biases too."""
    draw = np.random.default_rng(seed)
    arrays, static = eqx.partition(learner, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape) / 2), arrays), static)


def examples(count, target, seed=0):
    draw = np.random.default_rng(seed)
    classes = isinstance(target, Categorical)
    y = draw.integers(0, target.way, count) if classes else draw.normal(size=(count, target.dim))
    return Examples(draw.normal(size=(count, 3)), y, target)


def taken(examples, rows):
    return Examples(examples.x[np.array(rows, int)], examples.y[np.array(rows, int)], examples.target)


def cnp(target, **options):
    return random_weights(
        ConditionalNeuralProcess(3, target, representation=5, hidden=(4, 6), key=jax.random.key(0), **options)
    )


def np_process(target, **options):
    return random_weights(
        NeuralProcess(3, target, latent=2, representation=5, hidden=(4,), key=jax.random.key(0), **options)
    )


def attentive(target, **options):
    return random_weights(
        AttentiveNeuralProcess(
            3, target, latent=2, representation=4, hidden=(4,), heads=2, key=jax.random.key(0), **options
        )
    )


TARGETS = [Gaussian(2, 0.5), Categorical(3)]
X = np.random.default_rng(9).normal(size=(6, 3))

# Each family alike.


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_neither_the_order_of_the_support_set_nor_its_repetition_matters(make, target):
    learner, support = make(target), examples(4, target)
    expected = predict(learner, support, jnp.asarray(X))
    assert expected.shape == (6, target.width)
    for rows in ([2, 0, 3, 1], [0, 1, 2, 3] * 3):
        np.testing.assert_allclose(predict(learner, taken(support, rows), jnp.asarray(X)), expected, rtol=1e-10)
    other = predict(learner, taken(support, [0, 1, 2, 2]), jnp.asarray(X))
    assert not np.allclose(other, expected, rtol=1e-3)


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_a_query_is_predicted_whatever_the_others(make):
    learner, support = make(TARGETS[0]), examples(4, TARGETS[0])
    together = predict(learner, support, jnp.asarray(X))
    np.testing.assert_allclose(predict(learner, support, jnp.asarray(X[2:3])), together[2:3], rtol=1e-10)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_no_support_set_and_an_empty_one_are_the_same(make, target):
    learner = make(target)
    found = predict(learner, taken(examples(1, target), []), jnp.asarray(X))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, predict(learner, None, jnp.asarray(X)))
    assert not np.allclose(found, predict(learner, examples(1, target), jnp.asarray(X)), rtol=1e-2)


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_classes_are_names(make):
    """One-hot labels, so that every label has a weight of its own; all labels of an episode reach the prediction."""
    target = Categorical(3)
    learner, support = make(target), examples(4, target)
    for row in range(4):
        relabelled = Examples(support.x, support.y.at[row].add(1) % 3, target)
        changed = predict(learner, relabelled, jnp.asarray(X)) - predict(learner, support, jnp.asarray(X))
        assert np.abs(changed).max() > 1e-4


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_the_loss_can_be_a_sum_over_queries(make):
    task = Episode(examples(4, TARGETS[0]), examples(6, TARGETS[0], seed=1))
    mean, total = (judged(make(TARGETS[0], over_queries=over), task, jax.random.key(0)) for over in ("mean", "sum"))
    np.testing.assert_allclose(6 * mean[0], total[0], rtol=1e-12)
    np.testing.assert_allclose(mean[1]["score"], total[1]["score"], rtol=1e-12)


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_tasks_of_another_target_are_refused(make):
    with pytest.raises(NopalError, match=r"predicts Categorical\(way=4\), but this learner was made for labels of 3"):
        make(Categorical(3)).adapt(examples(4, Categorical(4)))


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_points_that_are_added_twice_say_what_they_say_once(make):
    """Means and attention weigh all alike, so that a point counts by its share in the support set."""
    learner, support, x = make(TARGETS[0]), examples(3, TARGETS[0]), jnp.asarray(X)
    twice, once_more = taken(support, [0, 1, 2, 0, 1, 2]), taken(support, [0, 1, 2, 0])
    known = predict(learner, support, x)
    np.testing.assert_allclose(predict(learner, twice, x), known, rtol=1e-9)
    assert not np.allclose(predict(learner, once_more, x), known, rtol=1e-4)


def test_a_point_moves_the_mean_by_its_share():
    learner, support = np_process(TARGETS[0]), examples(4, TARGETS[0])
    points = learner.latent.points
    three, one, all_four = (points.mean(taken(support, rows)) for rows in ([0, 1, 2], [3], range(4)))
    np.testing.assert_allclose(all_four, (3 * three + one) / 4, rtol=1e-9)


@pytest.mark.parametrize("make", [cnp, np_process, attentive])
def test_inputs_of_another_shape_are_refused(make):
    learner, target = make(TARGETS[0]), TARGETS[0]
    y = np.zeros((2, 2))
    with pytest.raises(NopalError, match="One input is 4, but this network was made for 3; give inputs like those"):
        learner.adapt(Examples(np.zeros((2, 4)), y, target))
    with pytest.raises(NopalError, match="One input is 28 x 28 x 1, but this network was made for 3"):
        learner.adapt(Examples(np.zeros((2, 28, 28, 1)), y, target))
    for support in (examples(4, target), None):
        with pytest.raises(NopalError, match="One input is 2, but this network was made for"):
            learner.adapt(support)(jnp.zeros((2, 2)))


@pytest.mark.parametrize("make", [ConditionalNeuralProcess, NeuralProcess, AttentiveNeuralProcess])
def test_widths_that_are_not_positive_are_refused(make):
    with pytest.raises(NopalError, match=r"The widths of the layers are \(.*\); expected at least 1 each"):
        make(3, Gaussian(1), hidden=(0,), key=jax.random.key(0))


# The conditional one alone.


def layers(x, weights):
    """A perceptron in NumPy."""
    *hidden, last = [(np.asarray(layer.kernel), np.asarray(layer.bias)) for layer in weights]
    for kernel, bias in hidden:
        x = np.maximum(x @ kernel + bias, 0)
    return x @ last[0] + last[1]


@pytest.mark.parametrize("options", [{}, {"summary": 7, "lift": 4}], ids=str)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_predictions_and_loss_are_those_of_numpy(target, options):
    learner = cnp(target, **options)
    support, query = examples(4, target), examples(6, target, seed=1)
    labels = np.eye(3)[support.y] if isinstance(target, Categorical) else np.asarray(support.y)
    if options:
        labels = layers(labels, [learner.points.lift])
    task = layers(np.concatenate([support.x, labels], axis=1), learner.points.network.layers).mean(0)
    if options:
        assert task.shape == (5,)
        task = layers(task, [learner.summary])
    beside = np.concatenate([query.x, np.tile(task, (6, 1))], axis=1)
    outputs = layers(beside, learner.decoder.layers)
    np.testing.assert_allclose(predict(learner, support, query.x), outputs, rtol=1e-10)
    value, aux = judged(learner, Episode(support, query), jax.random.key(0))
    np.testing.assert_allclose(value, target.loss(jnp.asarray(outputs), query.y).mean(), rtol=1e-10)
    np.testing.assert_allclose(aux["score"], target.score(jnp.asarray(outputs), query.y).mean(), rtol=1e-10)


def test_initial_weights_may_be_normal_as_published():
    learner = ConditionalNeuralProcess(
        64, Gaussian(1), representation=100, summary=64, lift=16, deviation=0.05, key=jax.random.key(0)
    )
    assert learner.points.lift.kernel.shape == (1, 16)
    assert learner.points.network.layers[0].kernel.shape == (80, 100)
    assert learner.summary.kernel.shape == (100, 64)
    assert learner.decoder.layers[0].kernel.shape == (128, 100)
    for kernel in (learner.summary.kernel, learner.points.network.layers[2].kernel):
        np.testing.assert_allclose(kernel.std(), 0.05, rtol=0.05)
    np.testing.assert_allclose(learner.decoder.layers[1].kernel.std(), 0.1, rtol=0.05)  # Glorot: sqrt(2 / 200)
    narrow = ConditionalNeuralProcess(64, Gaussian(1), decoder_deviation=0.05, key=jax.random.key(0))
    np.testing.assert_allclose(narrow.decoder.layers[1].kernel.std(), 0.05, rtol=0.05)
    assert learner.shape == (64,)
    assert learner.statistics == "none"


def test_a_point_more_moves_the_mean_by_its_own_vector() -> None:
    """So that predictions from many points are those from few, updated: no point is read in the light of others."""
    learner, support = cnp(Gaussian(2)), examples(5, Gaussian(2))
    few, one = taken(support, range(4)), taken(support, [4])
    expected = (4 * learner.points.mean(few) + learner.points.mean(one)) / 5
    np.testing.assert_allclose(learner.points.mean(support), expected, rtol=1e-12)
    x = examples(3, Gaussian(2), seed=1).x
    repeated = taken(support, [0, 1, 2, 3, 4] * 2)
    np.testing.assert_allclose(predict(learner, repeated, x), predict(learner, support, x), rtol=1e-10)
    assert not np.allclose(predict(learner, few, x), predict(learner, support, x))
