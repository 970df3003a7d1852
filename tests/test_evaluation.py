"""Judging learners: the interval, pairing, and the same tasks for the same key."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.evaluation import Scores, draw_episode, evaluate
from nopal.learners.learner import Learner
from nopal.learners.maml import MAML
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.nets.conv4 import Conv4
from nopal.nets.linear import Linear
from nopal.nets.network import Network
from nopal.numerics.intervals import interval_over_groups
from nopal.partitions import from_labels
from nopal.tasks.classification import Classification
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.poses import Poses
from nopal.tasks.target import Gaussian

LABELS = np.repeat(np.arange(8), 6)
KEY = jax.random.key(0)


class Guess(Learner):
    """Says `label`, whatever it is shown."""

    label: int = eqx.field(static=True)

    def adapt(self, support, *, key=None, steps=None):
        return lambda x: jnp.tile(jax.nn.one_hot(self.label, support.target.width), (len(x), 1))


class Line(Network):
    """One linear layer, no normalisation."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    layer: Linear

    def __call__(self, x, statistics=None):
        return self.layer(x), ()


def images():
    """Bytes of 2 x 2 places, noisy copies of one picture for each class."""
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (8, 2, 2, 1))[LABELS]
    return np.clip(pictures + draw.normal(size=(48, 2, 2, 1)) * 60, 0, 255).astype(np.uint8)


def vectors():
    return images().reshape(48, 4).astype(np.float32) / 255


def tasks(x=None, way=3):
    return Classification(vectors() if x is None else x, from_labels(LABELS), way=way, shot=1, query=2)


def test_the_interval_is_1_96_standard_deviations_over_the_root_of_the_count():
    scores = Scores(np.array([0.0, 1.0, 1.0, 1.0]), "accuracy", "none")
    assert scores.mean == 0.75
    assert scores.ci95 == pytest.approx(1.96 * math.sqrt(0.75 * 0.25) / 2, rel=1e-12)
    assert str(scores) == "75.00 ± 42.44"


def test_differences_are_paired():
    """Two learners that err on the same tasks differ by less than their own intervals say."""
    a = Scores(np.array([0.2, 0.9, 0.5, 0.4]), "accuracy", "support")
    b = Scores(np.array([0.1, 0.8, 0.4, 0.3]), "accuracy", "none")
    difference = a.minus(b)
    assert difference.mean == pytest.approx(0.1)
    assert difference.ci95 == pytest.approx(0.0, abs=1e-12)
    assert (difference.metric, difference.statistics) == ("accuracy", "support - none")
    with pytest.raises(NopalError, match="4 tasks can't be paired with 3; evaluate both on the same tasks"):
        a.minus(Scores(np.zeros(3), "accuracy", "none"))


def test_a_guess_is_right_once_for_each_class():
    for label in (0, 2):
        scores = evaluate(Guess(label), tasks(), key=KEY, episodes=5)
        np.testing.assert_allclose(scores.values, np.full(5, 1 / 3), rtol=1e-6)
        assert (scores.metric, scores.statistics) == ("accuracy", "none")


def test_classes_far_apart_are_told_apart():
    x = np.eye(8, dtype=np.float32)[LABELS]
    assert evaluate(NearestNeighbour(), tasks(x, way=8), key=KEY, episodes=10).values.tolist() == [1.0] * 10


def test_one_key_gives_the_same_tasks_for_images_and_for_vectors():
    of_vectors = evaluate(NearestNeighbour(), tasks(), key=KEY, episodes=30).values
    of_images = evaluate(NearestNeighbour(), tasks(images()), key=KEY, episodes=30).values
    np.testing.assert_array_equal(of_images, of_vectors)
    assert len(np.unique(of_vectors)) > 3
    assert not np.array_equal(
        evaluate(NearestNeighbour(), tasks(), key=jax.random.key(1), episodes=30).values, of_vectors
    )


def test_neither_devices_nor_vectorising_change_the_scores_and_fewer_tasks_are_the_first_ones():
    whole = evaluate(NearestNeighbour(), tasks(), key=KEY, episodes=30).values
    few = evaluate(NearestNeighbour(), tasks(), key=KEY, episodes=7, devices=1, at_once=4).values
    np.testing.assert_array_equal(few, whole[:7])


def test_steps_override_the_learners_own():
    layer = Linear(jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)), jnp.float32), jnp.zeros(3))
    learner = MAML(Line(layer), inner_rate=2.0, inner_steps=1, test_steps=7)
    adapted, unadapted = (evaluate(learner, tasks(), key=KEY, episodes=30, steps=steps) for steps in (None, 0))
    assert adapted.mean > unadapted.mean + 0.1
    assert adapted.statistics == "none"


def test_the_same_predictions_are_scored_by_other_targets_too():
    """On a line a guess of 0 for 9 is wrong by 9, on a circle of 10 by 1."""

    class Still(Learner):
        def adapt(self, support, *, key=None, steps=None):
            return lambda x: jnp.zeros((len(x), 1))

    class Nine(eqx.Module):
        target = Gaussian(1)

        def sample(self, key):
            examples = Examples(jnp.zeros((2, 1)), jnp.full((2, 1), 9.0), self.target)
            return Episode(examples, examples)

    scores = evaluate(Still(), Nine(), key=KEY, episodes=3, others=(Gaussian(1, turn=10.0),))
    assert (scores.metric, scores.values.tolist()) == ("squared_error", [81.0] * 3)
    (arc,) = scores.others
    assert (arc.metric, arc.values.tolist(), arc.others) == ("squared_arc", [1.0] * 3, ())


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_tasks_at_all_are_refused(episodes):
    with pytest.raises(NopalError, match=f"The number of test tasks is {episodes}; expected at least 2"):
        evaluate(NearestNeighbour(), tasks(), key=KEY, episodes=episodes)


def test_one_task_leaves_the_mean_unknown():
    assert Scores(np.array([1.0]), "accuracy", "none").ci95 == np.inf


def test_only_accuracies_are_shown_in_percent():
    assert str(Scores(np.array([0.5, 0.5]), "accuracy", "none")) == "50.00 ± 0.00"
    assert str(Scores(np.array([0.5, 0.5]), "squared_error", "none")) == "0.50 ± 0.00"


def test_tasks_that_diverged_are_counted_and_left_out() -> None:
    scores = Scores(np.array([1.0, np.nan, 3.0, np.inf]), "squared_error", "none")
    assert scores.diverged == 2
    assert scores.mean == 2.0
    assert scores.ci95 == pytest.approx(1.96 / math.sqrt(2))
    assert str(scores) == "2.00 ± 1.39 (2 of 4 tasks diverged)"
    assert math.isnan(Scores(np.full(3, np.nan), "squared_error", "none").mean)


def test_a_classifier_whose_weights_ran_away_has_no_accuracy():
    learner = MAML(Conv4((2, 2, 1), 3, filters=2, key=KEY), inner_rate=1e30, inner_steps=3)
    found = evaluate(learner, tasks(images()), key=KEY, episodes=6)
    assert found.diverged == 6
    assert math.isnan(found.mean)


def test_tasks_about_the_same_thing_have_a_mean_of_their_own():
    """Which object a task is about, its views' first pixel tells; a guess of 0 is wrong by the angle itself."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (3, 6, 2, 2), dtype=np.uint8)
    pictures[:, :, 0, 0] = np.arange(3)[:, None]
    poses = Poses(pictures, random.uniform(0, 6, (3, 6)), shot=2, query=2)

    class Zero(Learner):
        def adapt(self, support, *, key=None, steps=None):
            return lambda x: jnp.where(x[:, 0, 0] > 1.5 / 255, jnp.inf, jnp.zeros((len(x), 1)))

    found = evaluate(Zero(), poses, key=KEY, episodes=20)
    episodes = [draw_episode(poses, KEY, number)[0] for number in range(20)]
    about = np.array([round(255 * float(episode.query.x[0, 0, 0, 0])) for episode in episodes])
    errors = np.array([float((episode.query.y**2).mean()) for episode in episodes])
    assert {0, 1, 2} == set(about)
    expected = [errors[about == 0].mean(), errors[about == 1].mean(), np.nan]
    np.testing.assert_allclose(found.group_means, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.minus(found).group_means, [0, 0, np.nan])
    assert f", over 2 groups ± {interval_over_groups(found.group_means):.2f}" in str(found)
    assert evaluate(Guess(0), tasks(), key=KEY, episodes=4).group_means is None
