"""Hyper-parameters chosen on meta-validation tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.evaluation import evaluate
from nopal.learners import NearestNeighbour
from nopal.partitions import from_labels
from nopal.tasks import Classification
from nopal.tuning import grid, tune

KEY = jax.random.key(0)
LABELS = np.repeat(np.arange(4), 12)
Z = (np.random.default_rng(0).normal(size=(4, 3))[LABELS] + np.random.default_rng(1).normal(size=(48, 3))).astype("f4")
TASKS = Classification(Z, from_labels(LABELS), way=4, shot=5, query=5)


def test_the_best_on_the_same_tasks_is_taken() -> None:
    candidates = [(settings, NearestNeighbour(**settings)) for settings in grid(neighbours=(20, 5, 1))]
    found = tune(candidates, TASKS, key=KEY, episodes=40)
    means = [evaluate(learner, TASKS, key=KEY, episodes=40).mean for _, learner in candidates]
    assert [scores.mean for scores in found.scores] == means
    best = int(np.argmax(means))
    assert best > 0
    assert found.settings == candidates[best][0]
    assert found.learner == candidates[best][1]


class Broken(NearestNeighbour):
    """Says nothing of some queries."""

    def adapt(self, support, *, key=None, steps=None):
        predict = super().adapt(support, key=key, steps=steps)
        return lambda x: jnp.where(x[:, :1] > 1, jnp.nan, predict(x))


def test_a_candidate_that_diverges_is_not_taken_for_the_tasks_that_it_survived() -> None:
    found = tune([({"broken": True}, Broken()), ({}, NearestNeighbour())], TASKS, key=KEY, episodes=40)
    assert found.scores[0].diverged > found.scores[1].diverged == 0
    assert found.settings == {}


def test_a_single_candidate_needs_no_tasks() -> None:
    found = tune([({"neighbours": 2}, NearestNeighbour(2))], None, key=KEY)
    assert (found.settings, found.scores) == ({"neighbours": 2}, [])


def test_grids() -> None:
    assert grid(a=(1, 2), b=("x",)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    with pytest.raises(NopalError, match="The grid of units is empty; name at least one value"):
        grid(dropout=(0.5,), units=())
    with pytest.raises(NopalError, match="no hyper-parameters to choose from"):
        tune([], TASKS, key=KEY)
