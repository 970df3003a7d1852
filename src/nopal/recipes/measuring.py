"""Test scores of learners, all on the same tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from nopal.distributed import check_same
from nopal.evaluation import Scores, evaluate
from nopal.learners.learner import Learner
from nopal.partitions import from_labels
from nopal.runs import Score
from nopal.tasks.classification import Classification

EVALUATION_SEED = 6
"""One seed for all test tasks, so that every learner meets the same ones."""
TEST_QUERIES = 5


def measure(
    learner: Learner | Callable[[tuple[int, int]], Learner],
    x: Any,
    labels: np.ndarray,
    difficulties: Sequence[tuple[int, int]],
    *,
    episodes: int = 1000,
    report: Callable[[tuple[int, int], Scores], Any] = lambda difficulty, scores: None,
) -> dict[tuple[int, int], Scores]:
    """Scores at each (way, shot) on tasks of the labelled images or vectors `x`; the same tasks for every learner.

    `learner` may be a function of the difficulty, for learners that are chosen for each.
    """
    check_same(np.asarray(x), "test images")
    classes = from_labels(labels)
    found = {}
    for way, shot in difficulties:
        tasks = Classification(x, classes, way=way, shot=shot, query=TEST_QUERIES)
        of_task = learner if isinstance(learner, Learner) else learner((way, shot))
        found[way, shot] = evaluate(of_task, tasks, key=jax.random.key(EVALUATION_SEED), episodes=episodes)
        report((way, shot), found[way, shot])
    return found


def as_score(difficulty: tuple[int, int], scores: Scores, published: Any = None) -> Score:
    """As a record holds it: percent."""
    way, shot = difficulty
    return Score(
        metric=scores.metric,
        mean=round(100 * scores.mean, 3),
        ci95=round(100 * scores.ci95, 3),
        tasks=len(scores.values),
        statistics=scores.statistics,
        way=way,
        shot=shot,
        published=published.mean if published else None,
        published_source=published.source if published else None,
    )
