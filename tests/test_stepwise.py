"""Scores by the number of inner steps, against a learner whose every score is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.evaluation import Scores, evaluate
from nopal.learners import (
    MAML,
    TAML,
    BayesByBackprop,
    ConditionalNeuralProcess,
    FineTuning,
    FromScratch,
    MetaRegularised,
    NearestNeighbour,
)
from nopal.learners.learner import Learner
from nopal.nets import MLP
from nopal.stepwise import enough_steps, evaluate_steps
from nopal.tasks import Gaussian, Sinusoids

KEY = jax.random.key(0)
TASKS = Sinusoids.told(3, 2)


class Halving(Learner):
    """Knows each sinusoid but for a constant, of which a step leaves the half; after more than 9 it diverges wherever
    the support set begins to the left of 0."""

    @property
    def steps(self):
        return 4

    def answer(self, episode, *, key=None, steps=None):
        steps = 4 if steps is None else steps
        wrong = jnp.where((steps > 9) & (episode.support.x[0, 0] < 0), jnp.nan, 2.0 * 0.5**steps)
        return episode.query.y + wrong

    def adapt(self, support, *, key=None, steps=None):
        raise NotImplementedError


def scores(*values: float, metric: str = "squared_error") -> Scores:
    return Scores(np.array(values), metric, "none")


def test_the_score_after_each_number_of_steps() -> None:
    found = evaluate_steps(Halving(), TASKS, (3, 0, 10, 3), key=KEY, episodes=24)
    assert list(found) == [0, 3, 10]
    for number in (0, 3):
        np.testing.assert_allclose(found[number].values, 4 * 0.25**number, rtol=1e-5)
        assert found[number].diverged == 0
    assert 0 < found[10].diverged < 24
    assert found[10].mean == pytest.approx(4 * 0.25**10, rel=0.1)
    assert enough_steps(found) == 3  # the better mean is one of fewer tasks


def test_no_step_is_no_adaptation() -> None:
    """Without normalisation the first prediction is that of the network as it is."""
    learner = MAML(MLP(21, 1, hidden=(4,), key=KEY), inner_rate=0.01, inner_steps=1, test_steps=3)
    found = evaluate_steps(learner, TASKS, (0, 3), key=KEY, episodes=2)

    @jax.jit
    def errors(number: int) -> jax.Array:
        episode = TASKS.sample(jax.random.split(jax.random.fold_in(KEY, number))[0])
        return jnp.mean((learner.network(episode.query.x)[0] - episode.query.y) ** 2)

    np.testing.assert_allclose(found[0].values, [errors(0), errors(1)], rtol=1e-5)
    assert found[3].mean != found[0].mean
    np.testing.assert_array_equal(found[3].values, evaluate(learner, TASKS, key=KEY, episodes=2).values)


def test_enough_steps() -> None:
    """Against the best, two steps are worse in every task, five in some and better in others."""
    found = {20: scores(1.0, 2.0, 3.0), 5: scores(1.3, 1.8, 3.1), 2: scores(1.5, 2.5, 3.6)}
    assert enough_steps(found) == 5
    accuracies = {number: scores(*(1 - 0.2 * of.values), metric="accuracy") for number, of in found.items()}
    assert enough_steps(accuracies) == 5
    assert enough_steps({0: scores(1.0, 1.0), 7: scores(1.0, 1.0)}) == 0


def test_who_takes_steps() -> None:
    network = MLP(21, 1, hidden=(4,), key=KEY)
    maml = MAML(network, inner_steps=1, test_steps=7)
    encoder, head = MLP(21, 5, hidden=(4,), key=KEY), MAML(MLP(5, 1, hidden=(4,), key=KEY), test_steps=8)
    assert TAML(maml).steps == BayesByBackprop(maml).steps == maml.steps == 7
    assert MetaRegularised(encoder, head).steps == 8
    assert FineTuning(network, steps=9).steps == FromScratch(network, steps=9).steps == 9
    process = ConditionalNeuralProcess(5, Gaussian(1, 0.5), key=KEY)
    assert process.steps is MetaRegularised(encoder, process).steps is NearestNeighbour().steps is None
    with pytest.raises(NopalError, match="This learner adapts in no steps; expected one that descends"):
        evaluate_steps(process, TASKS, (0, 1), key=KEY, episodes=2)
    for steps, said in (((0, -1), "0, -1"), ((), "none")):
        with pytest.raises(NopalError, match=f"numbers of steps are {said}; expected at least one"):
            evaluate_steps(maml, TASKS, steps, key=KEY, episodes=2)
