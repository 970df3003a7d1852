"""Meta-regularisation: equal to the plain learner where it regularises nothing, the divergence counted once and felt by
the encoder alone, and what is drawn when."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nopal.errors import NopalError
from nopal.learners import MAML, TAML, ConditionalNeuralProcess, MetaLearner, MetaRegularised, NeuralProcess
from nopal.learners.averaging import check_strength
from nopal.nets import MLP, Bottleneck, Chain, Conv4, MeanField
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian
from nopal.training import MetaStep, calibrate, device_mesh, initial_state


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


KEY = jax.random.key(7)
TARGET = Gaussian(1, 0.7)


def network(*widths, seed=0):
    """With biases that are not zero."""
    inputs, *hidden, outputs = widths
    draw = np.random.default_rng(seed)
    made = MLP(inputs, outputs, hidden=tuple(hidden), key=jax.random.key(seed))
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), made)


def examples(count, seed=0, target=TARGET):
    draw = np.random.default_rng(seed)
    classes = isinstance(target, Categorical)
    return Examples(
        draw.normal(size=(count, 2)), draw.integers(0, 3, count) if classes else draw.normal(size=(count, 1)), target
    )


def episode(target=TARGET):
    return Episode(examples(4, 1, target), examples(5, 2, target))


def maml(width=3, outputs=1):
    return MAML(network(width, 4, outputs, seed=1), inner_rate=0.1, inner_steps=2)


def process(width=3):
    made = ConditionalNeuralProcess(width, TARGET, representation=4, hidden=(4,), key=KEY)
    draw = np.random.default_rng(3)
    arrays, static = eqx.partition(made, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), arrays), static)


def weights(scale=0.3):
    return MeanField(network(2, 4, 3), scale=scale)


def bottleneck():
    return Bottleneck(network(2, 4, 6))


@eqx.filter_jit
def loss_and_gradient(learner, episode, key=KEY):
    return eqx.filter_value_and_grad(lambda learner: learner.loss(episode, key=key)[0])(learner)


@eqx.filter_jit
def predict(learner, support, x, key=None):
    return learner.adapt(support, key=key)(x)


def assert_close(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-10, "atol": 1e-12} | tolerance))


# Without strength and scale.


@eqx.filter_jit
def plain_loss_and_gradient(encoder, learner, episode):
    """A learner on features, both trained together."""

    @eqx.filter_value_and_grad
    def loss(both):
        encoder, learner = both
        features = (Examples(encoder(part.x)[0], part.y, part.target) for part in (episode.support, episode.query))
        return learner.loss(Episode(*features), key=KEY)[0]

    return loss((encoder, learner))


def certain_bottleneck():
    """The same network as `network(2, 4, 3)`, and as many raw scales, which are far below 0."""
    net = network(2, 4, 3)
    last = net.layers[-1]
    kernel, bias = jnp.pad(last.kernel, ((0, 0), (0, 3))), jnp.pad(last.bias, (0, 3), constant_values=-1e3)
    return Bottleneck(eqx.tree_at(lambda n: (n.layers[-1].kernel, n.layers[-1].bias), net, (kernel, bias)))


@pytest.mark.parametrize("encoder", ["plain", "random", "bottleneck"])
@pytest.mark.parametrize("make", [maml, process])
def test_without_strength_and_scale_it_is_the_plain_learner(make, encoder):
    net = network(2, 4, 3)
    encoders = {"plain": net, "random": weights(1e-300), "bottleneck": certain_bottleneck()}
    regularised = MetaRegularised(encoders[encoder], make(), beta=0.0)
    value, gradient = loss_and_gradient(regularised, episode())
    expected, (of_encoder, of_learner) = plain_loss_and_gradient(net, make(), episode())
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    assert_close(gradient.learner, of_learner, rtol=1e-8)
    if encoder == "bottleneck":
        assert_close(gradient.encoder.network.layers[0], of_encoder.layers[0], rtol=1e-8)
        return
    found = gradient.encoder.network if encoder == "plain" else gradient.encoder.weights.mean
    assert_close(found, of_encoder, rtol=1e-8)


def test_it_is_maml_whose_encoder_is_not_adapted():
    """One network, of which the inner loop moves the head alone."""
    net, head = network(2, 4, 3), network(3, 4, 1, seed=1)
    chained = MAML(Chain(net, head), inner_rate=0.1, inner_steps=2, adapted=("head.*",))
    value, gradient = loss_and_gradient(MetaRegularised(weights(1e-300), maml()), episode())
    expected, by_chain = loss_and_gradient(chained, episode())
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    assert_close(gradient.encoder.weights.mean, by_chain.network.encoder, rtol=1e-8)
    assert_close(gradient.learner.network, by_chain.network.head, rtol=1e-8)
    x = episode().query.x
    found = predict(MetaRegularised(net, maml()), episode().support, x)
    np.testing.assert_allclose(found, predict(chained, episode().support, x), rtol=1e-9)


# The divergence.


@pytest.mark.parametrize(("encoder", "make"), [(weights, maml), (bottleneck, process)])
def test_the_divergence_touches_no_parameter_of_the_learner(encoder, make):
    without, strong = (loss_and_gradient(MetaRegularised(encoder(), make(), beta=b), episode()) for b in (0.0, 3.0))
    assert strong[0] > without[0] + 1
    assert_close(strong[1].learner, without[1].learner)
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), strong[1].encoder, without[1].encoder)
    assert max(jax.tree.leaves(changed)) > 0.1


@pytest.mark.parametrize("of", ["query", "support"])
def test_the_divergence_of_activations_is_the_mean_over_the_examples_that_are_named(of):
    learner = MetaRegularised(bottleneck(), maml(), beta=0.5, of=of)
    part = episode().query if of == "query" else episode().support
    expected = bottleneck().encode(part.x, KEY)[1].mean()
    value, aux = learner.loss(episode(), key=KEY)
    np.testing.assert_allclose(aux["kl"], expected, rtol=1e-10)
    unregularised = MetaRegularised(bottleneck(), maml(), of=of).loss(episode(), key=KEY)[0]
    np.testing.assert_allclose(value, unregularised + 0.5 * expected, rtol=1e-10)


class Reveal(MetaLearner):
    """Its metrics say what the features of an input were; it has a parameter, as every meta-learner."""

    parameter: jax.Array
    shape: tuple[int, ...] = eqx.field(static=True, default=(3,))

    def loss(self, episode, *, key):
        support, query = episode.support.x[0, 0], episode.query.x[0, 0]
        seen = {"support": support, "squared": support**2, "gap": (support - query) ** 2, "score": support}
        return self.parameter * query, seen

    def adapt(self, support, *, key=None, steps=None):
        return Beside(support.x[0])


class Beside(eqx.Module):
    """Shows features of a query beside those of the support set."""

    seen: jax.Array

    def __call__(self, x):
        return jnp.concatenate([x, self.seen[None]], axis=1)


LINEAR = MeanField(network(2, 3), scale=0.3)
"""Without a ReLU, which could hide what was drawn."""


class Constant(eqx.Module):
    """All inputs of all tasks are the same."""

    target: Gaussian = eqx.field(static=True, default=TARGET)

    def sample(self, key):
        part = Examples(jnp.array([[0.4, -0.3]]), jnp.zeros((1, 1)), TARGET)
        return Episode(part, part)


def step_of(learner, tasks_per_step, tasks):
    """The meta-gradient of one step, and its metrics."""
    sgd = optax.sgd(1.0)
    state = initial_state(learner, sgd)
    after, metrics = eqx.filter_jit(MetaStep(tasks, sgd, tasks_per_step, device_mesh(1)))(state, KEY)
    before, after = (eqx.filter(tree, eqx.is_inexact_array) for tree in (learner, after.learner))
    return jax.tree.map(jnp.subtract, before, after), metrics


@pytest.mark.parametrize(("draws", "tasks_per_step"), [("step", 1), ("step", 4), ("task", 4), ("call", 4)])
def test_the_divergence_of_weights_counts_once_a_step_whatever_the_number_of_tasks(draws, tasks_per_step):
    """Of a learner whose loss does not depend on features nothing but the divergence is left."""
    learner = MetaRegularised(LINEAR, Reveal(jnp.zeros(())), beta=2.0, draws=draws)
    gradient, metrics = step_of(learner, tasks_per_step, Constant())
    np.testing.assert_allclose(metrics["kl"], LINEAR.kl, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], 2 * LINEAR.kl, rtol=1e-6)
    kernel, scale = np.asarray(LINEAR.mean.layers[0].kernel), LINEAR.scale.layers[0].kernel
    rho = LINEAR.rho.layers[0].kernel
    np.testing.assert_allclose(gradient.encoder.weights.mean.layers[0].kernel, 2 * kernel, rtol=1e-5)
    expected = 2 * (scale - 1 / scale) / (1 + np.exp(-np.asarray(rho)))
    np.testing.assert_allclose(gradient.encoder.weights.rho.layers[0].kernel, expected, rtol=1e-5)


def test_strength_and_draws_where_nothing_is_drawn_are_refused():
    for choice in ({"beta": 1.0}, {"samples": 3}):
        with pytest.raises(NopalError, match="the encoder draws nothing"):
            MetaRegularised(network(2, 3), maml(), **choice)


def test_choices_about_what_is_not_drawn_are_refused():
    for encoder, choice in ((bottleneck(), "task"), (network(2, 3), "call")):
        with pytest.raises(NopalError, match=f"draws is '{choice}', but the encoder draws no weights; leave it out"):
            MetaRegularised(encoder, maml(), draws=choice)
    with pytest.raises(NopalError, match="of is 'support', but the encoder draws no activations"):
        MetaRegularised(weights(), maml(), of="support")


# When weights are drawn.


@pytest.mark.parametrize(
    ("draws", "varies", "differ"), [("step", False, False), ("task", True, False), ("call", False, True)]
)
def test_tasks_of_a_step_see_the_same_weights_or_different_ones(draws, varies, differ):
    learner = MetaRegularised(LINEAR, Reveal(jnp.ones(())), draws=draws)
    _, seen = step_of(learner, 4, Constant())
    assert (float(seen["squared"] - seen["support"] ** 2) > 1e-3) == varies
    assert (float(seen["gap"]) > 1e-3) == differ
    mean = LINEAR.mean(Constant().sample(KEY).query.x)[0][0, 0]
    assert abs(seen["support"] - mean) > 1e-3


def test_each_step_draws_anew():
    learner = MetaRegularised(weights(), maml())
    one, same, other = (learner.for_step(key).encoder.network for key in (KEY, KEY, jax.random.key(8)))
    assert_close(one, same, rtol=0, atol=0)
    assert not np.allclose(one.layers[0].kernel, other.layers[0].kernel, rtol=1e-2)


def test_activations_of_support_and_queries_have_noise_of_their_own():
    _, seen = step_of(MetaRegularised(Bottleneck(network(2, 6)), Reveal(jnp.ones(()))), 4, Constant())
    assert float(seen["gap"]) > 1e-3
    assert float(seen["squared"] - seen["support"] ** 2) > 1e-3


# Predictions.


@pytest.mark.parametrize("encoder", [weights, bottleneck])
def test_without_samples_predictions_are_those_of_the_means(encoder):
    support, x = episode().support, episode().query.x
    made = encoder()
    features = (lambda x: made.mean(x)[0]) if encoder is weights else lambda x: made.network(x)[0][:, :3]
    by_hand = maml().adapt(Examples(features(support.x), support.y, TARGET))(features(x))
    learner = MetaRegularised(made, maml(), draws="call" if encoder is weights else "step")
    np.testing.assert_allclose(predict(learner, support, x), by_hand, rtol=1e-10)
    np.testing.assert_allclose(predict(learner, support, x, KEY), by_hand, rtol=1e-10)
    np.testing.assert_allclose(predict(learner, None, x), maml().adapt(None)(features(x)), rtol=1e-10)


def test_predictions_average_over_networks_each_adapted_on_its_own():
    support, x = episode().support, episode().query.x
    one_by_one = []
    for key in jax.random.split(KEY, 3):
        drawn = weights().sample(jax.random.split(key)[0])
        predictor = maml().adapt(Examples(drawn(support.x)[0], support.y, TARGET))
        one_by_one.append(predictor(drawn(x)[0]))
    learner = MetaRegularised(weights(), maml(), samples=3)
    np.testing.assert_allclose(predict(learner, support, x, KEY), np.mean(one_by_one, axis=0), rtol=1e-9)


def test_of_classes_probabilities_are_averaged():
    target = Categorical(3)
    support, x = episode(target).support, episode(target).query.x
    one_by_one = []
    for key in jax.random.split(KEY, 2):
        drawn = weights().sample(jax.random.split(key)[0])
        predictor = maml(outputs=3).adapt(Examples(drawn(support.x)[0], support.y, target))
        one_by_one.append(jax.nn.softmax(predictor(drawn(x)[0])))
    learner = MetaRegularised(weights(), maml(outputs=3), samples=2)
    np.testing.assert_allclose(
        jax.nn.softmax(predict(learner, support, x, KEY)), np.mean(one_by_one, axis=0), rtol=1e-9
    )


@pytest.mark.parametrize(("draws", "differ"), [("step", False), ("task", False), ("call", True)])
def test_in_predictions_too_calls_see_the_same_weights_or_different_ones(draws, differ):
    part = Constant().sample(KEY).support
    learner = MetaRegularised(LINEAR, Reveal(jnp.ones(())), draws=draws, samples=1)
    of_query, of_support = np.split(np.asarray(learner.adapt(part, key=KEY)(part.x)), 2, axis=1)
    assert np.allclose(of_query, of_support, rtol=1e-3) != differ


def test_steps_are_those_of_the_learner():
    support, x = episode().support, episode().query.x
    learner, key = MetaRegularised(weights(), maml()), None
    unadapted = learner.adapt(support, key=key, steps=0)(x)
    np.testing.assert_allclose(unadapted, learner.adapt(None)(x), rtol=1e-10)


def test_bytes_are_numbers_between_0_and_1():
    x = np.random.default_rng(0).integers(0, 256, (4, 2), np.uint8)
    learner, y = MetaRegularised(weights(), maml()), np.zeros((4, 1))
    found = predict(learner, Examples(x, y, TARGET), jnp.asarray(x))
    np.testing.assert_allclose(found, predict(learner, Examples(x / 255, y, TARGET), jnp.asarray(x / 255)), rtol=1e-5)


# A head that normalises, on features in the shape of images.


def conv_head(**options):
    head = Conv4((2, 2, 1), 1, filters=2, downsample="none", key=KEY)
    return MetaRegularised(MeanField(network(2, 4)), MAML(head, inner_rate=0.1, inner_steps=1, **options))


def test_features_take_the_shape_of_the_learners_inputs():
    learner, support = conv_head(), examples(4)
    features = learner.encoder.weights.mean(support.x)[0].reshape(4, 2, 2, 1)
    by_hand = learner.learner.adapt(Examples(features, support.y, TARGET))(features)
    np.testing.assert_allclose(predict(learner, support, support.x), by_hand, rtol=1e-6)
    assert (learner.shape, learner.statistics) == ((2,), "support")
    assert learner.with_statistics("transductive").statistics == "transductive"


class Several(eqx.Module):
    """A task distribution of random inputs and values."""

    target: Gaussian = eqx.field(static=True, default=TARGET)

    def sample(self, key):
        x, y = jax.random.normal(key, (7, 2)), jax.random.normal(key, (7, 1))
        return Episode(Examples(x[:3], y[:3], self.target), Examples(x[3:], y[3:], self.target))


def test_running_statistics_are_those_of_the_learner_on_expected_features():
    learner = conv_head(statistics="running")
    task = Several().sample(jax.random.fold_in(KEY, 0))
    found = calibrate(learner, Several(), key=KEY, episodes=1, devices=1)
    features = (
        Examples(learner.encoder.weights.mean(part.x)[0].reshape(-1, 2, 2, 1), part.y, TARGET)
        for part in (task.support, task.query)
    )
    assert_close(found.learner.running, learner.learner.episode_statistics(Episode(*features)), rtol=1e-5, atol=1e-6)
    shapes = [leaf.shape for leaf in jax.tree.leaves(learner.blank_running())]
    assert shapes == [leaf.shape for leaf in jax.tree.leaves(found.learner.running)]
    assert predict(found, task.support, task.query.x).shape == (4, 1)


# What is refused.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beta": -1e-3}, "The strength of regularisation, beta, is -0.001; expected a number from 0 on"),
        ({"beta": float("nan")}, "beta, is nan"),
        ({"beta": float("inf")}, "beta, is inf"),
        ({"samples": -1}, "Predictions are to average -1 draws; expected 0"),
    ],
)
def test_meaningless_options_are_refused(options, sentence):
    with pytest.raises(NopalError, match=sentence):
        MetaRegularised(weights(), maml(), **options)


@pytest.mark.parametrize("encoder", [weights, bottleneck])
def test_features_that_do_not_fit_are_refused(encoder):
    with pytest.raises(NopalError, match="makes 3 features of an input, but the learner takes 2; give the encoder as"):
        MetaRegularised(encoder(), maml(width=2))
    with pytest.raises(NopalError, match="makes 3 features of an input, but the learner takes 2 x 2 x 1"):
        MetaRegularised(encoder(), MAML(Conv4((2, 2, 1), 1, filters=2, downsample="none", key=KEY)))


def test_an_encoder_that_normalises_is_refused():
    conv = Conv4((16, 16, 1), 3, filters=2, key=KEY)
    for encoder in (conv, MeanField(conv)):
        with pytest.raises(NopalError, match=r"The encoder, Conv4, normalises by its batch.*ConvEncoder"):
            MetaRegularised(encoder, maml())


def test_a_strength_that_is_no_number_is_refused():
    for beta in ("0.1", None, float("nan")):
        with pytest.raises(NopalError, match="The strength of regularisation, beta, is"):
            check_strength(beta, 0)


def test_a_coupled_objective_is_refused():
    with pytest.raises(NopalError, match="The objective of TAML couples the tasks of a step, which would be lost"):
        MetaRegularised(weights(), TAML(maml(), regulariser="theil"))


def test_a_learner_that_draws_needs_a_key_behind_an_encoder_that_does_not():
    learner = MetaRegularised(network(2, 3), NeuralProcess(3, TARGET, samples=2, key=KEY))
    with pytest.raises(NopalError, match=r"Predictions average 2 draws, which need a key"):
        learner.adapt(examples(4))
    learner.adapt(examples(4), key=KEY)


def test_averages_need_a_key():
    with pytest.raises(NopalError, match=r"Predictions average 2 draws, which need a key; give adapt\(support, key="):
        MetaRegularised(weights(), maml(), samples=2).adapt(examples(4))
