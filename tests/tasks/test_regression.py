"""Sinusoids: that tasks are sinusoids at all, with amplitudes, phases and one-hot inputs as they should be."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm

from nopal.errors import NopalError
from nopal.evaluation import evaluate
from nopal.learners import MAML
from nopal.nets import MLP
from nopal.tasks import Sinusoids

TASKS, TOO_UNLIKELY = 2000, 1e-4
many = eqx.filter_jit(lambda tasks, keys: jax.vmap(tasks.sample)(keys))


def sample(tasks, count=TASKS):
    return jax.tree.map(np.asarray, many(tasks, jax.random.split(jax.random.key(0), count)))


def fitted(x, y):
    """Amplitude, phase and the largest residual of the sinusoid that is closest to each task's points [task, m]."""
    found = []
    for xs, ys in zip(x.astype(float), y.astype(float)):
        basis = np.stack([np.sin(xs), -np.cos(xs)], axis=1)
        (a, b), *_ = np.linalg.lstsq(basis, ys, rcond=None)
        found.append((np.hypot(a, b), np.arctan2(b, a), np.abs(basis @ [a, b] - ys).max()))
    return np.array(found).T


def uniform(values, low, high):
    return kstest(values, "uniform", (low, high - low)).pvalue > TOO_UNLIKELY


def test_support_and_queries_lie_on_one_sinusoid_drawn_from_the_published_ranges():
    episodes = sample(Sinusoids())
    x = np.concatenate([episodes.support.x, episodes.query.x], axis=1)[..., 0]
    y = np.concatenate([episodes.support.y, episodes.query.y], axis=1)[..., 0]
    assert episodes.support.x.shape == episodes.query.y.shape == (TASKS, 10, 1)
    amplitude, phase, residual = fitted(x, y)
    assert residual.max() < 1e-5
    assert uniform(amplitude, 0.1, 5)
    assert uniform(phase, 0, math.pi)
    assert uniform(x.ravel(), -5, 5)


@pytest.mark.parametrize(("version", "levels"), [("paper", 20), ("maml_notebook", 16), ("cnp_notebook", 16)])
def test_a_told_amplitude_is_that_of_its_level(version, levels):
    episodes = sample(Sinusoids.told(version=version))
    hint = episodes.support.x[..., 1:]
    assert hint.shape == (TASKS, 10, 20)
    assert (hint.sum(-1) == 1).all()
    assert (hint == hint[:, :1]).all()
    np.testing.assert_array_equal(hint, episodes.query.x[..., 1:])
    level = hint[:, 0].argmax(-1)
    assert chisquare(np.bincount(level, minlength=levels)).pvalue > TOO_UNLIKELY
    assert level.max() == levels - 1
    amplitude = np.linspace(0.1, 4, 20)[level]
    for examples in (episodes.support, episodes.query):
        noise = examples.y[..., 0] - amplitude[:, None] * np.sin(examples.x[..., 0])
        assert kstest(noise.ravel(), norm(scale=0.1).cdf).pvalue > TOO_UNLIKELY


@pytest.mark.parametrize(
    ("version", "queries", "grid", "of_support", "of_queries", "levels"),
    [
        ("paper", 200, None, 0.1, 0.1, range(20)),
        ("maml_notebook", 200, 4.5, 0.1 * math.sqrt(2), 0.1, range(16)),
        ("cnp_notebook", 100, 5.0, 0.1, 0.0, range(5, 16)),
    ],
)
def test_a_misleading_level_says_nothing_about_the_amplitude(version, queries, grid, of_support, of_queries, levels):
    tasks = Sinusoids.mistold(version=version)
    assert (tasks.shot, tasks.query) == (5, queries)
    assert tasks.at(query=7) == Sinusoids.mistold(5, 7, version)
    episodes = sample(tasks, 1000)
    x = episodes.query.x[..., 0]
    if grid is None:
        assert uniform(x[:200].ravel(), -5, 5)
    else:
        np.testing.assert_allclose(x, np.tile(np.linspace(-grid, grid, queries), (1000, 1)), atol=1e-6)
    np.testing.assert_array_equal(episodes.support.x[:, 0, 1:], episodes.query.x[:, 0, 1:])
    level = episodes.query.x[:, 0, 1:].argmax(-1)
    assert np.unique(level).tolist() == list(levels)
    amplitude, phase, _ = fitted(x, episodes.query.y[..., 0])
    assert np.abs(np.sin(phase))[amplitude > 1].max() < 0.1
    assert kstest(amplitude, "uniform", (0.1, 3.9)).statistic < 0.06  # but for the noise
    assert abs(np.corrcoef(amplitude, level)[0, 1]) < 0.1
    for examples, noise in ((episodes.support, of_support), (episodes.query, of_queries)):
        residual = examples.y[..., 0] - amplitude[:, None] * np.sin(examples.x[..., 0])
        assert residual.std() == pytest.approx(noise, rel=0.05, abs=1e-4)


def test_the_loss_is_the_squared_error_but_for_a_constant():
    target = Sinusoids().target
    mean, y = jnp.array([[1.0], [3.0]]), jnp.array([[1.5], [1.0]])
    np.testing.assert_allclose(target.loss(mean, y) - target.loss(y, y), [0.25, 4.0], rtol=1e-6)


def test_another_difficulty():
    assert Sinusoids.told().at(shot=5) == Sinusoids.told(shot=5)
    with pytest.raises(NopalError, match="shot of a task is 0"):
        Sinusoids().at(shot=0)


def test_learners_are_judged_on_them():
    tasks = Sinusoids(shot=4, query=3)
    learner = MAML(MLP(1, 1, hidden=(4,), key=jax.random.key(0)), inner_rate=0.01, inner_steps=1)
    scores = evaluate(learner, tasks, key=jax.random.key(1), episodes=4)
    first = tasks.sample(jax.random.split(jax.random.fold_in(jax.random.key(1), 0))[0])
    error = jnp.square(learner.adapt(first.support)(first.query.x) - first.query.y).mean()
    assert (scores.metric, scores.values[0]) == ("squared_error", pytest.approx(float(error), rel=1e-4))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"query": 0}, "The query of a task is 0"),
        ({"amplitude": (2.0, 1.0)}, "The range of amplitude is 2.0 to 1.0"),
        ({"noise": (0.1, -0.1)}, "The noise is"),
        ({"noise": (0.1, float("inf"))}, "not infinite"),
        ({"grid": (1.0, -1.0)}, "The range of grid is 1.0 to -1.0"),
        ({"phase": (0.0, float("nan"))}, "The range of phase is 0.0 to nan; expected two numbers"),
        ({"levels": 5, "drawn": (0, 5)}, "Levels 0 to 5 are to be drawn; expected a range from 0 to 4"),
        ({"levels": 5, "drawn": (3, 2)}, "Levels 3 to 2"),
        ({"misleading": True}, "levels of the amplitude are 0"),
    ],
)
def test_options_that_make_no_tasks_are_refused(options, sentence):
    with pytest.raises(NopalError, match=sentence):
        Sinusoids(**options)
