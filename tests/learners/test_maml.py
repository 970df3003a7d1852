"""MAML: its meta-gradient against closed forms, finite differences and plain reverse mode, all in double precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from nopal.errors import NopalError
from nopal.learners.maml import MAML
from nopal.nets.conv4 import Block
from nopal.nets.linear import Linear
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Normalisation
from nopal.nets.parameters import parameter_names
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


class Line(Network):
    """x @ kernel, nothing else."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    kernel: Array

    def __call__(self, x, statistics=None):
        return x @ self.kernel, ()


class Net(Network):
    """Linear, batch normalisation, tanh, linear."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    first: Linear
    normalisation: Normalisation
    head: Linear

    def __call__(self, x, statistics=None):
        x, moments = self.normalisation(self.first(x), statistics and statistics[0])
        return self.head(jnp.tanh(x)), (moments,)


class ConvNet(Network):
    """One convolutional block, the mean over places, linear."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    block: Block
    head: Linear

    def __call__(self, x, statistics=None):
        x, moments = self.block(x, statistics and statistics[0])
        return self.head(x.mean((1, 2))), (moments,)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def net(outputs=3):
    first, head = Linear(normal(4, 5), normal(5, seed=1)), Linear(normal(5, outputs, seed=2), normal(outputs, seed=3))
    return Net(first, Normalisation(5), head)


def examples(*shape, way=3, seed=0):
    """Random inputs, so many of each class, class after class."""
    labels = jnp.asarray(np.repeat(np.arange(way), shape[0]))
    return Examples(normal(way * shape[0], *shape[1:], seed=seed), labels, Categorical(way))


def episode(*shape, way=3):
    return Episode(examples(2, *shape, way=way, seed=10), examples(3, *shape, way=way, seed=11))


@eqx.filter_jit
def predict(learner, support, x, steps=None):
    return learner.adapt(support, steps=steps)(x)


@eqx.filter_jit
def adapted(learner, support, steps=None):
    return learner.adapt(support, steps=steps).network


@eqx.filter_jit
def loss_and_gradient(learner, episode):
    return eqx.filter_value_and_grad(lambda learner: learner.loss(episode)[0])(learner)


def meta_gradient(learner, episode):
    return loss_and_gradient(learner, episode)[1]


@eqx.filter_jit
def loss(learner, episode):
    return learner.loss(episode)[0]


# A linear model with squared error: everything about it can be written down.

RATE, SCALE = 0.1, 0.7
DRAW = np.random.default_rng(5)
SUPPORT, QUERY = ((DRAW.normal(size=(m, 3)), DRAW.normal(size=(m, 1))) for m in (4, 6))
KERNEL = DRAW.normal(size=(3, 1))
HESSIAN = SUPPORT[0].T @ SUPPORT[0] / (4 * SCALE**2)


def slope(kernel, x, y):
    """The gradient of the mean negative log-likelihood."""
    return x.T @ (x @ kernel - y) / (len(x) * SCALE**2)


def descend(steps):
    kernel = KERNEL
    for _ in range(steps):
        kernel = kernel - RATE * slope(kernel, *SUPPORT)
    return kernel


def quadratic():
    return Episode(*(Examples(jnp.asarray(x), jnp.asarray(y), Gaussian(1, SCALE)) for x, y in (SUPPORT, QUERY)))


def line(**options):
    return MAML(Line(jnp.asarray(KERNEL)), inner_rate=RATE, **options)


@pytest.mark.parametrize("steps", [1, 3])
def test_on_a_quadratic_the_meta_gradient_is_known(steps):
    """(I - a H)^steps times the query gradient at the adapted weights; to first order that gradient alone."""
    first = slope(descend(steps), *QUERY)
    second = np.linalg.matrix_power(np.eye(3) - RATE * HESSIAN, steps) @ first
    assert np.abs(first - second).max() > 0.1
    found = meta_gradient(line(inner_steps=steps), quadratic()).network.kernel
    np.testing.assert_allclose(found, second, rtol=1e-10)
    found = meta_gradient(line(inner_steps=steps, first_order=True), quadratic()).network.kernel
    np.testing.assert_allclose(found, first, rtol=1e-10)


@pytest.mark.parametrize("first_order", [False, True])
def test_inner_rates_have_their_known_gradients(first_order):
    """After one step the weights move against the support gradient as its rate grows, whether one or many."""
    products = -slope(KERNEL, *SUPPORT) * slope(descend(1), *QUERY)
    for rates, expected in (("per_tensor", products.sum()), ("per_weight", products)):
        learner = line(inner_steps=1, rates=rates, first_order=first_order)
        assert learner.rates.kernel.shape == expected.shape
        assert (learner.rates.kernel == RATE).all()
        np.testing.assert_allclose(meta_gradient(learner, quadratic()).rates.kernel, expected, rtol=1e-10)


def test_learned_rates_are_what_moves_the_weights():
    rates = np.array([[0.0], [0.2], [-0.3]])
    learner = eqx.tree_at(
        lambda learner: learner.rates.kernel, line(inner_steps=1, rates="per_weight"), jnp.asarray(rates)
    )
    moved = adapted(learner, quadratic().support).kernel
    np.testing.assert_allclose(moved, KERNEL - rates * slope(KERNEL, *SUPPORT), rtol=1e-12)


def test_training_and_test_take_their_own_numbers_of_steps():
    learner = line(inner_steps=2, test_steps=4)
    task = quadratic()
    for steps, expected in ((None, 4), (1, 1), (0, 0)):
        np.testing.assert_allclose(adapted(learner, task.support, steps).kernel, descend(expected), rtol=1e-12)
    expected = task.target.loss(task.query.x @ descend(2), task.query.y).mean()
    np.testing.assert_allclose(loss(learner, task), expected, rtol=1e-12)
    np.testing.assert_allclose(adapted(line(inner_steps=3), task.support).kernel, descend(3), rtol=1e-12)


# The meta-gradient where nothing can be written down.


def conv_net(downsample):
    block = Block(normal(3, 3, 1, 4), normal(4, seed=1), Normalisation(4), downsample)
    return ConvNet(block, Linear(normal(4, 2, seed=2), normal(2, seed=3))), episode(5, 6, 1, way=2)


@pytest.mark.parametrize(
    "options",
    [
        {"rates": "per_weight", "reduction": "class_sum", "statistics": "transductive"},
        {"rates": "per_tensor", "adapted": ("head.*", "*.shift")},
    ],
    ids=str,
)
def test_the_meta_gradient_is_that_of_finite_differences(options):
    check_by_finite_differences(MAML(net(), inner_rate=0.3, inner_steps=3, **options), episode(4))


def test_the_meta_gradient_of_a_convolutional_network_is_that_of_finite_differences():
    network, task = conv_net("pool")
    check_by_finite_differences(MAML(network, inner_rate=0.2, inner_steps=2), task)


def check_by_finite_differences(learner, task, h=1e-5):
    """Along random directions in the space of everything that is meta-trained."""
    gradient = meta_gradient(learner, task)
    for seed in range(4):
        draw = np.random.default_rng(seed)
        leaves, tree = jax.tree.flatten(gradient)
        along = [draw.normal(size=leaf.shape) for leaf in leaves]

        def loss_at(step):
            moved = eqx.apply_updates(learner, jax.tree.unflatten(tree, [jnp.asarray(step * d) for d in along]))  # noqa: B023
            return loss_and_gradient(moved, task)[0]

        found = sum(np.vdot(g, d) for g, d in zip(leaves, along))
        np.testing.assert_allclose(found, (loss_at(h) - loss_at(-h)) / (2 * h), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("rematerialise", [True, False])
def test_the_meta_gradient_is_that_of_plain_reverse_mode(rematerialise):
    """Written as in the paper, with the descent as a Python loop."""
    network, task = conv_net("stride")

    def cross_entropy(network, examples, statistics=None):
        logits = jax.nn.log_softmax(network(examples.x, statistics)[0])
        return -logits[jnp.arange(len(examples.y)), examples.y].mean()

    @eqx.filter_jit
    @eqx.filter_grad
    def expected(network):
        for _ in range(3):
            inner = eqx.filter_grad(cross_entropy)(network, task.support)
            network = eqx.apply_updates(network, jax.tree.map(lambda g: -0.2 * g, inner))
        return cross_entropy(network, task.query, network(task.support.x)[1])

    found = meta_gradient(MAML(network, inner_rate=0.2, inner_steps=3, rematerialise=rematerialise), task).network
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11), found, expected(network))


def test_second_order_matters_where_the_network_bends():
    first, second = (
        meta_gradient(MAML(net(), inner_rate=0.3, first_order=order), episode(4)).network.first.kernel
        for order in (True, False)
    )
    assert not np.allclose(first, second, rtol=0.05)


# What moves in the inner loop.


def moved(learner, support):
    """Names of the parameters that adapting changes."""
    before, after = jax.tree.leaves(learner.network), jax.tree.leaves(adapted(learner, support))
    return {name for name, a, b in zip(parameter_names(learner.network), before, after) if not np.array_equal(a, b)}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("*",), {"first.kernel", "normalisation.shift", "normalisation.scale", "head.kernel", "head.bias"}),
        (("head.*",), {"head.kernel", "head.bias"}),
        (("*.kernel", "normalisation.shift"), {"first.kernel", "head.kernel", "normalisation.shift"}),
    ],
)
def test_only_named_parameters_move(patterns, names):
    learner = MAML(net(), adapted=patterns, rates="per_tensor")
    # A bias before batch normalisation has no gradient but rounding.
    assert moved(learner, examples(2, 4)) - {"first.bias"} == names
    assert set(parameter_names(learner.rates)) - {"first.bias"} == names


def test_names_are_dotted_paths():
    names = (
        "block.kernel",
        "block.bias",
        "block.normalisation.shift",
        "block.normalisation.scale",
        "head.kernel",
        "head.bias",
    )
    assert parameter_names(conv_net("pool")[0]) == list(names)


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(
        NopalError, match=r"No parameter is named 'body\.\*'; this network has first\.kernel, .*head\.bias"
    ):
        MAML(net(), adapted=("head.*", "body.*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"inner_rate": 0.0}, "The inner rate is 0.0; expected a number above 0"),
        ({"inner_rate": float("nan")}, "The inner rate is nan"),
        ({"inner_rate": float("inf")}, "The inner rate is inf"),
        ({"inner_steps": 0}, r"Inner steps are 0 \(training\)"),
        ({"test_steps": 0}, r"and 0 \(test\); expected at least 1"),
    ],
)
def test_meaningless_numbers_are_refused(options, sentence):
    with pytest.raises(NopalError, match=sentence):
        MAML(net(), **options)


# The loss and the way.


def test_the_class_sum_is_the_way_times_the_mean_where_classes_are_balanced():
    """So the published rate of .05 acts as 0.15 at three ways, and as 1.0 at twenty."""
    task = episode(4)
    summed = MAML(net(), inner_rate=0.05, reduction="class_sum")
    mean = MAML(net(), inner_rate=0.15, reduction="mean")
    np.testing.assert_allclose(loss(summed, task), 3 * loss(mean, task), rtol=1e-12)
    np.testing.assert_allclose(predict(summed, task.support, task.query.x), predict(mean, task.support, task.query.x))


def test_the_class_sum_gives_each_class_the_same_weight_where_shots_differ():
    """From zero weights, where every class is as likely, each example counts 1 / shots of its class."""
    x, y = normal(4, 2), np.array([0, 0, 0, 1])
    learner = MAML(Line(jnp.zeros((2, 2))), inner_rate=1.0, inner_steps=1, reduction="class_sum")
    weight = np.array([1 / 3, 1 / 3, 1 / 3, 1.0])[:, None]
    expected = x.T @ (weight * (np.eye(2)[y] - 0.5))
    found = adapted(learner, Examples(x, y, Categorical(2))).kernel
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_where_the_way_is_smaller_the_first_outputs_are_used():
    support, x = examples(2, 4, way=2), normal(7, 4)
    wide = MAML(net(outputs=5))
    narrow_head = Linear(wide.network.head.kernel[:, :2], wide.network.head.bias[:2])
    narrow = MAML(eqx.tree_at(lambda n: n.head, wide.network, narrow_head))
    assert predict(wide, support, x).shape == (7, 2)
    np.testing.assert_allclose(predict(wide, support, x), predict(narrow, support, x), rtol=1e-10)
    task = Episode(support, examples(3, 4, way=2, seed=1))
    np.testing.assert_allclose(loss(wide, task), loss(narrow, task), rtol=1e-10)


def test_a_way_larger_than_the_network_is_refused():
    with pytest.raises(
        NopalError, match="task has 3 classes, but the network was meta-trained for 2; train with a way of at least 3"
    ):
        predict(MAML(net(outputs=2)), examples(2, 4), normal(1, 4))


@pytest.mark.parametrize("statistics", ["support", "transductive"])
def test_the_loss_is_that_of_adapting_and_predicting(statistics):
    learner, task = MAML(net(), statistics=statistics), episode(4)
    logits = predict(learner, task.support, task.query.x)
    value, aux = eqx.filter_jit(lambda learner: learner.loss(task))(learner)
    np.testing.assert_allclose(value, task.target.loss(logits, task.query.y).mean(), rtol=1e-12)
    np.testing.assert_allclose(aux["score"], np.mean(np.argmax(logits, 1) == task.query.y), rtol=1e-6)


def test_adapting_lowers_the_loss_on_the_support_set():
    support = examples(2, 4)
    learner = MAML(net(), inner_rate=0.1, statistics="transductive")
    losses = [support.target.loss(predict(learner, support, support.x, n), support.y).mean() for n in (0, 1, 50)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2 * losses[0]


def test_without_a_support_set_it_predicts_what_its_initial_weights_do():
    x = normal(6, 3)
    np.testing.assert_allclose(predict(line(), None, x), x @ KERNEL, rtol=1e-12)
    np.testing.assert_allclose(predict(MAML(net()), None, normal(6, 4)), net()(normal(6, 4))[0], rtol=1e-10)


# Normalisation statistics.


def with_others(x):
    """The same first query in other company."""
    return jnp.asarray(np.concatenate([x[:1], 9 * np.asarray(x[1:])]))


def test_with_support_statistics_a_prediction_depends_on_no_other_query():
    learner, support, x = MAML(net()), examples(2, 4), normal(5, 4, seed=3)
    together = predict(learner, support, x)
    np.testing.assert_allclose(predict(learner, support, x[:1]), together[:1], rtol=1e-10)
    np.testing.assert_allclose(predict(learner, support, with_others(x))[0], together[0], rtol=1e-10)
    # The statistics are those of the support set as the adapted network sees it.
    network = adapted(learner, support)
    np.testing.assert_allclose(together, network(x, network(support.x)[1])[0], rtol=1e-10)


def test_transductive_predictions_depend_on_the_other_queries():
    learner, support, x = MAML(net(), statistics="transductive"), examples(2, 4), normal(5, 4, seed=3)
    together = predict(learner, support, x)
    assert not np.allclose(predict(learner, support, with_others(x))[0], together[0], rtol=0.05)
    np.testing.assert_allclose(together, adapted(learner, support)(x)[0], rtol=1e-10)


def test_running_statistics_are_those_given():
    moments = (Moments(normal(5), normal(5, seed=1) ** 2),)
    learner = MAML(net(), statistics="running").with_running(moments)
    support, x = examples(2, 4), normal(5, 4, seed=3)
    expected = adapted(learner, support)(x, moments)[0]
    np.testing.assert_allclose(predict(learner, support, x), expected, rtol=1e-10)


def test_running_statistics_must_have_been_gathered():
    with pytest.raises(NopalError, match=r"no running statistics yet; call nopal.calibrate"):
        MAML(net(), statistics="running").adapt(examples(2, 4))


def test_the_statistics_of_an_episode_are_those_of_its_queries_after_adapting():
    task = episode(4)
    learner = MAML(net(), statistics="running")
    network = adapted(learner.with_statistics("support"), task.support)
    found = eqx.filter_jit(learner.episode_statistics)(task)
    np.testing.assert_allclose(found[0].mean, network.first(task.query.x).mean(0), rtol=1e-10)
    np.testing.assert_allclose(found[0].variance, network.first(task.query.x).var(0), rtol=1e-10)
    assert MAML(net()).episode_statistics(task) is None


def test_the_choice_of_statistics_has_a_name():
    learner = MAML(net())
    assert learner.statistics == "support"
    assert learner.with_statistics("transductive").statistics == "transductive"
    assert learner.statistics == "support"


def test_bytes_are_numbers_between_0_and_1():
    x = np.random.default_rng(0).integers(0, 256, (6, 1), np.uint8)
    support, labels = np.array([[0], [255], [51]], np.uint8), np.array([0, 1, 1])
    learner = MAML(Line(normal(1, 2)), inner_steps=1)
    of_bytes = predict(learner, Examples(support, labels, Categorical(2)), jnp.asarray(x))
    of_floats = predict(learner, Examples(support / 255, labels, Categorical(2)), jnp.asarray(x / 255))
    np.testing.assert_allclose(of_bytes, of_floats, rtol=1e-5)


def tiny(**options):
    """A MAML over one normalised linear layer, and a support set for it."""
    kernel = jnp.array([[1.0, -0.5], [0.3, 2.0]])
    net = Net(Linear(kernel, jnp.zeros(2)), Normalisation(2), Linear(kernel, jnp.zeros(2)))
    support = Examples(
        jnp.array([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0, 1, 1]), Categorical(2)
    )
    return MAML(net, **options), support


def test_running_statistics_are_used_for_that_choice_alone():
    learner, support = tiny(statistics="running")
    learner = learner.with_running((Moments(jnp.ones(2), 4 * jnp.ones(2)),)).with_statistics("transductive")
    predict, x = learner.adapt(support), jnp.array([[0.2, 0.1], [3.0, -1.0], [0.0, 5.0]])
    assert not np.allclose(predict(x[:2])[0], predict(x)[0])


def test_without_running_statistics_there_is_no_prediction_before_adaptation_either():
    with pytest.raises(NopalError, match="no running statistics yet"):
        tiny(statistics="running")[0].adapt(None)


def test_a_sum_over_classes_needs_classes():
    learner = MAML(Line(kernel=jnp.ones((2, 2))), reduction="class_sum")
    with pytest.raises(NopalError, match="summed over classes"):
        learner.adapt(Examples(jnp.ones((4, 2)), jnp.ones((4, 2)), Gaussian(2)))


def test_fewer_than_no_steps_are_refused():
    learner, support = tiny()
    with pytest.raises(NopalError, match="Inner steps are -1"):
        learner.adapt(support, steps=-1)


def test_a_network_that_normalises_nothing_needs_no_running_statistics():
    x = normal(5, 3)
    support = Examples(x, normal(5, 1, seed=1), Gaussian(1))
    found = predict(line(statistics="running"), support, x)
    np.testing.assert_array_equal(found, predict(line(), support, x))
    assert line(statistics="running").statistics == "none"
