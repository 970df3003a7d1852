"""Predictions as uncertain as errors on left-out support examples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners import MAML, TAML, CrossValidated, MetaRegularised, Ridge
from nopal.learners.learner import MetaLearner
from nopal.meter import read_meter
from nopal.nets.conv_encoder import ConvEncoder
from nopal.nets.mean_field import MeanField
from nopal.nets.mlp import MLP
from nopal.tasks import Poses
from nopal.tasks.circle import Circular
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Gaussian

KEY, CIRCLE = jax.random.key(0), Circular(10.0)
RNG = np.random.default_rng(0)


def ridge(**options):
    return Ridge(MLP(3, 5, hidden=(8,), key=KEY), CIRCLE, **options)


def examples(m, target=CIRCLE):
    return Examples(RNG.normal(size=(m, 3)).astype(np.float32), RNG.uniform(0, 10, (m, 1)).astype(np.float32), target)


@pytest.mark.parametrize(("m", "folds", "parts"), [(6, 3, [[0, 1], [2, 3], [4, 5]]), (5, 2, [[0, 1, 2], [3, 4, 0]])])
def test_errors_are_those_on_each_part_after_adaptation_to_the_others(m, folds, parts):
    known, learner = examples(m), ridge()
    found = CrossValidated(learner, folds).adapt(known)
    expected = []
    for part in parts:
        kept = [i for i in range(m) if i not in part]
        points = learner.adapt(Examples(known.x[jnp.array(kept)], known.y[jnp.array(kept)], CIRCLE))(known.x)
        angle = np.arctan2(*np.asarray(points).T)
        expected += [angle[i] - math.remainder(float(known.y[i, 0]) / 10 * math.tau, math.tau) for i in part]
    np.testing.assert_allclose(np.cos(found.errors), np.cos(expected[:m]), atol=1e-3)
    np.testing.assert_allclose(np.sin(found.errors), np.sin(expected[:m]), atol=1e-3)
    np.testing.assert_allclose(found(known.x), CIRCLE.spread(learner.adapt(known)(known.x), found.errors), atol=1e-6)


class Nearest(MetaLearner):
    """Predicts the angle of the support example that looks most alike, as if there were no doubt about it."""

    shape = (2,)

    def loss(self, episode, *, key):
        raise NotImplementedError

    def adapt(self, support, *, key=None, steps=None):
        points = support.target.encode(support.y)
        return lambda x: points[jnp.linalg.norm(x[:, None] - support.x, axis=2).argmin(1)]


def test_of_an_object_that_looks_the_same_after_half_a_turn_the_middle_is_guessed():
    """A guess is as often wrong by half a turn (25, as a square) as right; their mean is always wrong by a quarter."""
    angle = RNG.uniform(0, 2 * np.pi, 600)
    seen = jnp.asarray(np.stack([np.sin(2 * angle), np.cos(2 * angle)], 1), jnp.float32)
    y = jnp.asarray(10 * angle / (2 * np.pi), jnp.float32)[:, None]
    known = Examples(seen[:100], y[:100], CIRCLE)
    sure, wise = (
        float(CIRCLE.score(learner.adapt(known)(seen[100:]), y[100:]).mean())
        for learner in (Nearest(), CrossValidated(Nearest()))
    )
    assert 11 < sure < 14
    assert 6 < wise < 7


def test_meta_training_is_that_of_the_learner():
    episode = Episode(examples(5), examples(4))
    network = MeanField(MLP(3, 3, hidden=(4,), key=KEY), scale=0.5)
    noisy = MetaRegularised(network, ridge(), beta=0.1)
    assert CrossValidated(noisy).loss(episode, key=KEY) == noisy.loss(episode, key=KEY)
    drawn = CrossValidated(noisy).for_step(KEY).learner
    other = jax.random.key(1)
    assert drawn.loss(episode, key=other) == noisy.for_step(KEY).loss(episode, key=other)
    assert drawn.loss(episode, key=other) != noisy.loss(episode, key=other)
    assert CrossValidated(noisy).adapt(None)(episode.query.x).shape == (4, 2)
    maml = MAML(MLP(3, 2, hidden=(4,), key=KEY), inner_steps=3)
    assert CrossValidated(maml).steps == 3
    assert np.isfinite(CrossValidated(maml).adapt(episode.support, steps=1)(episode.query.x)).all()


def test_what_can_have_no_errors_is_refused():
    with pytest.raises(NopalError, match="divided into 1 parts"):
        CrossValidated(ridge(), 1)
    with pytest.raises(NopalError, match="one example has none to leave out"):
        CrossValidated(ridge()).adapt(examples(1))
    line = Ridge(MLP(3, 5, hidden=(8,), key=KEY), Gaussian(1))
    with pytest.raises(NopalError, match="those of points on a circle"):
        CrossValidated(line).adapt(examples(4, Gaussian(1)))
    with pytest.raises(NopalError, match="cross-validated already"):
        CrossValidated(CrossValidated(ridge()))
    with pytest.raises(NopalError, match="couples the tasks"):
        CrossValidated(TAML(MAML(MLP(3, 2, key=KEY))))


def test_the_meter_reads_what_is_scored():
    images = RNG.integers(0, 256, (2, 20, 4, 4), np.uint8)
    tasks = Poses(images, RNG.uniform(0, 2 * math.pi, (2, 20)), 6, 3, "circular")
    learner = CrossValidated(Ridge(ConvEncoder((4, 4, 1), 5, filters=(2,), key=KEY), CIRCLE))
    read = read_meter(learner, tasks, key=KEY, episodes=3)
    scores = []
    for number in range(3):
        draw, _, _, noise = jax.random.split(jax.random.fold_in(KEY, number), 4)
        episode = tasks.sample(draw)
        outputs = learner.answer(episode, key=noise)
        scores.append(CIRCLE.score(outputs, episode.query.y).mean())
        assert abs(scores[-1] - CIRCLE.score(outputs[:, :2], episode.query.y).mean()) > 0.01
    np.testing.assert_allclose(read.right, scores, rtol=1e-4)
    assert np.isfinite(read.before).all()
