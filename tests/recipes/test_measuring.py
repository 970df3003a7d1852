"""Scores as records hold them."""

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.evaluation import Scores
from nopal.recipes.measuring import as_score


def test_errors_are_numbers_and_accuracies_percent() -> None:
    error = as_score((0, 5), Scores(np.array([0.5, 0.25]), "squared_error", "none"))
    assert (error.mean, error.points, error.way, error.diverged) == (0.375, 5, None, 0)
    accuracy = as_score((5, 1), Scores(np.array([0.5, 0.25]), "accuracy", "support"))
    assert (accuracy.mean, accuracy.points, accuracy.way, accuracy.shot) == (37.5, None, 5, 1)


def test_a_task_that_diverged_does_not_lose_the_record() -> None:
    means = np.array([0.375, np.nan])
    score = as_score((0, 5), Scores(np.array([0.5, np.nan, 0.25]), "squared_error", "none", group_means=means))
    assert score.group_means == (0.375, None)
    assert (score.mean, score.tasks, score.diverged) == (0.375, 3, 1)
    with pytest.raises(NopalError, match="diverged in every test task"):
        as_score((0, 5), Scores(np.full(2, np.nan), "squared_error", "none"))
