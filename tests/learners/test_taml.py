"""TAML: indices of inequality by hand, entropies, and the whole objective differentiated in one piece."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import entropy as scipy_entropy

from nopal.errors import NopalError
from nopal.learners import MAML, TAML
from nopal.learners.taml import atkinson, entropy, gini, theil
from nopal.nets import MLP, Conv4
from nopal.tasks.circle import VonMises
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian
from nopal.training import MetaStep, device_mesh, initial_state

INDICES = {"theil": theil, "atkinson": atkinson, "gini": gini}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, 2.0, 2.0], {"theil": 0.0, "atkinson": 0.0, "gini": 0.0}),
        # Shares of the mean are 1/2 and 3/2; roots have the mean (1 + sqrt 3) / 2; the difference is 2, half the time.
        (
            [1.0, 3.0],
            {
                "theil": 0.5 * (0.5 * math.log(0.5) + 1.5 * math.log(1.5)),
                "atkinson": 1 - ((1 + math.sqrt(3)) / 2) ** 2 / 2,
                "gini": 0.25,
            },
        ),
        # Nearly everything belongs to one of four.
        ([1e-12, 4.0, 1e-12, 1e-12], {"theil": math.log(4), "atkinson": 0.75, "gini": 0.75}),
    ],
    ids=["equal", "two", "one has it all"],
)
def test_indices_by_hand(losses, expected):
    for name, value in expected.items():
        index = INDICES[name]
        np.testing.assert_allclose(index(jnp.array(losses)), value, atol=1e-5, err_msg=name)
        # Neither the unit nor the order matters.
        np.testing.assert_allclose(index(100 * jnp.array(losses[::-1])), value, atol=1e-5, err_msg=name)


def test_entropy_is_that_of_scipy():
    logits = np.random.default_rng(0).normal(size=(5, 4))
    expected = scipy_entropy(np.exp(logits), axis=1).mean()
    np.testing.assert_allclose(entropy(jnp.asarray(logits)), expected, rtol=1e-10)
    np.testing.assert_allclose(entropy(jnp.zeros((2, 7))), math.log(7), rtol=1e-10)
    np.testing.assert_allclose(entropy(jnp.array([[0.0, 1e4]])), 0, atol=1e-12)


# Written as in the paper, with the tasks of a step all at once.


def network(outputs, seed=0):
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), MLP(2, outputs, hidden=(3,), key=jax.random.key(0))
    )


class Several(eqx.Module):
    """A task distribution of random inputs and labels."""

    target: Categorical | Gaussian = eqx.field(static=True)

    def sample(self, key):
        inputs, labels = jax.random.split(key)
        x = jax.random.normal(inputs, (7, 2))
        if isinstance(self.target, Categorical):
            y = jax.random.randint(labels, (7,), 0, self.target.way)
        else:
            y = jax.random.normal(labels, (7, self.target.dim))
        return Episode(Examples(x[:3], y[:3], self.target), Examples(x[3:], y[3:], self.target))


def measure(network, examples):
    """The mean cross-entropy, or the mean negative log-likelihood."""
    outputs = network(examples.x)[0]
    if isinstance(examples.target, Categorical):
        return -jax.nn.log_softmax(outputs)[jnp.arange(len(examples.y)), examples.y].mean()
    squared = jnp.sum((outputs - examples.y) ** 2, axis=1) / (2 * examples.target.scale**2)
    return (squared + examples.target.dim * math.log(examples.target.scale * math.sqrt(2 * math.pi))).mean()


def objective(network, episodes, regulariser, weight):
    after = [eqx.apply_updates(network, descent(network, episode.support)) for episode in episodes]
    total = sum(measure(adapted, episode.query) for adapted, episode in zip(after, episodes)) / len(episodes)
    if regulariser == "entropy":
        for adapted, episode in zip(after, episodes):
            x = episode.query.x
            total += weight * (entropy(adapted(x)[0]) - entropy(network(x)[0])) / len(episodes)
        return total
    if isinstance(episodes[0].target, Categorical):
        before = [measure(network, episode.support) for episode in episodes]
    else:
        before = [((network(episode.support.x)[0] - episode.support.y) ** 2).mean() for episode in episodes]
    return total + weight * INDICES[regulariser](jnp.stack(before))


def descent(network, support):
    return jax.tree.map(lambda g: -0.1 * g, eqx.filter_grad(measure)(network, support))


@pytest.mark.parametrize(
    ("regulariser", "target"),
    [
        ("entropy", Categorical(3)),
        ("theil", Categorical(3)),
        ("atkinson", Gaussian(2, 0.1)),
        ("gini", Gaussian(1, 2.0)),
    ],
)
def test_a_step_goes_down_the_gradient_of_the_whole_objective(regulariser, target):
    """In regression also where the likelihood of some tasks exceeds 1, and its logarithm has no inequality."""
    learner = TAML(MAML(network(target.width), inner_rate=0.1, inner_steps=1), regulariser=regulariser, weight=0.7)
    tasks, key, sgd = Several(target), jax.random.key(5), optax.sgd(1.0)
    step = eqx.filter_jit(MetaStep(tasks, sgd, 3, device_mesh(1)))
    after, metrics = step(initial_state(learner, sgd), key)
    episodes = [tasks.sample(jax.random.split(jax.random.fold_in(key, i))[0]) for i in range(3)]
    whole = eqx.filter_jit(eqx.filter_grad(lambda network: objective(network, episodes, regulariser, 0.7)))
    expected = eqx.apply_updates(learner.learner.network, jax.tree.map(jnp.negative, whole(learner.learner.network)))
    for a, b in zip(jax.tree.leaves(after.learner.learner.network), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    assert ("entropy_change" in metrics) == (regulariser == "entropy")
    alone = metrics["loss"] + metrics["coupling"]
    np.testing.assert_allclose(alone, objective(learner.learner.network, episodes, regulariser, 0.7), rtol=1e-8)


def test_tasks_of_densities_are_as_unequal_as_their_squared_errors():
    """A likelihood above 1 has a negative logarithm, which has no inequality."""
    target = VonMises(10.0, order=1)
    learner = TAML(MAML(network(2), inner_rate=0.1, inner_steps=1), regulariser="atkinson")
    y = jnp.array([[1.0], [4.0]])
    sure = Examples(jnp.ones((2, 2)), y, target)
    found = learner.coupling(Episode(sure, sure))
    np.testing.assert_allclose(found, target.score(learner.learner.network(sure.x)[0], y).mean(), rtol=1e-6)


def test_tasks_that_are_predicted_perfectly_leave_the_gradient_finite():
    def episode(loss):
        """Inputs whose single label has this loss: logits 0 and 1e4 at loss 0."""
        logits = [[0.0, 1e4]] if loss == 0 else [[3.0, 0.0]]
        examples = Examples(jnp.array(logits, jnp.float32), jnp.array([1]), Categorical(2))
        return Episode(examples, examples)

    class Scaled(MLP):
        def __call__(self, x, statistics=None):
            return x * self.layers[0].kernel[0, 0], ()

    net = Scaled(2, 2, hidden=(), key=jax.random.key(0))
    net = jax.tree.map(lambda leaf: jnp.ones_like(leaf, jnp.float32), net)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def regular(net, regulariser, chosen):
        learner = TAML(MAML(net), regulariser=regulariser)
        return learner.couple(jnp.stack([learner.coupling(episode(loss)) for loss in chosen]))

    for regulariser in INDICES:
        for chosen in ((0.0, 0.0, 3.0), (0.0, 0.0)):
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(regular(net, regulariser, chosen)))


def test_without_weight_it_is_maml():
    maml, task = MAML(network(3), inner_rate=0.1, inner_steps=2), Several(Categorical(3)).sample(jax.random.key(0))
    for regulariser in ("entropy", "gini"):
        learner = TAML(maml, regulariser=regulariser, weight=0.0)
        np.testing.assert_allclose(learner.loss(task)[0], maml.loss(task)[0], rtol=1e-12)
        np.testing.assert_array_equal(learner.couple(learner.coupling(task)[None]), 0)
    x = task.query.x
    np.testing.assert_array_equal(learner.adapt(task.support)(x), maml.adapt(task.support)(x))
    np.testing.assert_array_equal(learner.adapt(None)(x), maml.adapt(None)(x))
    assert (learner.statistics, learner.shape) == ("none", (2,))


def test_statistics_are_those_of_maml():
    learner = TAML(MAML(Conv4((8, 8, 1), 2, filters=2, key=jax.random.key(0)), statistics="running"))
    assert learner.statistics == "running"
    assert learner.with_statistics("transductive").statistics == "transductive"
    assert eqx.tree_equal(learner.blank_running(), learner.learner.blank_running())
    running = learner.with_running(learner.blank_running())
    assert len(running.learner.running) == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": -0.1}, "The weight of the regulariser is -0.1; expected a number from 0 on"),
        ({"weight": float("nan")}, "The weight of the regulariser is nan"),
    ],
)
def test_meaningless_options_are_refused(options, sentence):
    with pytest.raises(NopalError, match=sentence):
        TAML(MAML(network(2)), **options)


def test_one_task_a_step_has_no_inequality():
    learner = TAML(MAML(network(2)), regulariser="theil")
    with pytest.raises(NopalError, match="One task a step has no theil index; expected 2 tasks or more"):
        learner.couple(jnp.ones((1, 1)))


def test_entropies_need_classes():
    learner = TAML(MAML(network(1)), regulariser="entropy")
    with pytest.raises(NopalError, match=r"Entropies need classes, but this task predicts Gaussian\(dim=1"):
        learner.loss(Several(Gaussian(1)).sample(jax.random.key(0)))
