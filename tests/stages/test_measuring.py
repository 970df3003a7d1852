"""Scores as records hold them."""

import jax
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.evaluation import Scores
from nopal.options.learners import MAMLOptions
from nopal.stages.measuring import as_score, labelled, measure
from nopal.tasks import Categorical


def test_errors_are_numbers_and_accuracies_percent() -> None:
    error = as_score((0, 5), Scores(np.array([0.5, 0.25]), "squared_error", "none"))
    assert (error.mean, error.points, error.way, error.diverged) == (0.375, 5, None, 0)
    accuracy = as_score((5, 1), Scores(np.array([0.5, 0.25]), "accuracy", "support"))
    assert (accuracy.mean, accuracy.points, accuracy.way, accuracy.shot) == (37.5, None, 5, 1)


def test_too_few_labelled_images() -> None:
    tasks_at = labelled(np.zeros((12, 1), np.float32), np.repeat(np.arange(4), 3), "support")
    with pytest.raises(
        NopalError,
        match=r"^support has 4 classes, none of them of 6 images or more \(the largest has 3\); 5x1 needs 5 classes of "
        r"6 images \(1 labelled and 5 to ask about\): lower --at or bring more images\.$",
    ):
        tasks_at((5, 1))


def test_all_difficulties_are_checked_before_the_first_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("nopal.stages.measuring.evaluate")
    tasks_at = labelled(np.zeros((36, 8, 8, 1), np.uint8), np.repeat(np.arange(6), 6))
    learner = MAMLOptions(filters=4, downsample="stride").build((8, 8, 1), Categorical(5), jax.random.key(0))
    for hard, sentence in (((7, 1), "7x1 needs 7 classes"), ((6, 1), "has 6 classes, but .* was meta-trained for 5")):
        with pytest.raises(NopalError, match=sentence):
            measure(learner, tasks_at, [(5, 1), hard])


def test_a_task_that_diverged_does_not_lose_the_record() -> None:
    means = np.array([0.375, np.nan])
    score = as_score((0, 5), Scores(np.array([0.5, np.nan, 0.25]), "squared_error", "none", group_means=means))
    assert score.group_means == (0.375, None)
    assert (score.mean, score.tasks, score.diverged) == (0.375, 3, 1)
    with pytest.raises(NopalError, match="diverged in every test task"):
        as_score((0, 5), Scores(np.full(2, np.nan), "squared_error", "none"))
