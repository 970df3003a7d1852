"""Learners that are not meta-trained, as rows of a table: chosen anew for each difficulty."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped

from nopal.learners.learner import Learner
from nopal.options.baselines import Offer
from nopal.partitions import from_labels
from nopal.stages.measuring import EVALUATION_SEED, TEST_QUERIES
from nopal.tasks.classification import Classification
from nopal.tuning import tune

TUNING_TASKS = 200


class Chosen:
    """The learner for a difficulty: of those on offer, the best on tasks of labelled meta-validation images or vectors.

    `settings` are what was chosen so far, by difficulties such as "5x1".
    """

    def __init__(
        self,
        offer: Offer,
        validation: tuple[Shaped[np.ndarray, "n ..."], Int[np.ndarray, "n"]] | None,
        episodes: int = TUNING_TASKS,
    ):
        self._offer, self._validation, self._episodes = offer, validation, episodes
        self.settings: dict[str, dict[str, Any]] = {}

    def __call__(self, difficulty: tuple[int, int]) -> Learner:
        way, shot = difficulty
        candidates, tasks = self._offer(difficulty), None
        if len(candidates) > 1 and self._validation is not None:
            x, labels = self._validation
            tasks = Classification(x, from_labels(labels), way=way, shot=shot, query=TEST_QUERIES)
        found = tune(candidates, tasks, key=jax.random.key(EVALUATION_SEED), episodes=self._episodes)
        self.settings[f"{way}x{shot}"] = found.settings
        return found.learner
