"""Fine-tuning: ordinary supervised learning first, gradient descent on a support set then."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners import MAML, FineTuning
from nopal.nets import MLP, Conv4
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def network(outputs=3):
    draw = np.random.default_rng(0)
    made = MLP(4, outputs, hidden=(5,), key=jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), made)


def examples(rows, target=Categorical(3)):
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(9, 4)), draw.integers(0, 3, 9)
    return Examples(x[rows], y[rows] if isinstance(target, Categorical) else x[rows, :1] ** 2, target)


def split(count, target=Categorical(3)):
    return Episode(examples(slice(count), target), examples(slice(count, None), target))


@eqx.filter_jit
def loss_and_gradient(learner, episode):
    return eqx.filter_value_and_grad(lambda learner: learner.loss(episode)[0])(learner)


@pytest.mark.parametrize("target", [Categorical(3), Gaussian(1, 0.7)], ids=str)
def test_the_loss_is_that_of_all_examples_however_they_are_divided(target):
    learner = FineTuning(network(target.width))
    everything = examples(slice(None), target)
    outputs = network(target.width)(everything.x)[0]
    expected = target.loss(outputs, everything.y).mean()
    found = [loss_and_gradient(learner, split(count, target)) for count in (2, 5)]
    for value, gradient in found:
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(found[0][1]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    _, aux = learner.loss(split(5, target))
    np.testing.assert_allclose(aux["score"], target.score(outputs[5:], everything.y[5:]).mean(), rtol=1e-12)


def test_statistics_of_meta_training_are_those_of_support_and_queries_together():
    learner = FineTuning(Conv4((8, 8, 1), 2, filters=2, key=jax.random.key(0)))
    draw = np.random.default_rng(0)
    x, y = draw.random((6, 8, 8, 1)), draw.integers(0, 2, 6)
    task = Episode(*(Examples(x[rows], y[rows], Categorical(2)) for rows in (slice(4), slice(4, None))))
    expected = Categorical(2).loss(learner.learner.network(jnp.asarray(x))[0], jnp.asarray(y)).mean()
    np.testing.assert_allclose(learner.loss(task)[0], expected, rtol=1e-6)


def test_adapting_descends_on_the_support_set():
    learner, support = FineTuning(network(), rate=0.05, steps=20), examples(slice(6))

    @eqx.filter_jit
    def after(steps):
        outputs = learner.adapt(support, steps=steps)(support.x)
        return support.target.loss(outputs, support.y).mean()

    losses = [float(after(steps)) for steps in (0, 1, 5, 20, 100)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6 * losses[0]
    np.testing.assert_allclose(after(None), losses[3], rtol=1e-12)
    by_maml = MAML(network(), inner_rate=0.05, inner_steps=20).adapt(support)(support.x)
    np.testing.assert_allclose(learner.adapt(support)(support.x), by_maml, rtol=1e-12)
    np.testing.assert_array_equal(learner.adapt(None)(support.x), network()(support.x)[0])


def test_the_adapted_parameters_can_be_chosen():
    learner = FineTuning(network(), adapted=("layers.1.*",))
    moved = learner.adapt(examples(slice(6))).network
    np.testing.assert_array_equal(moved.layers[0].kernel, network().layers[0].kernel)
    assert (moved.layers[1].kernel != network().layers[1].kernel).any()


def test_where_the_way_is_smaller_the_first_outputs_are_used_and_a_larger_one_is_refused():
    narrow, wide = (split(5, Categorical(3)) for _ in "nw")
    five = network(5)
    expected = Categorical(3).loss(five(examples(slice(None)).x)[0][:, :3], examples(slice(None)).y).mean()
    np.testing.assert_allclose(FineTuning(five).loss(narrow)[0], expected, rtol=1e-12)
    with pytest.raises(NopalError, match="task has 3 classes, but the network was meta-trained for 2"):
        FineTuning(network(2)).loss(wide)


def test_statistics_are_those_of_the_model():
    learner = FineTuning(Conv4((8, 8, 1), 2, filters=2, key=jax.random.key(0)), statistics="running")
    assert (learner.statistics, learner.shape) == ("running", (8, 8, 1))
    assert learner.with_statistics("support").statistics == "support"
    assert len(learner.with_running(learner.blank_running()).learner.running) == 4


def test_what_maml_refuses_is_refused():
    with pytest.raises(NopalError, match="The inner rate is 0"):
        FineTuning(network(), rate=0.0)
    with pytest.raises(NopalError, match=r"No parameter is named 'head\.\*'"):
        FineTuning(network(), adapted=("head.*",))
