"""Bayes by backprop: all kernels of a learner random, drawn once a step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nopal.errors import NopalError
from nopal.learners import MAML, TAML, BayesByBackprop, ConditionalNeuralProcess, MetaRegularised
from nopal.nets import MLP, Conv4, MeanField
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Gaussian
from nopal.training import MetaStep, device_mesh, initial_state


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


KEY, TARGET = jax.random.key(7), Gaussian(1, 0.7)


def maml(**options):
    draw = np.random.default_rng(0)
    net = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), MLP(2, 1, hidden=(3,), key=jax.random.key(0))
    )
    return MAML(net, inner_rate=0.1, inner_steps=1, **options)


class Several(eqx.Module):
    """A task distribution of random inputs and values."""

    target: Gaussian = eqx.field(static=True, default=TARGET)

    def sample(self, key):
        of_x, of_y = jax.random.split(key)
        x, y = jax.random.normal(of_x, (7, 2)), jax.random.normal(of_y, (7, 1))
        return Episode(Examples(x[:3], y[:3], TARGET), Examples(x[3:], y[3:], TARGET))


def test_a_step_goes_down_the_gradient_of_loss_and_divergence_in_one_piece():
    learner, tasks, sgd = BayesByBackprop(maml(), beta=0.3, scale=0.5), Several(), optax.sgd(1.0)
    after, metrics = eqx.filter_jit(MetaStep(tasks, sgd, 3, device_mesh(1)))(initial_state(learner, sgd), KEY)

    @eqx.filter_jit
    @eqx.filter_grad
    def whole(learner):
        drawn = learner.for_step(jax.random.fold_in(KEY, 3)).drawn[0]
        episodes = [tasks.sample(jax.random.split(jax.random.fold_in(KEY, i))[0]) for i in range(3)]
        return sum(drawn.loss(episode)[0] for episode in episodes) / 3 + 0.3 * learner.weights.kl

    expected = eqx.apply_updates(learner, jax.tree.map(jnp.negative, whole(learner)))
    for a, b in zip(jax.tree.leaves(after.learner), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(metrics["kl"], learner.weights.kl, rtol=1e-10)
    assert after.learner.drawn is None


def test_weights_are_drawn_once_a_step_and_otherwise_once_a_task():
    learner, task = BayesByBackprop(maml(), scale=0.5), Several().sample(KEY)
    step = learner.for_step(KEY)
    one, other = (step.loss(task, key=jax.random.key(i))[0] for i in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert not np.isclose(learner.for_step(jax.random.key(8)).loss(task, key=KEY)[0], one, rtol=1e-3)
    one, other = (learner.loss(task, key=jax.random.key(i))[0] for i in (0, 1))
    assert not np.isclose(one, other, rtol=1e-3)


def test_predictions_are_those_of_the_means_or_average_over_draws():
    task = Several().sample(KEY)
    learner = BayesByBackprop(maml(), scale=0.5)
    expected = maml().adapt(task.support)(task.query.x)
    np.testing.assert_allclose(learner.adapt(task.support)(task.query.x), expected, rtol=1e-12)
    one_by_one = [
        learner.weights.sample(jax.random.split(key)[0]).adapt(task.support)(task.query.x)
        for key in jax.random.split(KEY, 2)
    ]
    averaged = BayesByBackprop(maml(), scale=0.5, samples=2).adapt(task.support, key=KEY)
    np.testing.assert_allclose(averaged(task.query.x), np.mean(one_by_one, axis=0), rtol=1e-10)
    assert not np.allclose(one_by_one[0], expected, rtol=1e-2)


def test_kernels_of_every_part_are_random():
    learner = BayesByBackprop(ConditionalNeuralProcess(2, TARGET, summary=4, lift=3, hidden=(5,), key=KEY))
    drawn, mean = learner.weights.sample(KEY), learner.weights.mean
    for part in (lambda cnp: cnp.points.lift, lambda cnp: cnp.summary, lambda cnp: cnp.decoder.layers[1]):
        assert (part(drawn).kernel != part(mean).kernel).all()
        np.testing.assert_array_equal(part(drawn).bias, part(mean).bias)
    assert (learner.shape, learner.statistics) == ((2,), "none")


def test_learned_inner_rates_are_certain():
    learner = BayesByBackprop(maml(rates="per_tensor"))
    drawn, mean = learner.weights.sample(KEY), learner.weights.mean
    assert (drawn.network.layers[0].kernel != mean.network.layers[0].kernel).all()
    assert eqx.tree_equal(drawn.rates, mean.rates)


def test_what_normalises_queries_can_be_chosen_but_not_kept():
    learner = BayesByBackprop(MAML(Conv4((16, 16, 1), 2, filters=2, key=KEY), statistics="transductive"))
    other = learner.with_statistics("support")
    assert (learner.statistics, other.statistics) == ("transductive", "support")
    assert eqx.tree_equal(other.weights.rho, learner.weights.rho)
    with pytest.raises(NopalError, match="can't be kept"):
        learner.with_statistics("running")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beta": -1.0}, "beta, is -1.0; expected a number from 0 on"),
        ({"beta": float("nan")}, "beta, is nan"),
        ({"samples": -2}, "are to average -2 draws"),
        ({"scale": float("nan")}, "The scale of the weights is nan; expected a number above 0"),
        ({"random": ("*weight",)}, r"No parameter is named '\*weight'; this network has network\.layers\.0\.kernel"),
    ],
)
def test_meaningless_options_are_refused(options, sentence):
    with pytest.raises(NopalError, match=sentence):
        BayesByBackprop(maml(), **options)


def test_what_it_can_not_go_around_is_refused():
    with pytest.raises(NopalError, match="Statistics of weights that are drawn anew can't be kept"):
        BayesByBackprop(MAML(Conv4((8, 8, 1), 2, filters=2, key=KEY), statistics="running"))
    encoder = MeanField(MLP(3, 2, key=KEY))
    with pytest.raises(NopalError, match="Some weights of this learner are random already"):
        BayesByBackprop(MetaRegularised(encoder, maml()))
    with pytest.raises(NopalError, match="The objective of TAML couples the tasks of a step"):
        BayesByBackprop(TAML(maml(), regulariser="gini"))
    with pytest.raises(NopalError, match="Predictions average 2 draws, which need a key"):
        BayesByBackprop(maml(), samples=2).adapt(None)
