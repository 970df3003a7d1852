"""Neural processes with a latent vector: the evidence lower bound by hand, divergences, and averages over draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from nopal.errors import NopalError
from nopal.learners import AttentiveNeuralProcess, NeuralProcess
from nopal.learners.attentive_neural_process import Attention
from nopal.learners.neural_process import Normal
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


KEY = jax.random.key(3)
WIDTHS = {"latent": 2, "representation": 4, "hidden": (4,)}


def random_weights(learner, seed=0):
    draw = np.random.default_rng(seed)
    arrays, static = eqx.partition(learner, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), arrays), static)


def process(target=Gaussian(1, 0.5), **options):
    return random_weights(NeuralProcess(3, target, key=KEY, **WIDTHS, **options))


def attentive(target=Gaussian(1, 0.5), **options):
    return random_weights(AttentiveNeuralProcess(3, target, heads=2, key=KEY, **WIDTHS, **options))


def examples(count, target=Gaussian(1, 0.5), seed=0):
    draw = np.random.default_rng(seed)
    classes = isinstance(target, Categorical)
    y = draw.integers(0, target.way, count) if classes else draw.normal(size=(count, target.dim))
    return Examples(draw.normal(size=(count, 3)), y, target)


def layers(x, network):
    """A perceptron in NumPy."""
    *hidden, last = [(np.asarray(layer.kernel), np.asarray(layer.bias)) for layer in network.layers]
    for kernel, bias in hidden:
        x = np.maximum(x @ kernel + bias, 0)
    return x @ last[0] + last[1]


def distribution(learner, examples):
    """Mean and scale of the latent vector, in NumPy."""
    path, labels = learner.latent, np.asarray(examples.target.encode(examples.y))
    found = layers(layers(np.concatenate([examples.x, labels], axis=1), path.points.network).mean(0), path.head)
    return found[:2], 0.1 + 0.9 / (1 + np.exp(-found[2:]))


def decoded(learner, latent, x, *others):
    rows = [np.tile(latent, (len(x), 1))]
    return layers(np.concatenate([x, *others, *rows], axis=1), learner.decoder)


@eqx.filter_jit
def judged(learner, episode, key):
    return learner.loss(episode, key=key)


@eqx.filter_jit
def predict(learner, support, x, key=None):
    return learner.adapt(support, key=key)(x)


def test_the_divergence_of_two_normals_is_the_mean_difference_of_log_densities():
    draw = np.random.default_rng(0)
    means, scales = draw.normal(size=(2, 3)), np.exp(draw.normal(size=(2, 3)) / 2)
    one, other = (Normal(jnp.asarray(mean), jnp.asarray(scale)) for mean, scale in zip(means, scales))
    z = draw.normal(means[0], scales[0], (100_000, 3))
    differences = (norm.logpdf(z, means[0], scales[0]) - norm.logpdf(z, means[1], scales[1])).sum(1)
    assert abs(one.kl(other) - differences.mean()) < 4 * differences.std() / np.sqrt(len(z))
    np.testing.assert_allclose(one.kl(one), 0, atol=1e-12)
    assert not np.isclose(other.kl(one), one.kl(other), rtol=0.05)


@pytest.mark.parametrize("over", ["mean", "sum"])
@pytest.mark.parametrize("target", [Gaussian(1, 0.5), Categorical(3)], ids=str)
def test_the_loss_is_the_negative_evidence_lower_bound(target, over):
    """The latent vector is drawn from what support and queries say; the price is the divergence from what the support
    set alone says."""
    learner = process(target, over_queries=over)
    task = Episode(examples(4, target), examples(6, target, seed=1))
    support, query = task.support, task.query
    both = Examples(np.concatenate([support.x, query.x]), np.concatenate([support.y, query.y]), target)
    (mean, scale), (prior_mean, prior_scale) = distribution(learner, both), distribution(learner, support)
    latent = mean + scale * np.asarray(jax.random.normal(KEY, (2,)))
    outputs = jnp.asarray(decoded(learner, latent, query.x))
    kl = np.log(prior_scale / scale) + (scale**2 + (mean - prior_mean) ** 2) / (2 * prior_scale**2) - 0.5
    bound = -target.loss(outputs, query.y).sum() - kl.sum()
    value, aux = judged(learner, task, KEY)
    np.testing.assert_allclose(value, -bound / (6 if over == "mean" else 1), rtol=1e-10)
    np.testing.assert_allclose(aux["latent_kl"], kl.sum(), rtol=1e-10)
    np.testing.assert_allclose(aux["score"], target.score(outputs, query.y).mean(), rtol=1e-10)


def test_the_bound_is_below_the_evidence():
    """The mean over draws of the bound, against the logarithm of the mean likelihood under the support set's
    distribution (Jensen)."""
    learner = process(over_queries="sum")
    task = Episode(examples(4), examples(2, seed=1))
    keys = jax.random.split(jax.random.key(0), 4000)
    bounds = -np.asarray(jax.jit(jax.vmap(lambda key: learner.loss(task, key=key)[0]))(keys))
    mean, scale = distribution(learner, task.support)
    draws = np.random.default_rng(0).normal(mean, scale, (20_000, 2))
    x = np.asarray(task.query.x)
    inputs = np.concatenate([np.tile(x, (len(draws), 1)), np.repeat(draws, len(x), axis=0)], axis=1)
    outputs = layers(inputs, learner.decoder).reshape(len(draws), len(x))
    log = norm.logpdf(np.asarray(task.query.y)[:, 0], outputs, 0.5).sum(1)
    evidence = np.log(np.mean(np.exp(log - log.max()))) + log.max()
    assert bounds.mean() + 4 * bounds.std() / np.sqrt(len(bounds)) < evidence + 0.05 * abs(evidence)


def test_predictions_take_the_mean_of_what_the_support_set_says():
    support, x = examples(4), np.random.default_rng(2).normal(size=(5, 3))
    mean, _ = distribution(process(), support)
    np.testing.assert_allclose(predict(process(), support, jnp.asarray(x)), decoded(process(), mean, x), rtol=1e-10)


@pytest.mark.parametrize("make", [process, attentive])
def test_averages_are_those_of_single_draws_and_approach_their_mean(make):
    support, x = examples(4), jnp.asarray(np.random.default_rng(2).normal(size=(5, 3)))
    learner = make(samples=3)
    expected = []
    for key in jax.random.split(KEY, 3):
        latent = learner.latent(support).sample(key)
        if make is process:
            expected.append(decoded(learner, latent, x))
        else:
            expected.append(learner.predictor(support, latent)(x))
    np.testing.assert_allclose(predict(learner, support, x, KEY), np.mean(expected, axis=0), rtol=1e-10)
    assert not np.allclose(predict(learner, support, x, jax.random.key(4)), np.mean(expected, axis=0), rtol=1e-3)


def test_of_classes_probabilities_are_averaged():
    target = Categorical(3)
    learner, support, x = process(target, samples=2), examples(4, target), np.random.default_rng(2).normal(size=(5, 3))
    mean, scale = distribution(learner, support)
    both = []
    for key in jax.random.split(KEY, 2):
        logits = np.exp(decoded(learner, mean + scale * np.asarray(jax.random.normal(key, (2,))), x))
        both.append(logits / logits.sum(1, keepdims=True))
    found = jax.nn.softmax(predict(learner, support, jnp.asarray(x), KEY))
    np.testing.assert_allclose(found, np.mean(both, axis=0), rtol=1e-10)


# Attention.


def test_attention_by_hand():
    """Two heads of one number each: weights are a softmax of products, as the root of 1 is 1."""
    queries, keys = jnp.array([[1.0, 0.0]]), jnp.array([[np.log(2.0), 5.0], [0.0, -5.0]])
    values = jnp.array([[3.0, 10.0], [0.0, 20.0]])
    np.testing.assert_allclose(Attention(2)(queries, keys, values), [[2.0, 15.0]], rtol=1e-10)
    # One head of two numbers: the products are divided by the root of 2.
    weight = 2 ** (1 / np.sqrt(2))
    expected = (weight * values[0] + values[1]) / (weight + 1)
    np.testing.assert_allclose(Attention(1)(queries, keys, values)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_a_single_example_is_all_that_attention_finds(heads):
    draw = np.random.default_rng(0)
    queries, key, value = (jnp.asarray(draw.normal(size=(m, 4))) for m in (3, 1, 1))
    np.testing.assert_allclose(Attention(heads)(queries, key, value), np.tile(value, (3, 1)), rtol=1e-12)


def test_a_query_finds_the_example_that_it_equals_where_keys_are_far_apart():
    keys, values = 100 * jnp.eye(4), jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)))
    np.testing.assert_allclose(Attention(1)(keys, keys, values), values, atol=1e-10)


def test_the_attentive_predictor_is_that_of_numpy():
    learner, support, x = attentive(), examples(4), np.random.default_rng(2).normal(size=(5, 3))
    mean, _ = distribution(learner, support)
    queries, keys = layers(x, learner.keys), layers(np.asarray(support.x), learner.keys)
    values = layers(np.concatenate([support.x, support.y], axis=1), learner.points.network)
    found = []
    for part in (slice(0, 2), slice(2, 4)):
        alike = np.exp(queries[:, part] @ keys[:, part].T / np.sqrt(2))
        found.append(alike / alike.sum(1, keepdims=True) @ values[:, part])
    outputs = decoded(learner, mean, x, *found)
    np.testing.assert_allclose(predict(learner, support, jnp.asarray(x)), outputs, rtol=1e-8)


def test_the_attentive_loss_attends_to_the_support_set_alone():
    """And takes its latent vector from support and queries."""
    learner, task = attentive(), Episode(examples(4), examples(6, seed=1))
    support, query = task.support, task.query
    both = Examples(np.concatenate([support.x, query.x]), np.concatenate([support.y, query.y]), query.target)
    posterior, prior = (Normal(*map(jnp.asarray, distribution(learner, part))) for part in (both, support))
    outputs = learner.predictor(support, posterior.sample(KEY))(query.x)
    expected = query.target.loss(outputs, query.y).mean() + posterior.kl(prior) / 6
    np.testing.assert_allclose(judged(learner, task, KEY)[0], expected, rtol=1e-8)


# What is refused.


@pytest.mark.parametrize("make", [process, attentive])
def test_draws_need_a_key_and_a_number(make):
    with pytest.raises(NopalError, match=r"Predictions average 3 draws, which need a key; give adapt\(support, key="):
        make(samples=3).adapt(examples(4))
    with pytest.raises(NopalError, match="are to average -1 draws; expected 0"):
        make(samples=-1)


@pytest.mark.parametrize("heads", [0, 3, -2])
def test_heads_share_the_representation_evenly(heads):
    with pytest.raises(NopalError, match=f"{heads} heads can't share a representation of 4 numbers"):
        AttentiveNeuralProcess(3, Gaussian(1), heads=heads, key=KEY, **WIDTHS)
